/* json_event.c - the fuzzer of JSON values as attributes: one object, without the lines around it, so that nearly all the time goes
 * into values. What becomes an event reads back the same; see import_file.c. The text after it is printed and read is the same
 * event, byte for byte.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "producer/import/msgpack_value.h"
#include "producer/library/event.h"
#include "producer/library/json.h"
#include "producer/library/value.h"
#include "producer/library/value_event.h"
#include "value_match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool encode(struct tally_event *event, const struct value *object, struct event_message *message)
{
    static const uint8_t id[TALLY_ID_BYTES] = {1};
    struct tally_error reason;
    tally_event_begin(event, "login");
    tally_event_set_id(event, id);
    tally_event_created(event, 1);
    value_event_put_rest(event, object);
    if (event_encode(event, message, &reason))
        return true;
    if (reason.code != TALLY_INVALID || reason.text[0] == '\0')
        abort();
    return false;
}

static void compare(const struct value *object, const struct event_message *message, struct tally_event *second)
{
    static struct value_pool *read, *again;
    static struct json *json;
    struct error err;
    if (json == NULL &&
        ((json = json_new(JSON_LINE_BYTES)) == NULL || (read = value_pool_new()) == NULL || (again = value_pool_new()) == NULL))
        abort();
    value_pool_reset(read);
    value_pool_reset(again);
    struct value *value = msgpack_value(read, message->value, message->value_length, &err);
    const struct value *data = value_find(value, "event_data", 10);
    if (value == NULL || !(data == NULL ? object->length == 0 : value_match(data, object))) {
        fprintf(stderr, "not read back the same: %s\n", value == NULL ? err.text : "");
        abort();
    }
    char *text = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    if (file == NULL || !json_write(object, file, &err) || fclose(file) != 0)
        abort();
    struct value *printed = json_read(json, again, text, length, &err);
    struct event_message other;
    if (printed == NULL || !encode(second, printed, &other) || other.value_length != message->value_length ||
        memcmp(other.value, message->value, other.value_length) != 0) {
        fprintf(stderr, "printed and read, another event: %s\n", text);
        abort();
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tally_event *event, *second;
    static struct json *json;
    static struct value_pool *pool;
    struct error err = {0};
    if (event == NULL && ((event = tally_event_new()) == NULL || (second = tally_event_new()) == NULL ||
                          (json = json_new(JSON_LINE_BYTES)) == NULL || (pool = value_pool_new()) == NULL))
        abort();
    value_pool_reset(pool);
    struct value *object = json_read(json, pool, (const char *)data, size, &err);
    struct event_message message;
    if (object == NULL && err.text[0] == '\0')
        abort();
    if (object != NULL && object->type == VALUE_OBJECT && encode(event, object, &message))
        compare(object, &message, second);
    return 0;
}
