/* delta.c - see delta.h.
 *
 * Invariant of the writer: as long as it is not unfit, what it holds are whole entries of exactly the rows that were added. Names
 * and days are defined where they first come, so nothing has to be known ahead and the reader needs one walk. The reader checks
 * every length against the bytes that are left, and every number against what was defined.
 *
 * Rejected: sets instead of entries (a session has one or two events in a batch of live traffic, so they save little and cost the
 * worker a hash table a row); hashes instead of the session's text (both sides would need the same secret, and the statistics are
 * exact).
 */
#include "common/delta.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL /* a name's few bytes: in place it is a few multiplications */
#include <xxhash.h>

#include "common/bytes.h"
#include "common/error.h"
#include "common/uuid.h"
#include "common/wire.h"

enum { VERSION = 1, HEADER_BYTES = 9, CHECK_BYTES = 8, BYTES_PER_ROW = 80, SLOTS = 2 * DELTA_NAMES };

enum flag { NAME_IS_NEW = 1, DAY_IS_NEW = 2, SESSION_IS_UUID = 4, SESSION_IS_TEXT = 8, HAS_USER = 16, ALL_FLAGS = 31 };

/* The longest entry: flags, name and day with their definitions, session, user. */
enum { MOST_ENTRY_BYTES = 1 + 2 + WIRE_EVENT_NAME_BYTES + 5 + 1 + WIRE_SESSION_ID_BYTES + 8 };

bool delta_init(struct delta *delta, int max_rows, struct error *err)
{
    size_t capacity = HEADER_BYTES + MOST_ENTRY_BYTES + CHECK_BYTES + (size_t)max_rows * BYTES_PER_ROW;
    if (capacity > DELTA_MOST_BYTES)
        capacity = DELTA_MOST_BYTES;
    *delta = (struct delta){.bytes = malloc(capacity), .capacity = capacity};
    if (!delta->bytes)
        return error_set(err, ERROR_RETRY, "no memory for the delta of %d rows", max_rows);
    delta_reset(delta);
    return true;
}

void delta_free(struct delta *delta)
{
    free(delta->bytes);
    *delta = (struct delta){0};
}

void delta_reset(struct delta *delta)
{
    delta->used = HEADER_BYTES;
    delta->rows = delta->entries = 0;
    delta->is_unfit = false;
    delta->name_count = delta->day_count = delta->last_day = 0;
    memset(delta->slots, 0, sizeof delta->slots);
}

/* Of names. Others are UTF-8 as well, but telling so here for hardly an event is not worth it: the rows are read. */
static bool is_ascii(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\0' || (unsigned char)text[i] > 127)
            return false;
    return true;
}

static uint8_t *put_bytes(uint8_t *out, const void *bytes, size_t length)
{
    memcpy(out, bytes, length);
    return out + length;
}

/* The number and, where it is new, the definition; NULL: there are too many. */
static uint8_t *put_name(struct delta *delta, uint8_t *out, uint8_t *flags, const struct delta_event *event)
{
    size_t slot = XXH3_64bits(event->name, event->name_length) % SLOTS;
    while (delta->slots[slot] != 0) { /* ends: the table is at most half full */
        const struct delta_name *name = &delta->names[delta->slots[slot] - 1];
        if (name->length == event->name_length && memcmp(delta->bytes + name->at, event->name, name->length) == 0) {
            *out = (uint8_t)(delta->slots[slot] - 1);
            return out + 1;
        }
        slot = (slot + 1) % SLOTS;
    }
    if (delta->name_count == DELTA_NAMES || event->name_length > WIRE_EVENT_NAME_BYTES ||
        !is_ascii(event->name, event->name_length))
        return NULL;
    *flags |= NAME_IS_NEW;
    *out++ = (uint8_t)delta->name_count;
    *out++ = (uint8_t)event->name_length;
    delta->names[delta->name_count++] = (struct delta_name){(uint32_t)(out - delta->bytes), (uint8_t)event->name_length};
    delta->slots[slot] = (uint8_t)delta->name_count;
    return put_bytes(out, event->name, event->name_length);
}

static uint8_t *put_day(struct delta *delta, uint8_t *out, uint8_t *flags, int32_t day)
{
    unsigned number = delta->last_day;
    if (delta->day_count == 0 || delta->days[number] != day)
        for (number = 0; number < delta->day_count && delta->days[number] != day;)
            number++;
    if (number == DELTA_DAYS)
        return NULL;
    delta->last_day = number;
    *out++ = (uint8_t)number;
    if (number < delta->day_count)
        return out;
    *flags |= DAY_IS_NEW;
    delta->days[delta->day_count++] = day;
    return put_32(out, (uint32_t)day);
}

static uint8_t *put_session(uint8_t *out, uint8_t *flags, const struct delta_event *event)
{
    if (!event->session)
        return out;
    if (uuid_read_canonical(event->session, event->session_length, out)) {
        *flags |= SESSION_IS_UUID;
        return out + UUID_BYTES;
    }
    if (event->session_length > WIRE_SESSION_ID_BYTES)
        return NULL;
    *flags |= SESSION_IS_TEXT;
    *out++ = (uint8_t)event->session_length;
    return put_bytes(out, event->session, event->session_length);
}

static bool put_entry(struct delta *delta, const struct delta_event *event)
{
    if (delta->capacity - delta->used < MOST_ENTRY_BYTES + CHECK_BYTES)
        return false;
    uint8_t *begin = delta->bytes + delta->used, flags = 0;
    uint8_t *out = put_name(delta, begin + 1, &flags, event);
    if (out)
        out = put_day(delta, out, &flags, event->day);
    if (out)
        out = put_session(out, &flags, event);
    if (!out)
        return false;
    if (event->has_user) {
        flags |= HAS_USER;
        out = put_64(out, event->user);
    }
    *begin = flags;
    delta->used = (size_t)(out - delta->bytes);
    delta->entries++;
    return true;
}

void delta_add(struct delta *delta, const struct delta_event *event)
{
    delta->rows++;
    if (!delta->is_unfit)
        delta->is_unfit = !put_entry(delta, event);
}

void delta_add_internal(struct delta *delta)
{
    delta->rows++;
}

const uint8_t *delta_finish(struct delta *delta, size_t *length)
{
    if (delta->is_unfit)
        return NULL;
    delta->bytes[0] = VERSION;
    put_32(put_32(delta->bytes + 1, delta->rows), delta->entries);
    put_64(delta->bytes + delta->used, XXH3_64bits(delta->bytes, delta->used));
    *length = delta->used + CHECK_BYTES;
    return delta->bytes;
}

/* ---- reading ---- */

static size_t left(const struct delta_reader *reader)
{
    return (size_t)(reader->end - reader->next);
}

/* `length` bytes, or NULL where there are fewer. */
static const uint8_t *take(struct delta_reader *reader, size_t length)
{
    if (left(reader) < length)
        return NULL;
    const uint8_t *bytes = reader->next;
    reader->next += length;
    return bytes;
}

bool delta_open(struct delta_reader *reader, const void *bytes, size_t length)
{
    *reader = (struct delta_reader){.next = bytes};
    if (length < HEADER_BYTES + CHECK_BYTES)
        return false;
    reader->end = reader->next + length - CHECK_BYTES;
    const uint8_t *header = take(reader, HEADER_BYTES);
    reader->rows = get_32(header + 1);
    reader->entries = get_32(header + 5);
    return header[0] == VERSION && reader->entries <= reader->rows &&
           XXH3_64bits(bytes, length - CHECK_BYTES) == get_64(reader->end);
}

static bool define_name(struct delta_reader *reader, unsigned number)
{
    const uint8_t *length = take(reader, 1);
    const uint8_t *text = length ? take(reader, *length) : NULL;
    if (!text || number != reader->name_count || number == DELTA_NAMES || !is_ascii((const char *)text, *length))
        return false;
    reader->names[number].text = (const char *)text;
    reader->names[number].length = *length;
    reader->name_count++;
    return true;
}

static bool define_day(struct delta_reader *reader, unsigned number)
{
    const uint8_t *bytes = take(reader, 4);
    if (!bytes || number != reader->day_count || number == DELTA_DAYS)
        return false;
    reader->days[number] = (int32_t)get_32(bytes);
    reader->day_count++;
    return true;
}

static bool read_name(struct delta_reader *reader, uint8_t flags, struct delta_event *event)
{
    const uint8_t *number = take(reader, 1);
    if (!number || (flags & NAME_IS_NEW && !define_name(reader, *number)) || *number >= reader->name_count)
        return false;
    event->name_number = *number;
    event->name = reader->names[*number].text;
    event->name_length = reader->names[*number].length;
    return true;
}

static bool read_day(struct delta_reader *reader, uint8_t flags, struct delta_event *event)
{
    const uint8_t *number = take(reader, 1);
    if (!number || (flags & DAY_IS_NEW && !define_day(reader, *number)) || *number >= reader->day_count)
        return false;
    event->day = reader->days[*number];
    return true;
}

static bool read_session(struct delta_reader *reader, uint8_t flags, struct delta_event *event)
{
    event->is_uuid = flags & SESSION_IS_UUID;
    event->session_length = UUID_BYTES;
    if (flags & SESSION_IS_TEXT) {
        const uint8_t *length = take(reader, 1);
        if (!length)
            return false;
        event->session_length = *length;
    }
    event->session = flags & (SESSION_IS_UUID | SESSION_IS_TEXT) ? (const char *)take(reader, event->session_length) : NULL;
    return event->session || !(flags & (SESSION_IS_UUID | SESSION_IS_TEXT));
}

static bool read_user(struct delta_reader *reader, uint8_t flags, struct delta_event *event)
{
    event->has_user = flags & HAS_USER;
    const uint8_t *bytes = event->has_user ? take(reader, 8) : NULL;
    if (!bytes)
        return !event->has_user;
    event->user = get_64(bytes);
    return true;
}

enum delta_outcome delta_next(struct delta_reader *reader, struct delta_event *event)
{
    if (left(reader) == 0)
        return reader->entries == 0 ? DELTA_END : DELTA_DAMAGED;
    if (reader->entries-- == 0)
        return DELTA_DAMAGED;
    const uint8_t flags = *take(reader, 1);
    if (flags > ALL_FLAGS || (flags & SESSION_IS_UUID && flags & SESSION_IS_TEXT))
        return DELTA_DAMAGED;
    return read_name(reader, flags, event) && read_day(reader, flags, event) && read_session(reader, flags, event) &&
                   read_user(reader, flags, event)
               ? DELTA_EVENT
               : DELTA_DAMAGED;
}
