/* msgpack.c - the msgpack headers, one switch, compiled twice: with what follows a head compared with the bytes left, and without.
 *
 * Invariant: after REASON_NONE, `at` <= `end`, and a payload lies wholly inside the message. Lengths are compared with the bytes
 * left, never added to a pointer first. A 32-bit count that cannot fit is COUNT (a bomb: five bytes that declare four billion
 * items); a small one is TRUNCATED, which is what a cut event looks like.
 */
#include "common/msgpack.h"

#include <string.h>

#include "common/bytes.h"
#include "common/wire.h"

static uint64_t load(const uint8_t *at, unsigned bytes)
{
    switch (bytes) {
    case 8: return get_64(at);
    case 4: return get_32(at);
    case 2: return get_16(at);
    case 1: return at[0];
    default: return 0;
    }
}

static inline enum reason payload(struct msgpack_cursor *cursor, struct msgpack_item *item, enum msgpack_type type,
                                  const uint8_t *at, uint64_t length, bool is_whole)
{
    if (is_whole && length > (uint64_t)(cursor->end - at))
        return REASON_TRUNCATED;
    item->type = type;
    item->length = (uint32_t)length;
    item->bytes = at;
    cursor->at = is_whole ? at + length : at;
    return REASON_NONE;
}

static inline enum reason container(struct msgpack_cursor *cursor, struct msgpack_item *item, enum msgpack_type type,
                                    const uint8_t *at, uint64_t count, bool wide, bool is_whole)
{
    uint64_t least = type == ITEM_MAP ? count * 2 : count;
    if (is_whole && least > (uint64_t)(cursor->end - at))
        return wide ? REASON_COUNT : REASON_TRUNCATED;
    item->type = type;
    item->length = (uint32_t)count;
    cursor->at = at;
    return REASON_NONE;
}

static enum reason signed_number(struct msgpack_cursor *cursor, struct msgpack_item *item, const uint8_t *at, int64_t value)
{
    item->type = value < 0 ? ITEM_INT : ITEM_UINT;
    item->sint = value;
    cursor->at = at;
    return REASON_NONE;
}

static enum reason unsigned_number(struct msgpack_cursor *cursor, struct msgpack_item *item, const uint8_t *at, uint64_t value)
{
    item->type = ITEM_UINT;
    item->uint = value;
    cursor->at = at;
    return REASON_NONE;
}

static enum reason simple(struct msgpack_cursor *cursor, struct msgpack_item *item, enum msgpack_type type, uint64_t value)
{
    item->type = type;
    item->uint = value;
    cursor->at++;
    return REASON_NONE;
}

static inline enum reason float_32(struct msgpack_cursor *cursor, struct msgpack_item *item, const uint8_t *at, uint32_t bits)
{
    memcpy(&item->float32, &bits, sizeof bits);
    item->type = ITEM_FLOAT32;
    cursor->at = at;
    return REASON_NONE;
}

static inline enum reason float_64(struct msgpack_cursor *cursor, struct msgpack_item *item, const uint8_t *at, uint64_t bits)
{
    memcpy(&item->float64, &bits, sizeof bits);
    item->type = ITEM_FLOAT64;
    cursor->at = at;
    return REASON_NONE;
}

static inline enum reason extension(struct msgpack_cursor *cursor, struct msgpack_item *item, const uint8_t *at, uint64_t length,
                                    bool is_whole)
{
    if (at == cursor->end)
        return REASON_TRUNCATED;
    item->ext_type = (int8_t)*at;
    return payload(cursor, item, ITEM_EXT, at + 1, length, is_whole);
}

/* How many bytes of length or number follow each first byte from 0xc0 to 0xdf. */
static const uint8_t head_bytes[32] = {0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8,
                                       1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4};

__attribute__((always_inline)) static inline enum reason headed(struct msgpack_cursor *cursor, struct msgpack_item *item,
                                                                bool is_whole)
{
    const uint8_t first = *cursor->at;
    const unsigned bytes = head_bytes[first - 0xc0];
    const uint8_t *at = cursor->at + 1;
    if ((size_t)(cursor->end - at) < bytes)
        return REASON_TRUNCATED;
    /* Heads without such bytes do not look at it. */
    const uint64_t value = cursor->end - at >= 8 ? get_64(at) >> ((64 - 8 * bytes) & 63) : load(at, bytes);
    at += bytes;
    switch (first) {
    case 0xc0: return simple(cursor, item, ITEM_NIL, 0);
    case 0xc1: return REASON_FORMAT;
    case 0xc2: return simple(cursor, item, ITEM_BOOL, 0);
    case 0xc3: return simple(cursor, item, ITEM_BOOL, 1);
    case 0xc4:
    case 0xc5:
    case 0xc6: return payload(cursor, item, ITEM_BIN, at, value, is_whole);
    case 0xc7:
    case 0xc8:
    case 0xc9: return extension(cursor, item, at, value, is_whole);
    case 0xca: return float_32(cursor, item, at, (uint32_t)value);
    case 0xcb: return float_64(cursor, item, at, value);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf: return unsigned_number(cursor, item, at, value);
    case 0xd0: return signed_number(cursor, item, at, (int8_t)value);
    case 0xd1: return signed_number(cursor, item, at, (int16_t)value);
    case 0xd2: return signed_number(cursor, item, at, (int32_t)value);
    case 0xd3: return signed_number(cursor, item, at, (int64_t)value);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: return extension(cursor, item, at, UINT64_C(1) << (first - 0xd4), is_whole);
    case 0xd9:
    case 0xda:
    case 0xdb: return payload(cursor, item, ITEM_STR, at, value, is_whole);
    case 0xdc:
    case 0xdd: return container(cursor, item, ITEM_ARRAY, at, value, first == 0xdd, is_whole);
    default: return container(cursor, item, ITEM_MAP, at, value, first == 0xdf, is_whole);
    }
}

enum reason msgpack_next_headed(struct msgpack_cursor *cursor, struct msgpack_item *item)
{
    return headed(cursor, item, true);
}

enum reason msgpack_head(struct msgpack_cursor *cursor, struct msgpack_item *item)
{
    if (cursor->at == cursor->end)
        return REASON_TRUNCATED;
    const uint8_t first = *cursor->at;
    if (first >= 0xc0 && first < 0xe0)
        return headed(cursor, item, false);
    /* One byte is all of it. */
    item->type = first >= 0xe0  ? ITEM_INT
                 : first < 0x80 ? ITEM_UINT
                 : first < 0x90 ? ITEM_MAP
                 : first < 0xa0 ? ITEM_ARRAY
                                : ITEM_STR;
    if (item->type == ITEM_INT || item->type == ITEM_UINT)
        item->sint = (int8_t)first;
    else
        item->length = first & (item->type == ITEM_STR ? 0x1fu : 0x0fu);
    item->bytes = ++cursor->at;
    return REASON_NONE;
}

enum reason msgpack_skip(struct msgpack_cursor *cursor, int depth)
{
    struct msgpack_item item;
    enum reason reason = msgpack_next(cursor, &item);
    if (reason != REASON_NONE || item.type < ITEM_ARRAY)
        return reason;
    if (depth <= 0)
        return REASON_DEPTH;
    const uint64_t items = item.type == ITEM_MAP ? (uint64_t)item.length * 2 : item.length;
    for (uint64_t i = 0; i < items && reason == REASON_NONE; i++)
        reason = msgpack_skip(cursor, depth - 1);
    return reason;
}

bool msgpack_map_has_key(const uint8_t *map, const uint8_t *end, const char *name)
{
    struct msgpack_cursor cursor = {map, end};
    struct msgpack_item root, key;
    if (!map || msgpack_next(&cursor, &root) != REASON_NONE || root.type != ITEM_MAP)
        return false;
    for (uint32_t i = 0; i < root.length; i++) {
        if (msgpack_next(&cursor, &key) != REASON_NONE || key.type != ITEM_STR)
            return false;
        if (key.length == strlen(name) && memcmp(key.bytes, name, key.length) == 0)
            return true;
        if (msgpack_skip(&cursor, WIRE_DATA_DEPTH) != REASON_NONE)
            return false;
    }
    return false;
}

enum reason msgpack_time(const struct msgpack_item *item, int64_t *wall_us)
{
    int64_t seconds;
    uint64_t nanoseconds = 0;
    if (item->type != ITEM_EXT || item->ext_type != -1)
        return REASON_EXT;
    if (item->length == 4) {
        seconds = (int64_t)load(item->bytes, 4);
    } else if (item->length == 8) {
        const uint64_t packed = load(item->bytes, 8);
        nanoseconds = packed >> 34;
        seconds = (int64_t)(packed & ((UINT64_C(1) << 34) - 1));
    } else if (item->length == 12) {
        nanoseconds = load(item->bytes, 4);
        seconds = (int64_t)load(item->bytes + 4, 8);
    } else {
        return REASON_EXT;
    }
    if (nanoseconds > 999999999 || __builtin_mul_overflow(seconds, INT64_C(1000000), wall_us) ||
        __builtin_add_overflow(*wall_us, (int64_t)(nanoseconds / 1000), wall_us))
        return REASON_TS_RANGE;
    return REASON_NONE;
}
