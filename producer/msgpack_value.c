/* msgpack_value.c - see msgpack_value.h.
 *
 * Depth is bounded and every length is compared with the bytes that are left before anything is reserved. msgpack-c's unpacker was
 * rejected here: it makes a tree of its own first, and reserves 6.4 GB for five bytes that declare a large array.
 */
#include "msgpack_value.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "clock.h"
#include "error.h"
#include "text.h"
#include "value.h"

struct cursor {
    const uint8_t *at, *end;
    unsigned depth;
    struct value_pool *pool;
    struct error *err;
};

static struct value *read_value(struct cursor *cursor);

static struct value *refuse(struct cursor *cursor, const char *reason)
{
    error_set(cursor->err, ERROR_REJECT, "%s", reason);
    return NULL;
}

/* The next `count` bytes, or NULL. */
static const uint8_t *take(struct cursor *cursor, uint64_t count)
{
    const uint8_t *at = cursor->at;
    if (count > (uint64_t)(cursor->end - cursor->at)) {
        refuse(cursor, "the msgpack object ends too early");
        return NULL;
    }
    cursor->at += count;
    return at;
}

static bool take_number(struct cursor *cursor, unsigned bytes, uint64_t *number)
{
    const uint8_t *at = take(cursor, bytes);
    *number = 0;
    for (unsigned i = 0; at != NULL && i < bytes; i++)
        *number = *number << 8 | at[i];
    return at != NULL;
}

static struct value *read_text(struct cursor *cursor, uint64_t length)
{
    const uint8_t *text = take(cursor, length);
    if (text == NULL)
        return NULL;
    if (memchr(text, 0, length) != NULL)
        return refuse(cursor, "a text holds a NUL, which Postgres does not take");
    if (text_fault((const char *)text, length) != NULL)
        return refuse(cursor, "a text is not UTF-8");
    return value_text(cursor->pool, (const char *)text, length, cursor->err);
}

static struct value *read_bytes(struct cursor *cursor, uint64_t length)
{
    const uint8_t *bytes = take(cursor, length);
    if (bytes == NULL)
        return NULL;
    char *text = value_room(cursor->pool, BASE64_LENGTH(length), cursor->err);
    struct value *value = text == NULL ? NULL : value_new(cursor->pool, VALUE_TEXT, cursor->err);
    if (value == NULL)
        return NULL;
    value->length = base64_encode(text, bytes, length);
    text[value->length] = '\0';
    value->text = text;
    return value;
}

/* Type -1: seconds in 4 bytes; nanoseconds and seconds in 8; in 12. */
static struct value *read_extension(struct cursor *cursor, uint64_t length)
{
    const uint8_t *type = take(cursor, 1);
    if (type == NULL)
        return NULL;
    if (*type != 0xff || (length != 4 && length != 8 && length != 12))
        return refuse(cursor, "an extension that is no timestamp");
    uint64_t nanoseconds = 0, number;
    if ((length == 12 && !take_number(cursor, 4, &nanoseconds)) || !take_number(cursor, length == 4 ? 4 : 8, &number))
        return NULL;
    int64_t seconds = (int64_t)number, wall_us;
    if (length == 8) {
        nanoseconds = number >> 34;
        seconds = (int64_t)(number & ((UINT64_C(1) << 34) - 1));
    }
    if (nanoseconds > 999999999 || __builtin_mul_overflow(seconds, CLOCK_SECOND_US, &wall_us) ||
        __builtin_add_overflow(wall_us, (int64_t)(nanoseconds / 1000), &wall_us))
        return refuse(cursor, "a timestamp is out of range");
    char text[CLOCK_TIME_BYTES];
    return value_text(cursor->pool, text, clock_format_time(text, wall_us), cursor->err);
}

static struct value *real(struct cursor *cursor, double number)
{
    if (!isfinite(number))
        return refuse(cursor, "a number is not finite");
    struct value *value = value_new(cursor->pool, VALUE_REAL, cursor->err);
    if (value != NULL)
        value->real = number;
    return value;
}

static struct value *read_float32(struct cursor *cursor)
{
    uint64_t number;
    if (!take_number(cursor, 4, &number))
        return NULL;
    uint32_t bits = (uint32_t)number;
    float single;
    memcpy(&single, &bits, sizeof single);
    char text[32];
    for (int digits = 6; digits <= 9; digits++) { /* nine always do */
        snprintf(text, sizeof text, "%.*g", digits, (double)single);
        if (strtof(text, NULL) == single)
            return real(cursor, strtod(text, NULL));
    }
    return real(cursor, (double)single);
}

static struct value *read_float64(struct cursor *cursor)
{
    uint64_t bits;
    if (!take_number(cursor, 8, &bits))
        return NULL;
    double number;
    memcpy(&number, &bits, sizeof number);
    return real(cursor, number);
}

static struct value *integer(struct cursor *cursor, int64_t number)
{
    struct value *value = value_new(cursor->pool, VALUE_INTEGER, cursor->err);
    if (value != NULL)
        value->integer = number;
    return value;
}

static struct value *read_unsigned(struct cursor *cursor, unsigned bytes)
{
    uint64_t number;
    if (!take_number(cursor, bytes, &number))
        return NULL;
    if (number <= INT64_MAX)
        return integer(cursor, (int64_t)number);
    struct value *value = value_new(cursor->pool, VALUE_UNSIGNED, cursor->err);
    if (value != NULL)
        value->whole = number;
    return value;
}

static struct value *read_signed(struct cursor *cursor, unsigned bytes)
{
    uint64_t number;
    if (!take_number(cursor, bytes, &number))
        return NULL;
    unsigned shift = 64 - 8 * bytes;
    return integer(cursor, (int64_t)(number << shift) >> shift);
}

/* False: more levels than may be. */
static bool enter(struct cursor *cursor)
{
    if (cursor->depth == VALUE_DEPTH_MAX)
        return refuse(cursor, "the object has more than 32 levels") != NULL;
    cursor->depth++;
    return true;
}

static struct value *read_array(struct cursor *cursor, uint64_t count)
{
    struct value *array = enter(cursor) ? value_new(cursor->pool, VALUE_ARRAY, cursor->err) : NULL;
    for (uint64_t i = 0; array != NULL && i < count; i++) { /* ends with the bytes: each value takes one at least */
        struct value *value = read_value(cursor);
        if (value == NULL)
            return NULL;
        value_add(array, NULL, 0, value);
    }
    cursor->depth--;
    return array;
}

/* A key as text; NULL: refused. */
static struct value *read_key(struct cursor *cursor)
{
    uint8_t type = cursor->at < cursor->end ? *cursor->at : 0;
    if ((type < 0xa0 || type > 0xbf) && (type < 0xd9 || type > 0xdb))
        return refuse(cursor, cursor->at == cursor->end ? "the msgpack object ends too early" : "a key is no text");
    return read_value(cursor);
}

static struct value *read_map(struct cursor *cursor, uint64_t count)
{
    struct value *map = enter(cursor) ? value_new(cursor->pool, VALUE_OBJECT, cursor->err) : NULL;
    for (uint64_t i = 0; map != NULL && i < count; i++) {
        struct value *key = read_key(cursor);
        struct value *value = key == NULL ? NULL : read_value(cursor);
        if (value == NULL)
            return NULL;
        value_add(map, key->text, key->length, value);
    }
    cursor->depth--;
    return map != NULL && value_keys_are_unique(cursor->pool, map, cursor->err) ? map : NULL;
}

/* A count of 1, 2 or 4 bytes, then what it counts. */
static struct value *read_counted(struct cursor *cursor, unsigned bytes, struct value *read(struct cursor *, uint64_t))
{
    uint64_t count;
    return take_number(cursor, bytes, &count) ? read(cursor, count) : NULL;
}

static struct value *read_value(struct cursor *cursor)
{
    const uint8_t *at = take(cursor, 1);
    if (at == NULL)
        return NULL;
    uint8_t type = *at;
    if (type <= 0x7f || type >= 0xe0)
        return integer(cursor, (int8_t)type);
    if (type <= 0x8f)
        return read_map(cursor, type & 15U);
    if (type <= 0x9f)
        return read_array(cursor, type & 15U);
    if (type <= 0xbf)
        return read_text(cursor, type & 31U);
    switch (type) {
    case 0xc0: return value_new(cursor->pool, VALUE_NULL, cursor->err);
    case 0xc2: return value_new(cursor->pool, VALUE_FALSE, cursor->err);
    case 0xc3: return value_new(cursor->pool, VALUE_TRUE, cursor->err);
    case 0xc4:
    case 0xc5:
    case 0xc6: return read_counted(cursor, 1U << (type - 0xc4), read_bytes);
    case 0xc7:
    case 0xc8:
    case 0xc9: return read_counted(cursor, 1U << (type - 0xc7), read_extension);
    case 0xca: return read_float32(cursor);
    case 0xcb: return read_float64(cursor);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf: return read_unsigned(cursor, 1U << (type - 0xcc));
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3: return read_signed(cursor, 1U << (type - 0xd0));
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: return read_extension(cursor, 1U << (type - 0xd4));
    case 0xd9:
    case 0xda:
    case 0xdb: return read_counted(cursor, 1U << (type - 0xd9), read_text);
    case 0xdc:
    case 0xdd: return read_counted(cursor, 2U << (type - 0xdc), read_array);
    case 0xde:
    case 0xdf: return read_counted(cursor, 2U << (type - 0xde), read_map);
    default: return refuse(cursor, "no msgpack (byte c1)");
    }
}

struct value *msgpack_value(struct value_pool *pool, const void *bytes, size_t length, struct error *err)
{
    struct cursor cursor = {.at = bytes, .end = (const uint8_t *)bytes + length, .pool = pool, .err = err};
    struct value *value = read_value(&cursor);
    return value == NULL || cursor.at == cursor.end ? value : refuse(&cursor, "bytes stand behind the msgpack object");
}
