/* row_hash.c - see row_hash.h. A sum, not XOR: two equal rows do not cancel each other. */
#include "operator/row_hash.h"

#include <inttypes.h>
#include <stdio.h>

#include <xxhash.h>

void row_hash_add(struct row_hash *hash, const char *row, size_t length)
{
    const XXH128_hash_t one = XXH3_128bits(row, length);
    hash->low += one.low64;
    hash->high += one.high64 + (hash->low < one.low64);
}

const char *row_hash_text(char buffer[ROW_HASH_BYTES], const struct row_hash *hash)
{
    snprintf(buffer, ROW_HASH_BYTES, "%016" PRIx64 "%016" PRIx64, hash->high, hash->low);
    return buffer;
}
