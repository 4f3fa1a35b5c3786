/* event_bytes.c - msgpack that the application already has: as event_data, as a whole event, and where the id lies in one.
 *
 * Here only the frame is looked at (one map, which ends where the bytes end); whether the workers would store what is in it is
 * asked of their own reader when the event is published (checker.h).
 */
#include <string.h>

#include "common/msgpack.h"
#include "producer/library/event.h"
#include "producer/library/event_bytes.h"

/* The value of a key of the map; false: it has none. */
static bool find(const void *value, size_t length, const char *name, struct msgpack_item *found)
{
    struct msgpack_cursor cursor = {.at = value, .end = (const uint8_t *)value + length};
    struct msgpack_item map, key;
    if (msgpack_next(&cursor, &map) != REASON_NONE || map.type != ITEM_MAP)
        return false;
    for (uint32_t i = 0; i < map.length; i++) {
        if (msgpack_next(&cursor, &key) != REASON_NONE)
            return false;
        bool is_it = key.type == ITEM_STR && key.length == strlen(name) && memcmp(key.bytes, name, key.length) == 0;
        if (is_it)
            return msgpack_next(&cursor, found) == REASON_NONE;
        if (msgpack_skip(&cursor, WIRE_DATA_DEPTH + 1) != REASON_NONE)
            return false;
    }
    return false;
}

const uint8_t *event_find_id(const void *value, size_t length)
{
    static const uint8_t none[TALLY_ID_BYTES], usual[] = {0xa2, 'i', 'd', 0xc4, TALLY_ID_BYTES};
    const uint8_t *bytes = value;
    if (length >= EVENT_ID_POSITION + TALLY_ID_BYTES && memcmp(bytes + 1, usual, sizeof usual) == 0)
        return bytes + EVENT_ID_POSITION;
    struct msgpack_item id;
    return find(value, length, "id", &id) && id.type == ITEM_BIN && id.length == TALLY_ID_BYTES ? id.bytes : none;
}

bool event_find_key(const void *value, size_t length, struct event_message *message)
{
    struct msgpack_item item;
    bool is_found = (find(value, length, "session_id", &item) && item.type == ITEM_STR) || find(value, length, "id", &item);
    if (is_found) {
        message->key = item.bytes;
        message->key_length = item.length;
    }
    return is_found;
}

void tally_event_data(struct tally_event *event, const void *bytes, size_t size)
{
    if (!event_may_change(event))
        return;
    struct msgpack_cursor cursor = {.at = bytes, .end = bytes == NULL ? NULL : (const uint8_t *)bytes + size};
    struct msgpack_item map;
    if (bytes == NULL || msgpack_next(&cursor, &map) != REASON_NONE || map.type != ITEM_MAP) {
        event_fail(event, TALLY_INVALID, "event_data is not a msgpack map");
        return;
    }
    const uint8_t *entries = cursor.at;
    cursor.at = bytes;
    if (msgpack_skip(&cursor, WIRE_DATA_DEPTH + 1) != REASON_NONE || cursor.at != cursor.end) {
        event_fail(event, TALLY_INVALID, "event_data is not one whole msgpack map of %zu bytes", size);
        return;
    }
    event_add_entries(event, entries, (size_t)(cursor.end - entries), map.length);
}
