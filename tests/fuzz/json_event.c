/* json_event.c - the fuzzer of JSON values as attributes: one object, without the lines around it, so that nearly all the time goes
 * into values. What becomes an event reads back the same; see import_file.c. The text after it is printed and read is the same
 * event, byte for byte.
 */
#include "json_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "event.h"
#include "msgpack_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool encode(struct tally_event *event, const json_t *object, struct event_message *message)
{
    static const uint8_t id[TALLY_ID_BYTES] = {1};
    struct tally_error reason;
    tally_event_begin(event, "login");
    tally_event_set_id(event, id);
    tally_event_created(event, 1);
    json_event_put_all(event, object);
    if (event_encode(event, message, &reason))
        return true;
    if (reason.code != TALLY_INVALID || reason.text[0] == '\0')
        abort();
    return false;
}

static void compare(json_t *object, const struct event_message *message, struct tally_event *second)
{
    struct error err;
    json_t *value = msgpack_json(message->value, message->value_length, &err);
    json_t *read = json_object_get(value, "event_data");
    if (value == NULL || !(read == NULL ? json_object_size(object) == 0 : json_equal(read, object))) {
        fprintf(stderr, "not read back the same: %s\n", value == NULL ? err.text : json_dumps(value, 0));
        abort();
    }
    json_decref(value);
    char *text = json_dumps(object, JSON_COMPACT);
    json_t *again = text == NULL ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    struct event_message other;
    if (again == NULL || !encode(second, again, &other) || other.value_length != message->value_length ||
        memcmp(other.value, message->value, other.value_length) != 0) {
        fprintf(stderr, "printed and read, another event: %s\n", text);
        abort();
    }
    json_decref(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tally_event *event, *second;
    if (event == NULL && ((event = tally_event_new()) == NULL || (second = tally_event_new()) == NULL))
        abort();
    json_t *object = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    struct event_message message;
    if (json_is_object(object) && encode(event, object, &message))
        compare(object, &message, second);
    json_decref(object);
    return 0;
}
