/* utf8.c - see utf8.h. Postgres refuses a text that ends inside a character, and a reader of JSON the whole document: so a cut text
 * is a broken one. */
#include "common/utf8.h"

#include <string.h>

size_t utf8_character(const unsigned char *text, size_t left)
{
    if (left == 0)
        return 0;
    return text[0] < 0x80 ? 1 : utf8_sequence(text, left);
}

bool utf8_is_text(const char *text)
{
    for (size_t left = strlen(text), length; left > 0; left -= length, text += length) { /* ends: with the text */
        length = utf8_character((const unsigned char *)text, left);
        if (length == 0)
            return false;
    }
    return true;
}

/* Bytes at the end of text[0..length) that begin a character and do not end it. */
static size_t begun(const char *text, size_t length)
{
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        const unsigned char byte = (unsigned char)text[length - back];
        if ((byte & 0xC0) == 0x80)
            continue;
        const size_t bytes = byte > 0xF4 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1;
        return bytes > back ? back : 0;
    }
    return 0;
}

size_t utf8_whole(const char *text, size_t length, size_t room)
{
    return length <= room ? length : room - begun(text, room);
}

char *utf8_copy(char *to, size_t room, const char *text)
{
    const size_t length = utf8_whole(text, strnlen(text, room), room - 1);
    memmove(to, text, length);
    to[length] = '\0';
    return to;
}

size_t utf8_trim(char *text)
{
    const size_t length = strlen(text), whole = length - begun(text, length);
    text[whole] = '\0';
    return whole;
}
