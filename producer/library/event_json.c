/* event_json.c - attributes that an application has as JSON.
 *
 * The same reader as that of files (json.h, value_event.h), so that a text becomes the same event_data whichever way it comes, and
 * numbers stay exact. jansson, which reads the catalogue, was rejected for this: it has no whole numbers from 2^63 on, and takes
 * twenty times as long. The reader belongs to the event, which is one thread's: no lock, and no allocation once it is there.
 */
#include <stdlib.h>

#include "common/error.h"
#include "common/utf8.h"
#include "producer/library/event.h"
#include "producer/library/json.h"
#include "producer/library/value.h"
#include "producer/library/value_event.h"

enum { SHORT_BYTES = 4096, TEXT_BYTES = 1024 * 1024 /* event_data with every letter escaped, and room for blanks */ };

struct event_json {
    struct event_reader head;
    struct json *json;
    struct value_pool *pool;
};

static void reader_free(struct event_reader *head)
{
    struct event_json *reader = (struct event_json *)head;
    json_free(reader->json);
    value_pool_free(reader->pool);
    free(reader);
}

static struct event_json *need_reader(struct tally_event *event)
{
    if (event->json != NULL)
        return (struct event_json *)event->json;
    struct event_json *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return NULL;
    reader->head.free = reader_free;
    reader->json = json_new(SHORT_BYTES);
    reader->pool = value_pool_new();
    if (reader->json != NULL && reader->pool != NULL)
        event->json = &reader->head;
    else
        reader_free(&reader->head);
    return (struct event_json *)event->json;
}

/* Without a key in a map: an object's entries. */
static void put(struct tally_event *event, const char *key, const struct value *value)
{
    bool is_map = event->open[event->depth - 1].is_map;
    if (key != NULL || event->next_key != NULL || !is_map)
        value_event_put(event, key, value);
    else if (value->type == VALUE_OBJECT)
        value_event_put_rest(event, value);
    else
        event_fail(event, TALLY_INVALID, "a JSON text without a key must be an object, whose entries go into event_data");
}

/* The key as it may stand in a message. */
static void fail(struct tally_event *event, const char *key, enum tally_code code, const char *why)
{
    if (key != NULL)
        event_fail(event, code, "the JSON of '%.*s': %s", UTF8_CUT(key, 100), why);
    else if (event->next_key != NULL)
        event_fail(event, code, "the JSON of '%.*s': %s", (int)utf8_whole(event->next_key, event->next_key_length, 100),
                   event->next_key, why);
    else
        event_fail(event, code, "the JSON: %s", why);
    event->next_key = NULL;
}

void tally_event_json(struct tally_event *event, const char *key, const char *text, size_t size)
{
    if (!event_may_change(event))
        return;
    if (event->depth == 0)
        event_fail(event, TALLY_INVALID, "the event was never begun");
    if (event->error.code != TALLY_OK)
        return;
    struct error reason;
    struct event_json *reader = need_reader(event);
    if (text == NULL || size == 0) {
        fail(event, key, TALLY_INVALID, "there is no text");
    } else if (size > TEXT_BYTES) {
        fail(event, key, TALLY_INVALID, "the text is longer than 1 MiB");
    } else if (reader == NULL) {
        fail(event, key, TALLY_FAILED, "no memory for a reader");
    } else {
        const struct value *value = json_read(reader->json, reader->pool, text, size, &reason);
        if (value == NULL)
            fail(event, key, reason.kind == ERROR_RETRY ? TALLY_FAILED : TALLY_INVALID, reason.text);
        else
            put(event, key, value);
        value_pool_reset(reader->pool);
    }
}
