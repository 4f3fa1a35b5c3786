/* next_object.c - see next_object.h.
 *
 * What a program prints looks the same from object to object: that something begins like the object at hand is a better sign of the
 * next one than any brace, of which the texts of an event may be full.
 */
#include "producer/import/next_object.h"

#include <string.h>

#include "producer/import/record.h"

/* The next line that begins an object in the same column. */
static const char *find_in_column(const char *text, size_t length, size_t first)
{
    size_t column = 0;
    const char *end = text + length;
    while (column < first && (text[first - column - 1] == ' ' || text[first - column - 1] == '\t'))
        column++;
    for (const char *line = text + first;
         (line = memchr(line, '\n', (size_t)(end - line))) != NULL;) { /* ends: each turn passes a line */
        line++;
        if ((size_t)(end - line) > column && strspn(line, " \t") == column && line[column] == '{')
            return line;
    }
    return NULL;
}

/* In a file of one line: the next object behind a comma that begins with the same key, byte for byte. */
static const char *find_by_key(const char *text, size_t length, size_t first)
{
    enum { KEY_MAX = 100 };
    size_t left = length - first < KEY_MAX ? length - first : KEY_MAX;
    const char *open = memchr(text + first, '"', left);
    const char *close = open == NULL ? NULL : memchr(open + 1, '"', left - (size_t)(open + 1 - text - first));
    if (close == NULL || text[first] != '{')
        return NULL;
    const size_t begin = (size_t)(close + 1 - text) - first;
    const char *end = text + length;
    for (const char *at = close; (at = memmem(at, (size_t)(end - at), text + first, begin)) != NULL; at++) {
        const char *before = at - 1;
        while (before > close && strchr(" \t\r\n", *before) != NULL)
            before--;
        if (*before == ',')
            return at;
    }
    return NULL;
}

const char *next_object(const char *text, size_t length)
{
    size_t first = record_skip_between(text, length);
    const char *next = find_in_column(text, length, first);
    return next != NULL || first == length ? next : find_by_key(text, length, first);
}
