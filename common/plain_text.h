/* plain_text.h - text in which no byte needs a look, sixteen bytes at a time: nearly all text of events is plain ASCII without a
 * quote or a backslash.
 *
 * Vectors are the compilers' own (gcc and clang, every processor), a comparison of signed bytes with 0x20 finds control characters
 * and what is not ASCII at once. Short texts are loaded and stored in two halves that overlap: nothing outside [text, text +
 * length) is read, nothing behind to + length written. Rejected: a table of 256 flags, a load a byte, was three times slower.
 */
#ifndef TALLYMILL_COMMON_PLAIN_TEXT_H
#define TALLYMILL_COMMON_PLAIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/bytes.h"

typedef int8_t byte_vector __attribute__((vector_size(16)));
typedef uint64_t word_vector __attribute__((vector_size(16)));

static inline byte_vector load_vector(const void *at)
{
    byte_vector vector;
    memcpy(&vector, at, sizeof vector);
    return vector;
}

static inline bool any_byte(byte_vector found)
{
    const word_vector words = (word_vector)found;
    return (words[0] | words[1]) != 0;
}

/* Bytes that JSON escapes, and those that are not ASCII. */
static inline byte_vector not_plain(byte_vector bytes)
{
    return (byte_vector)((bytes < 0x20) | (bytes == '"') | (bytes == '\\'));
}

/* A text of 1 to 15 bytes: its bytes, some of them twice, and others that are plain. */
static inline byte_vector short_vector(const uint8_t *text, size_t length)
{
    word_vector words;
    if (length >= 8) {
        words = (word_vector){load_8(text), load_8(text + length - 8)};
    } else if (length >= 4) {
        const uint64_t both = load_4(text) | (uint64_t)load_4(text + length - 4) << 32;
        words = (word_vector){both, both};
    } else {
        const uint64_t bytes = (uint64_t)text[0] << 16 | (uint64_t)text[length / 2] << 8 | text[length - 1];
        words = (word_vector){bytes | UINT64_C(0x6161616161000000), UINT64_C(0x6161616161616161)};
    }
    return (byte_vector)words;
}

/* Copies 1 to 15 bytes. */
static inline void copy_short(uint8_t *to, const uint8_t *text, size_t length)
{
    if (length >= 8) {
        memcpy(to, text, 8);
        memcpy(to + length - 8, text + length - 8, 8);
    } else if (length >= 4) {
        memcpy(to, text, 4);
        memcpy(to + length - 4, text + length - 4, 4);
    } else {
        to[0] = text[0];
        to[length / 2] = text[length / 2];
        to[length - 1] = text[length - 1];
    }
}

/* Copies a text, or answers false where a byte of it needs a look; what lies at `to` then means nothing. */
static inline bool copy_plain(uint8_t *to, const uint8_t *text, size_t length)
{
    if (length < 16) {
        if (length == 0)
            return true;
        if (any_byte(not_plain(short_vector(text, length))))
            return false;
        copy_short(to, text, length);
        return true;
    }
    byte_vector found = {0};
    for (size_t at = 0; at + 16 < length; at += 16) {
        const byte_vector bytes = load_vector(text + at);
        memcpy(to + at, &bytes, sizeof bytes);
        found |= not_plain(bytes);
    }
    const byte_vector last = load_vector(text + length - 16);
    memcpy(to + length - 16, &last, sizeof last);
    return !any_byte(found | not_plain(last));
}

/* Is it ASCII without NUL? */
static inline bool is_plain(const uint8_t *text, size_t length)
{
    if (length < 16)
        return length == 0 || !any_byte((byte_vector)(short_vector(text, length) <= 0));
    byte_vector found = (byte_vector)(load_vector(text + length - 16) <= 0);
    for (size_t at = 0; at + 16 < length; at += 16)
        found |= (byte_vector)(load_vector(text + at) <= 0);
    return !any_byte(found);
}

#endif
