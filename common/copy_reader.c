/* copy_reader.c - header, tuples, trailer; every length is checked against the bytes that are left.
 *
 * Invariant: after COPY_TUPLE every field points into the message. The data comes from a server we trust, so damage means that we
 * are out of step with it: an error, never a guess.
 *
 * Rejected: text format, which costs the backend 0.3 us more a row for timestamps alone.
 */
#include "common/copy_reader.h"

#include <string.h>

#include "common/bytes.h"
#include "common/error.h"

static const char signature[11] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', (char)0xff, '\r', '\n', '\0'};

enum { HEADER_BYTES = 19, TRAILER = -1, NULL_LENGTH = -1 };

void copy_reader_init(struct copy_reader *reader)
{
    *reader = (struct copy_reader){0};
}

static inline int32_t get_int32(const char *bytes)
{
    return (int32_t)get_32(bytes);
}

static enum copy_outcome damaged(struct error *err, const char *what)
{
    error_set(err, ERROR_FATAL, "what Postgres sent is no binary COPY data: %s", what);
    return COPY_DAMAGED;
}

/* The number of bytes that the header takes, 0 if there is none. */
static size_t header_length(const char *message, size_t length)
{
    if (length < HEADER_BYTES || memcmp(message, signature, sizeof signature) != 0)
        return 0;
    uint32_t extension = (uint32_t)get_int32(message + HEADER_BYTES - 4);
    return extension > length - HEADER_BYTES ? 0 : HEADER_BYTES + extension;
}

static enum copy_outcome take_fields(const char *next, const char *end, struct copy_tuple *tuple, struct error *err)
{
    for (unsigned i = 0; i < tuple->count; i++) {
        if (end - next < 4)
            return damaged(err, "a field's length is cut off");
        int32_t length = get_int32(next);
        next += 4;
        if (length == NULL_LENGTH) {
            tuple->fields[i] = (struct copy_field){0};
            continue;
        }
        if (length < 0 || length > end - next)
            return damaged(err, "a field is longer than its message");
        tuple->fields[i] = (struct copy_field){.bytes = next, .length = (uint32_t)length};
        next += length;
    }
    return next == end ? COPY_TUPLE : damaged(err, "bytes behind a tuple");
}

enum copy_outcome copy_reader_take(struct copy_reader *reader, const char *message, size_t length, struct copy_tuple *tuple,
                                   struct error *err)
{
    const char *next = message, *end = message + length;
    if (!reader->has_header) {
        size_t skipped = header_length(message, length);
        if (skipped == 0)
            return damaged(err, "no header");
        reader->has_header = true;
        next += skipped;
    }
    if (next == end)
        return COPY_NOTHING;
    if (end - next < 2)
        return damaged(err, "half a number");
    int16_t count = (int16_t)get_16(next);
    next += 2;
    if (count == TRAILER && next == end) {
        reader->is_ended = true;
        return COPY_NOTHING;
    }
    if (reader->is_ended || count < 0 || count > COPY_FIELDS)
        return damaged(err, "an unexpected number of fields");
    tuple->count = (unsigned)count;
    return take_fields(next, end, tuple, err);
}

int64_t copy_field_int64(const struct copy_field *field)
{
    return (int64_t)get_64(field->bytes);
}

int32_t copy_field_int32(const struct copy_field *field)
{
    return get_int32(field->bytes);
}

/* array_send(): dimensions, has-null flag, element type, then size and lower bound of each dimension, then length and bytes of each
 * element. */
int copy_field_int32_array(const struct copy_field *field, int32_t *elements, int capacity)
{
    enum { FIXED = 12, DIMENSION = 8, ELEMENT = 8 };
    if (!field->bytes || field->length < FIXED)
        return -1;
    int32_t dimensions = get_int32(field->bytes);
    if (dimensions == 0)
        return 0;
    if (dimensions != 1 || get_int32(field->bytes + 4) != 0 || field->length < FIXED + DIMENSION)
        return -1;
    int32_t count = get_int32(field->bytes + FIXED);
    if (count < 0 || (uint64_t)count * ELEMENT != field->length - (FIXED + DIMENSION))
        return -1;
    const char *next = field->bytes + FIXED + DIMENSION;
    for (int32_t i = 0; i < count; i++, next += ELEMENT) {
        if (get_int32(next) != 4)
            return -1;
        if (i < capacity)
            elements[i] = get_int32(next + 4);
    }
    return count;
}
