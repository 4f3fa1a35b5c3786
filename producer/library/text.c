/* text.c - see text.h.
 *
 * Nearly all text is ASCII: eight bytes at a time are asked whether one is above 127 or zero, and only then does the byte-wise
 * check run; most texts are short, so the last word overlaps the one before instead of being taken byte by byte. A decoder by table
 * was rejected: it is no faster on ASCII, and the ranges of RFC 3629's grammar can be read here.
 */
#include "producer/library/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/utf8.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)
#define LOW_BITS  UINT64_C(0x0101010101010101)

/* No byte of the word is above 127 or zero (Hacker's Delight 6-1; exact for words without high bits). */
static bool is_plain(uint64_t word)
{
    return ((word | (word - LOW_BITS)) & HIGH_BITS) == 0;
}

static uint64_t load_8(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static uint64_t load_4(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* All of it, without a loop over single bytes: the last word overlaps the one before. */
static bool is_all_plain(const uint8_t *at, size_t length)
{
    if (length >= 8) {
        const uint8_t *last = at + length - 8;
        for (; at < last; at += 8)
            if (!is_plain(load_8(at)))
                return false;
        return is_plain(load_8(last));
    }
    if (length >= 4)
        return is_plain(load_4(at) << 32 | load_4(at + length - 4));
    return is_plain(LOW_BITS << 24 | (uint64_t)at[0] << 16 | (uint64_t)at[length / 2] << 8 | at[length - 1]);
}

/* From the first byte on that is not plain. */
static const char *slow_fault(const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        if (end - at >= 8 && is_plain(load_8(at))) {
            at += 8;
        } else if (*at == 0) {
            return "holds a NUL";
        } else if (*at < 0x80) {
            at++;
        } else {
            size_t code_point = utf8_sequence(at, (size_t)(end - at));
            if (code_point == 0)
                return "is not UTF-8";
            at += code_point;
        }
    }
    return NULL;
}

const char *text_fault(const char *text, size_t length)
{
    const uint8_t *at = (const uint8_t *)text;
    if (length == 0 || is_all_plain(at, length)) /* empty text may be NULL */
        return NULL;
    return slow_fault(at, at + length);
}
