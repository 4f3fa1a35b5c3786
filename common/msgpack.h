/* msgpack.h - reads msgpack from memory one item at a time, and trusts no length. Spec:
 * github.com/msgpack/msgpack/blob/master/spec.md
 *
 * msgpack_next() decodes one header; the short forms, which are nearly all, without a call. For str, bin and ext it also steps over
 * the payload, having checked it against the bytes left; for array and map the items follow. No allocation, no recursion, no I/O.
 * Any thread, one cursor each.
 */
#ifndef TALLYMILL_COMMON_MSGPACK_H
#define TALLYMILL_COMMON_MSGPACK_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "common/reason.h"

enum msgpack_type {
    ITEM_NIL,
    ITEM_BOOL,
    ITEM_UINT,
    ITEM_INT,
    ITEM_FLOAT32,
    ITEM_FLOAT64,
    ITEM_STR,
    ITEM_BIN,
    ITEM_EXT,
    ITEM_ARRAY,
    ITEM_MAP
};

struct msgpack_item {
    enum msgpack_type type;
    int8_t ext_type;      /* ITEM_EXT */
    uint32_t length;      /* bytes of STR, BIN, EXT; items of ARRAY; pairs of MAP */
    const uint8_t *bytes; /* payload of STR, BIN, EXT: borrowed from the message */
    union {
        uint64_t uint;  /* ITEM_UINT: every value >= 0, however it was encoded; ITEM_BOOL: 0 or 1 */
        int64_t sint;   /* ITEM_INT: always < 0 */
        double float64; /* ITEM_FLOAT64 */
        float float32;  /* ITEM_FLOAT32 */
    };
};

struct msgpack_cursor {
    const uint8_t *at, *end;
};

/* The part of msgpack_next() for first bytes from 0xc0 to 0xdf. */
enum reason msgpack_next_headed(struct msgpack_cursor *cursor, struct msgpack_item *item);

/* The part for fixmap, fixarray and fixstr, 0x80 to 0xbf. */
static inline enum reason msgpack_next_short(struct msgpack_cursor *cursor, struct msgpack_item *item)
{
    const uint8_t first = *cursor->at;
    const uint8_t *at = cursor->at + 1;
    const size_t left = (size_t)(cursor->end - at);
    size_t least;
    if (first >= 0xa0) {
        item->type = ITEM_STR;
        item->bytes = at;
        item->length = first & 0x1fu;
        least = item->length;
        cursor->at = at + least;
    } else {
        item->type = first >= 0x90 ? ITEM_ARRAY : ITEM_MAP;
        item->length = first & 0x0fu;
        least = first >= 0x90 ? item->length : 2 * item->length;
        cursor->at = at;
    }
    if (least <= left)
        return REASON_NONE;
    cursor->at = at - 1;
    return REASON_TRUNCATED;
}

/* Decodes the next item; REASON_NONE, or why not (TRUNCATED, FORMAT, COUNT) with `at` left at the item's first byte. */
static inline enum reason msgpack_next(struct msgpack_cursor *cursor, struct msgpack_item *item)
{
    if (cursor->at == cursor->end)
        return REASON_TRUNCATED;
    const uint8_t first = *cursor->at;
    if (first >= 0x80 && first < 0xc0)
        return msgpack_next_short(cursor, item);
    if (first >= 0xc0 && first < 0xe0)
        return msgpack_next_headed(cursor, item);
    item->type = first < 0x80 ? ITEM_UINT : ITEM_INT;
    item->sint = (int8_t)first;
    cursor->at++;
    return REASON_NONE;
}

/* The head alone, of an item that may not be here whole (a file comes in pieces): `at` is moved behind it, and `length` bytes (of
 * STR, BIN, EXT; none of them is looked at, `bytes` is where they would begin) or items follow. TRUNCATED: too little of the head
 * is here; FORMAT. */
enum reason msgpack_head(struct msgpack_cursor *cursor, struct msgpack_item *item);

/* Steps over one whole item, at most `depth` containers deep: else REASON_DEPTH. */
enum reason msgpack_skip(struct msgpack_cursor *cursor, int depth);

/* Has the map in [map, end) that key? No map (or NULL): it has none. */
bool msgpack_map_has_key(const uint8_t *map, const uint8_t *end, const char *name);

/* The time in a timestamp extension as Unix microseconds, cut downwards: REASON_NONE, EXT (another type or length) or TS_RANGE. */
enum reason msgpack_time(const struct msgpack_item *item, int64_t *wall_us);

#endif
