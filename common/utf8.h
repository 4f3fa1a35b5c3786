/* utf8.h - what is a character, and where a text that is too long may be cut: between two of them, never inside one. Any thread. */
#ifndef TALLYMILL_COMMON_UTF8_H
#define TALLYMILL_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Two arguments for printf's "%.*s": `text`, or the whole characters in its first `room` bytes. */
#define UTF8_CUT(text, room) (int)utf8_whole((text), strlen(text), (room)), (text)

/* The bytes of the well-formed character at `text` (Unicode 15, table 3-7), which has `left` bytes, or 0: none stands there. */
size_t utf8_character(const unsigned char *text, size_t left);

/* The same where the first byte is above 127, and left at least 1; for texts of events, in which each call would count. */
static inline size_t utf8_sequence(const unsigned char *at, size_t left)
{
    const unsigned char first = at[0];
    if (first < 0xc2 || first > 0xf4)
        return 0;
    const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (left < length)
        return 0;
    const unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* Whether all of it is well-formed characters. */
bool utf8_is_text(const char *text);

/* How many of the first `room` bytes of `text`, which has `length`, are whole characters. Ill-formed bytes count as they stand. */
size_t utf8_whole(const char *text, size_t length, size_t room);

/* Copies as many whole characters as `room` bytes take, with a NUL behind them; returns `to`. room: at least 1. */
char *utf8_copy(char *to, size_t room, const char *text);

/* Takes the beginning of a character off the end of `text`, where a printf has cut it; returns its new length. */
size_t utf8_trim(char *text);

#endif
