/* event_data.c - the calls that put attributes into event_data. See event.h.
 *
 * A map's header holds the number of its entries, which is known only when it is closed. One byte is kept for it, enough for 15
 * entries; a larger container moves its entries by two bytes when it is closed (at most 64 KiB at memory speed, and rare). Always
 * keeping three bytes would avoid the move and make every map two bytes longer in Kafka, in each copy, for years.
 *
 * Invariant: `end` never lets event_data pass its limit by more than one header, and EVENT_TAIL_BYTES are always left behind it.
 * Keys of open maps lie before every header that may still move, so the positions in `keys` stay true.
 */
#include "producer/library/event.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "producer/library/pack.h"
#include "producer/library/text.h"

/* Room for `need` more bytes of event_data, or NULL with the mistake remembered. */
static uint8_t *room(struct tally_event *event, size_t need)
{
    size_t used = event->end - EVENT_HEAD_BYTES;
    if (need > WIRE_DATA_BYTES + PACK_MAX || used + need > WIRE_DATA_BYTES + PACK_MAX) {
        event_fail(event, TALLY_INVALID, "event_data is larger than %d bytes", WIRE_DATA_BYTES);
        return NULL;
    }
    size_t total = event->end + need + EVENT_TAIL_BYTES, capacity = event->capacity;
    if (total > capacity) {
        while (total > capacity)
            capacity *= 2;
        uint8_t *bytes = realloc(event->bytes, capacity);
        if (bytes == NULL) {
            event_fail(event, TALLY_FAILED, "no memory for event_data");
            return NULL;
        }
        event->bytes = bytes;
        event->capacity = capacity;
    }
    return event->bytes + event->end;
}

static bool add_key(struct tally_event *event, uint32_t map, const char *key, size_t length)
{
    if (length == 0 || length > WIRE_MAP_KEY_BYTES)
        return event_fail(event, TALLY_INVALID, "a key of event_data has %zu bytes; it takes 1 to %d", length, WIRE_MAP_KEY_BYTES);
    const char *fault = text_fault(key, length);
    if (fault != NULL)
        return event_fail(event, TALLY_INVALID, "a key of event_data %s", fault);
    uint8_t *to = room(event, length + PACK_MAX);
    if (to == NULL)
        return false;
    event->end = (size_t)(pack_str(to, key, (uint32_t)length) - event->bytes);
    switch (keys_add(&event->keys, event->bytes, map, event->end - length, key, length)) {
    case KEYS_NEW: return true;
    case KEYS_USED:
        return event_fail(event, TALLY_INVALID, "the key '%.*s' stands twice in one map", (int)utf8_whole(key, length, 100), key);
    default: return event_fail(event, TALLY_FAILED, "no memory for the event's keys");
    }
}

/* Writes the key, counts the entry, and returns room for a value of `need` bytes; NULL with the mistake remembered. The caller then
 * moves `end`. */
static uint8_t *begin_value(struct tally_event *event, const char *key, size_t need)
{
    if (!event_may_change(event))
        return NULL;
    if (event->depth == 0)
        event_fail(event, TALLY_INVALID, "the event was never begun");
    if (event->error.code != TALLY_OK)
        return NULL;
    struct event_container *container = &event->open[event->depth - 1];
    size_t length = 0;
    if (key != NULL) {
        length = strlen(key);
    } else if (event->next_key != NULL) {
        key = event->next_key;
        length = event->next_key_length;
    }
    event->next_key = NULL;
    if (container->is_map && key == NULL)
        event_fail(event, TALLY_INVALID, "a value in a map needs a key");
    else if (!container->is_map && key != NULL)
        event_fail(event, TALLY_INVALID, "a value in an array takes no key ('%.*s')", (int)utf8_whole(key, length, 100), key);
    else if (key == NULL || add_key(event, container->number, key, length)) {
        container->entries++;
        return room(event, need);
    }
    return NULL;
}

/* For a message. */
static const char *name_of(const char *key)
{
    return key == NULL ? "an array" : key;
}

static void end_value(struct tally_event *event, const uint8_t *end)
{
    event->end = (size_t)(end - event->bytes);
}

void tally_event_key_n(struct tally_event *event, const char *key, size_t length)
{
    if (!event_may_change(event))
        return;
    event->next_key = key == NULL ? "" : key;
    event->next_key_length = key == NULL ? 0 : length;
}

void tally_event_text_n(struct tally_event *event, const char *key, const char *text, size_t length)
{
    if (!event_may_change(event))
        return;
    if (text == NULL && length > 0) {
        event_fail(event, TALLY_INVALID, "the text of '%.*s' is NULL, with a length", UTF8_CUT(name_of(key), 100));
        return;
    }
    const char *fault = length > WIRE_DATA_BYTES ? "is longer than event_data may be" : text_fault(text, length);
    if (fault != NULL) {
        event_fail(event, TALLY_INVALID, "the text of '%.*s' %s", UTF8_CUT(name_of(key), 100), fault);
        return;
    }
    uint8_t *to = begin_value(event, key, length + PACK_MAX);
    if (to != NULL)
        end_value(event, pack_str(to, text == NULL ? "" : text, (uint32_t)length));
}

void tally_event_text(struct tally_event *event, const char *key, const char *text)
{
    if (text == NULL)
        tally_event_null(event, key);
    else
        tally_event_text_n(event, key, text, strlen(text));
}

void tally_event_int(struct tally_event *event, const char *key, int64_t value)
{
    uint8_t *to = begin_value(event, key, PACK_MAX);
    if (to != NULL)
        end_value(event, pack_int(to, value));
}

void tally_event_uint(struct tally_event *event, const char *key, uint64_t value)
{
    uint8_t *to = begin_value(event, key, PACK_MAX);
    if (to != NULL)
        end_value(event, pack_uint(to, value));
}

void tally_event_number(struct tally_event *event, const char *key, double value)
{
    if (event_may_change(event) && !isfinite(value))
        event_fail(event, TALLY_INVALID, "the number of '%.*s' is not finite", UTF8_CUT(name_of(key), 100));
    uint8_t *to = begin_value(event, key, PACK_MAX);
    if (to != NULL)
        end_value(event, pack_double(to, value));
}

void tally_event_bool(struct tally_event *event, const char *key, bool value)
{
    uint8_t *to = begin_value(event, key, PACK_MAX);
    if (to != NULL)
        end_value(event, pack_bool(to, value));
}

void tally_event_null(struct tally_event *event, const char *key)
{
    uint8_t *to = begin_value(event, key, PACK_MAX);
    if (to != NULL)
        end_value(event, pack_nil(to));
}

void tally_event_bytes(struct tally_event *event, const char *key, const void *bytes, size_t length)
{
    if (!event_may_change(event))
        return;
    if (length > WIRE_DATA_BYTES || (bytes == NULL && length > 0)) {
        event_fail(event, TALLY_INVALID, "the bytes of '%.*s' are %s", UTF8_CUT(name_of(key), 100),
                   bytes == NULL ? "NULL, with a length" : "more than event_data may hold");
        return;
    }
    uint8_t *to = begin_value(event, key, length + PACK_MAX);
    if (to == NULL)
        return;
    to = pack_bin_header(to, (uint32_t)length);
    if (length != 0)
        memcpy(to, bytes, length);
    end_value(event, to + length);
}

void tally_event_time(struct tally_event *event, const char *key, int64_t wall_us)
{
    if (event_may_change(event) && !event_time_is_sound(wall_us))
        event_fail(event, TALLY_INVALID, "the time of '%.*s' is %lld us since 1970: it takes the years 0001 to 9999",
                   UTF8_CUT(name_of(key), 100), (long long)wall_us);
    uint8_t *to = begin_value(event, key, PACK_MAX);
    if (to != NULL)
        end_value(event, pack_timestamp(to, wall_us));
}

void event_add_entries(struct tally_event *event, const uint8_t *entries, size_t length, uint32_t count)
{
    if (event->depth == 0)
        event_fail(event, TALLY_INVALID, "the event was never begun");
    if (event->error.code != TALLY_OK)
        return;
    if (!event->open[event->depth - 1].is_map) {
        event_fail(event, TALLY_INVALID, "a map's entries do not go into an array");
        return;
    }
    uint8_t *to = length == 0 ? NULL : room(event, length);
    if (to == NULL)
        return;
    memcpy(to, entries, length);
    end_value(event, to + length);
    event->open[event->depth - 1].entries += count;
    event->has_bytes = true;
}

static void open_container(struct tally_event *event, const char *key, bool is_map)
{
    if (!event_may_change(event))
        return;
    if (event->depth == WIRE_DATA_DEPTH) {
        event_fail(event, TALLY_INVALID, "event_data has more than %d levels", WIRE_DATA_DEPTH);
        return;
    }
    uint8_t *to = begin_value(event, key, PACK_MAX);
    if (to == NULL)
        return;
    event->open[event->depth++] =
        (struct event_container){.header = (uint32_t)(to - event->bytes), .number = ++event->containers, .is_map = is_map};
    end_value(event, to + 1);
}

void tally_event_map(struct tally_event *event, const char *key)
{
    open_container(event, key, true);
}

void tally_event_array(struct tally_event *event, const char *key)
{
    open_container(event, key, false);
}

void tally_event_end(struct tally_event *event)
{
    if (!event_may_change(event))
        return;
    if (event->depth <= 1)
        event_fail(event, TALLY_INVALID, "tally_event_end without an open map or array");
    if (event->error.code != TALLY_OK)
        return;
    const struct event_container *container = &event->open[--event->depth];
    if (container->entries >= 16) {
        if (room(event, 2) == NULL)
            return;
        uint8_t *entries = event->bytes + container->header + 1;
        memmove(entries + 2, entries, event->end - container->header - 1);
        event->end += 2;
    }
    uint8_t *header = event->bytes + container->header;
    if (container->is_map)
        pack_map_header(header, container->entries);
    else
        pack_array_header(header, container->entries);
}
