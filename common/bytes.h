/* bytes.h - numbers in network byte order, and short byte strings compared and loaded without a call. Keys of events have 2 to 30
 * bytes: a call of memcmp costs more than the comparison.
 *
 * Loads overlap instead of running past an end: nothing outside [bytes, bytes + length) is ever read.
 */
#ifndef TALLYMILL_COMMON_BYTES_H
#define TALLYMILL_COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t load_8(const void *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint32_t load_4(const void *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline bool bytes_equal(const void *left, const void *right, size_t length)
{
    const uint8_t *a = left, *b = right;
    if (length >= 8) {
        for (size_t at = 0; at + 8 < length; at += 8)
            if (load_8(a + at) != load_8(b + at))
                return false;
        return load_8(a + length - 8) == load_8(b + length - 8);
    }
    if (length >= 4)
        return load_4(a) == load_4(b) && load_4(a + length - 4) == load_4(b + length - 4);
    for (size_t at = 0; at < length; at++)
        if (a[at] != b[at])
            return false;
    return true;
}

/* The first bytes, up to eight, as a number that differs where they do (lengths being equal). */
static inline uint64_t bytes_head(const uint8_t *bytes, size_t length)
{
    if (length >= 8)
        return load_8(bytes);
    if (length >= 4)
        return load_4(bytes) | (uint64_t)load_4(bytes + length - 4) << 32;
    uint64_t head = 0;
    for (size_t at = 0; at < length; at++)
        head = head << 8 | bytes[at];
    return head;
}

/* Network order, which Postgres's binary formats, msgpack and ours have alike. put_: returns the first byte behind what it wrote.
 */
static inline uint8_t *put_16(uint8_t *out, uint16_t value)
{
    value = __builtin_bswap16(value);
    memcpy(out, &value, sizeof value);
    return out + sizeof value;
}

static inline uint8_t *put_32(uint8_t *out, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(out, &value, sizeof value);
    return out + sizeof value;
}

static inline uint8_t *put_64(uint8_t *out, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(out, &value, sizeof value);
    return out + sizeof value;
}

static inline uint16_t get_16(const void *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap16(value);
}

static inline uint32_t get_32(const void *at)
{
    return __builtin_bswap32(load_4(at));
}

static inline uint64_t get_64(const void *at)
{
    return __builtin_bswap64(load_8(at));
}

#endif
