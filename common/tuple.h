/* tuple.h - bytes of Postgres's binary formats, network order. Each returns the first byte behind what it wrote. */
#ifndef TALLYMILL_COMMON_TUPLE_H
#define TALLYMILL_COMMON_TUPLE_H

#include <stdint.h>
#include <string.h>

#include "common/plain_text.h"

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

/* A column: its length word and its bytes; NULL bytes: SQL's NULL. */
static inline uint8_t *put_column(uint8_t *out, const void *bytes, uint32_t length)
{
    if (!bytes)
        return put_32(out, UINT32_MAX);
    out = put_32(out, length);
    if (length > 0 && length < 16)
        copy_short(out, bytes, length);
    else if (length > 0)
        memcpy(out, bytes, length);
    return out + length;
}

static inline uint32_t get_32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

#endif
