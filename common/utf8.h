/* utf8.h - where a text that is too long may be cut: between two characters, never inside one. Any thread. */
#ifndef TALLYMILL_COMMON_UTF8_H
#define TALLYMILL_COMMON_UTF8_H

#include <stddef.h>
#include <string.h>

/* Two arguments for printf's "%.*s": `text`, or the whole characters in its first `room` bytes. */
#define UTF8_CUT(text, room) (int)utf8_whole((text), strlen(text), (room)), (text)

/* The bytes of the well-formed character at `text` (Unicode 15, table 3-7), which has `left` bytes, or 0: none stands there. */
size_t utf8_character(const unsigned char *text, size_t left);

/* How many of the first `room` bytes of `text`, which has `length`, are whole characters. Ill-formed bytes count as they stand. */
size_t utf8_whole(const char *text, size_t length, size_t room);

/* Copies as many whole characters as `room` bytes take, with a NUL behind them; returns `to`. room: at least 1. */
char *utf8_copy(char *to, size_t room, const char *text);

/* Takes the beginning of a character off the end of `text`, where a printf has cut it; returns its new length. */
size_t utf8_trim(char *text);

#endif
