/* msgpack_json.c - see msgpack_json.h.
 *
 * Depth is bounded and every length is compared with the bytes that are left before anything is reserved. msgpack-c's unpacker was
 * rejected here: it makes a tree of its own first, and reserves 6.4 GB for five bytes that declare a large array.
 */
#include "msgpack_json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "clock.h"
#include "error.h"
#include "utf8.h"

enum { DEPTH_MAX = 32 };

struct cursor {
    const uint8_t *at, *end;
    unsigned depth;
    struct error *err;
};

static json_t *read_value(struct cursor *cursor);

static json_t *refuse(struct cursor *cursor, const char *reason)
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

static json_t *read_text(struct cursor *cursor, uint64_t length)
{
    const uint8_t *text = take(cursor, length);
    if (text == NULL)
        return NULL;
    if (memchr(text, 0, length) != NULL)
        return refuse(cursor, "a text holds a NUL, which Postgres does not take");
    json_t *value = json_stringn((const char *)text, length);
    return value != NULL ? value : refuse(cursor, "a text is not UTF-8");
}

static json_t *read_bytes(struct cursor *cursor, uint64_t length)
{
    const uint8_t *bytes = take(cursor, length);
    if (bytes == NULL)
        return NULL;
    char *text = malloc(BASE64_LENGTH(length) + 1);
    json_t *value = text == NULL ? NULL : json_stringn(text, base64_encode(text, bytes, length));
    free(text);
    return value != NULL ? value : refuse(cursor, "no memory");
}

/* Type -1: seconds in 4 bytes; nanoseconds and seconds in 8; in 12. */
static json_t *read_extension(struct cursor *cursor, uint64_t length)
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
    return json_stringn(text, clock_format_time(text, wall_us));
}

static json_t *real(struct cursor *cursor, double number)
{
    json_t *value = json_real(number); /* NULL for NaN and infinities */
    return value != NULL ? value : refuse(cursor, "a number is not finite");
}

static json_t *read_float32(struct cursor *cursor)
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

static json_t *read_float64(struct cursor *cursor)
{
    uint64_t bits;
    if (!take_number(cursor, 8, &bits))
        return NULL;
    double number;
    memcpy(&number, &bits, sizeof number);
    return real(cursor, number);
}

static json_t *read_unsigned(struct cursor *cursor, unsigned bytes)
{
    uint64_t number;
    if (!take_number(cursor, bytes, &number))
        return NULL;
    if (number > INT64_MAX)
        return refuse(cursor, "an integer is above 2^63 - 1");
    return json_integer((json_int_t)number);
}

static json_t *read_signed(struct cursor *cursor, unsigned bytes)
{
    uint64_t number;
    if (!take_number(cursor, bytes, &number))
        return NULL;
    unsigned shift = 64 - 8 * bytes;
    return json_integer((json_int_t)(number << shift) >> shift);
}

static json_t *read_array(struct cursor *cursor, uint64_t count)
{
    if (cursor->depth == DEPTH_MAX)
        return refuse(cursor, "the object has more than 32 levels");
    cursor->depth++;
    json_t *array = json_array();
    bool ok = array != NULL;
    for (uint64_t i = 0; ok && i < count; i++) { /* ends with the bytes: each value takes one at least */
        json_t *value = read_value(cursor);
        ok = value != NULL && json_array_append_new(array, value) == 0;
    }
    cursor->depth--;
    if (ok)
        return array;
    json_decref(array);
    return NULL;
}

/* A key as text, owned; NULL: refused. */
static json_t *read_key(struct cursor *cursor)
{
    uint8_t type = cursor->at < cursor->end ? *cursor->at : 0;
    if ((type < 0xa0 || type > 0xbf) && (type < 0xd9 || type > 0xdb))
        return refuse(cursor, cursor->at == cursor->end ? "the msgpack object ends too early" : "a key is no text");
    return read_value(cursor);
}

static json_t *read_map(struct cursor *cursor, uint64_t count)
{
    if (cursor->depth == DEPTH_MAX)
        return refuse(cursor, "the object has more than 32 levels");
    cursor->depth++;
    json_t *map = json_object();
    bool ok = map != NULL;
    for (uint64_t i = 0; ok && i < count; i++) {
        json_t *key = read_key(cursor);
        json_t *value = key == NULL ? NULL : read_value(cursor);
        ok = value != NULL;
        if (ok && json_object_get(map, json_string_value(key)) != NULL)
            ok = error_set(cursor->err, ERROR_REJECT, "the key '%.*s' stands twice in one map", UTF8_CUT(json_string_value(key), 60));
        if (ok)
            ok = json_object_set(map, json_string_value(key), value) == 0;
        json_decref(key);
        json_decref(value);
    }
    cursor->depth--;
    if (ok)
        return map;
    json_decref(map);
    return NULL;
}

/* A count of 1, 2 or 4 bytes, then what it counts. */
static json_t *read_counted(struct cursor *cursor, unsigned bytes, json_t *read(struct cursor *, uint64_t))
{
    uint64_t count;
    return take_number(cursor, bytes, &count) ? read(cursor, count) : NULL;
}

static json_t *read_value(struct cursor *cursor)
{
    const uint8_t *at = take(cursor, 1);
    if (at == NULL)
        return NULL;
    uint8_t type = *at;
    if (type <= 0x7f || type >= 0xe0)
        return json_integer((int8_t)type);
    if (type <= 0x8f)
        return read_map(cursor, type & 15U);
    if (type <= 0x9f)
        return read_array(cursor, type & 15U);
    if (type <= 0xbf)
        return read_text(cursor, type & 31U);
    switch (type) {
    case 0xc0: return json_null();
    case 0xc2: return json_false();
    case 0xc3: return json_true();
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

json_t *msgpack_json(const void *bytes, size_t length, struct error *err)
{
    struct cursor cursor = {.at = bytes, .end = (const uint8_t *)bytes + length, .err = err};
    error_set(err, ERROR_REJECT, "no memory");
    json_t *value = read_value(&cursor);
    if (value == NULL || cursor.at == cursor.end)
        return value;
    json_decref(value);
    return refuse(&cursor, "bytes stand behind the msgpack object");
}
