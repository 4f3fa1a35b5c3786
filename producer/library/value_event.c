/* value_event.c - see value_event.h. It recurses no deeper than an event allows: past that the event refuses, and says so. */
#include "producer/library/value_event.h"

#include <string.h>

#include "common/utf8.h"
#include "producer/library/event.h"
#include "producer/library/value.h"

/* name: of the field that the value is in, for messages. */
static void put(struct tally_event *event, const char *key, const char *name, const struct value *value);

static void put_entries(struct tally_event *event, const char *name, const struct value *container)
{
    for (const struct value *entry = container->entries.first; entry != NULL; entry = entry->next)
        if (!entry->is_taken && !entry->is_number_nan)
            put(event, entry->key, entry->key == NULL ? name : entry->key, entry);
}

static void put_container(struct tally_event *event, const char *key, const char *name, const struct value *value)
{
    if (value->type == VALUE_OBJECT)
        tally_event_map(event, key);
    else
        tally_event_array(event, key);
    if (event->error.code != TALLY_OK)
        return;
    put_entries(event, name, value);
    tally_event_end(event);
}

static void refuse(struct tally_event *event, const char *name, const struct value *value)
{
    if (value->text[strcspn(value->text, ".eE")] == '\0')
        event_fail(event, TALLY_INVALID, "%.*s is beyond 64 bits: quote it to keep it as text", UTF8_CUT(name, 100));
    else
        event_fail(event, TALLY_INVALID, "%.*s is no number that a double can hold: quote it to keep it as text",
                   UTF8_CUT(name, 100));
}

static void put(struct tally_event *event, const char *key, const char *name, const struct value *value)
{
    switch (value->type) {
    case VALUE_OBJECT:
    case VALUE_ARRAY: put_container(event, key, name, value); break;
    case VALUE_TEXT: tally_event_text_n(event, key, value->text, value->length); break;
    case VALUE_INTEGER: tally_event_int(event, key, value->integer); break;
    case VALUE_UNSIGNED: tally_event_uint(event, key, value->whole); break;
    case VALUE_REAL: tally_event_number(event, key, value->real); break;
    case VALUE_BIG: refuse(event, name, value); break;
    case VALUE_TRUE:
    case VALUE_FALSE: tally_event_bool(event, key, value->type == VALUE_TRUE); break;
    default: tally_event_null(event, key); break;
    }
}

void value_event_put(struct tally_event *event, const char *key, const struct value *value)
{
    put(event, key, key == NULL ? "a number" : key, value);
}

void value_event_put_rest(struct tally_event *event, const struct value *object)
{
    put_entries(event, "event_data", object);
}
