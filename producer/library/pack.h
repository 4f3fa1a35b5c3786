/* pack.h - msgpack's bytes, each value in its shortest form. Specification: msgpack.org, "Formats".
 *
 * Each function writes at `to` and returns the end of what it wrote; the caller has made room (PACK_MAX bytes for anything but the
 * bytes of texts and binaries). By hand rather than with msgpack-c, which calls through a pointer for each piece and wants the
 * number of a map's entries before the first of them. msgpack-c is the oracle in the tests.
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_PACK_H
#define TALLYMILL_PRODUCER_LIBRARY_PACK_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/bytes.h"

enum { PACK_MAX = 15 }; /* the longest of these: a timestamp extension of 12 bytes */

/* `bytes` is 1, 2, 4 or 8, and a constant wherever this is called: one swap and one store are left of it. */
static inline uint8_t *pack_big_endian(uint8_t *to, uint64_t value, unsigned bytes)
{
    uint8_t ordered[8];
    put_64(ordered, value << (64 - 8 * bytes));
    memcpy(to, ordered, bytes);
    return to + bytes;
}

static inline uint8_t *pack_tagged(uint8_t *to, uint8_t tag, uint64_t value, unsigned bytes)
{
    *to = tag;
    return pack_big_endian(to + 1, value, bytes);
}

static inline uint8_t *pack_nil(uint8_t *to)
{
    *to = 0xc0;
    return to + 1;
}

static inline uint8_t *pack_bool(uint8_t *to, bool value)
{
    *to = value ? 0xc3 : 0xc2;
    return to + 1;
}

static inline uint8_t *pack_uint(uint8_t *to, uint64_t value)
{
    if (value < 0x80) {
        *to = (uint8_t)value;
        return to + 1;
    }
    if (value <= UINT8_MAX)
        return pack_tagged(to, 0xcc, value, 1);
    if (value <= UINT16_MAX)
        return pack_tagged(to, 0xcd, value, 2);
    return value <= UINT32_MAX ? pack_tagged(to, 0xce, value, 4) : pack_tagged(to, 0xcf, value, 8);
}

static inline size_t pack_uint_size(uint64_t value)
{
    return value < 0x80 ? 1 : value <= UINT8_MAX ? 2 : value <= UINT16_MAX ? 3 : value <= UINT32_MAX ? 5 : 9;
}

static inline uint8_t *pack_int(uint8_t *to, int64_t value)
{
    if (value >= 0)
        return pack_uint(to, (uint64_t)value);
    if (value >= -32) {
        *to = (uint8_t)value;
        return to + 1;
    }
    if (value >= INT8_MIN)
        return pack_tagged(to, 0xd0, (uint64_t)value, 1);
    if (value >= INT16_MIN)
        return pack_tagged(to, 0xd1, (uint64_t)value, 2);
    return value >= INT32_MIN ? pack_tagged(to, 0xd2, (uint64_t)value, 4) : pack_tagged(to, 0xd3, (uint64_t)value, 8);
}

static inline uint8_t *pack_double(uint8_t *to, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return pack_tagged(to, 0xcb, bits, 8);
}

static inline uint8_t *pack_str_header(uint8_t *to, uint32_t length)
{
    if (length < 32) {
        *to = (uint8_t)(0xa0 | length);
        return to + 1;
    }
    if (length <= UINT8_MAX)
        return pack_tagged(to, 0xd9, length, 1);
    return length <= UINT16_MAX ? pack_tagged(to, 0xda, length, 2) : pack_tagged(to, 0xdb, length, 4);
}

/* Of a header and the text's bytes. */
static inline size_t pack_str_size(size_t length)
{
    return length + (length < 32 ? 1 : length <= UINT8_MAX ? 2 : length <= UINT16_MAX ? 3 : 5);
}

static inline uint8_t *pack_str(uint8_t *to, const char *text, uint32_t length)
{
    to = pack_str_header(to, length);
    memcpy(to, text, length);
    return to + length;
}

static inline uint8_t *pack_bin_header(uint8_t *to, uint32_t length)
{
    if (length <= UINT8_MAX)
        return pack_tagged(to, 0xc4, length, 1);
    return length <= UINT16_MAX ? pack_tagged(to, 0xc5, length, 2) : pack_tagged(to, 0xc6, length, 4);
}

static inline uint8_t *pack_map_header(uint8_t *to, uint32_t entries)
{
    if (entries < 16) {
        *to = (uint8_t)(0x80 | entries);
        return to + 1;
    }
    return entries <= UINT16_MAX ? pack_tagged(to, 0xde, entries, 2) : pack_tagged(to, 0xdf, entries, 4);
}

static inline size_t pack_map_header_size(uint32_t entries)
{
    return entries < 16 ? 1 : entries <= UINT16_MAX ? 3 : 5;
}

static inline uint8_t *pack_array_header(uint8_t *to, uint32_t items)
{
    if (items < 16) {
        *to = (uint8_t)(0x90 | items);
        return to + 1;
    }
    return items <= UINT16_MAX ? pack_tagged(to, 0xdc, items, 2) : pack_tagged(to, 0xdd, items, 4);
}

/* The timestamp extension in the shortest of its three forms, from Unix microseconds. */
static inline uint8_t *pack_timestamp(uint8_t *to, int64_t wall_us)
{
    int64_t seconds = wall_us / 1000000 - (wall_us % 1000000 < 0);
    uint32_t nanoseconds = (uint32_t)(wall_us - seconds * 1000000) * 1000;
    if (seconds < 0 || seconds >> 34 != 0) {
        memcpy(to, "\xc7\x0c\xff", 3);
        return pack_big_endian(pack_big_endian(to + 3, nanoseconds, 4), (uint64_t)seconds, 8);
    }
    if (nanoseconds == 0 && seconds <= UINT32_MAX) {
        memcpy(to, "\xd6\xff", 2);
        return pack_big_endian(to + 2, (uint64_t)seconds, 4);
    }
    memcpy(to, "\xd7\xff", 2);
    return pack_big_endian(to + 2, (uint64_t)nanoseconds << 34 | (uint64_t)seconds, 8);
}

#endif
