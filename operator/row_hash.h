/* row_hash.h - a hash of many rows that no order changes: the sum modulo 2^128 of XXH3-128 over each, as COPY sends it (with its
 * line end). Any thread. */
#ifndef TALLYMILL_OPERATOR_ROW_HASH_H
#define TALLYMILL_OPERATOR_ROW_HASH_H

#include <stddef.h>
#include <stdint.h>

enum { ROW_HASH_BYTES = 33 };

/* All zeros: no row. */
struct row_hash {
    uint64_t low, high;
};

void row_hash_add(struct row_hash *hash, const char *row, size_t length);

/* 32 hexadecimal digits, the high half first. Returns `buffer`. */
const char *row_hash_text(char buffer[ROW_HASH_BYTES], const struct row_hash *hash);

#endif
