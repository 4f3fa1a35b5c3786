/* csv.c - see csv.h.
 *
 * Quotes stand around what needs them by RFC 4180, and around what readers are known to stumble over without them: an empty text
 * (NULL), a \ in front (\N and \. of Postgres), a blank at either end (some cut it), and ; or a tab (which Excel splits at in some
 * countries). Rejected: quotes around every text, a tenth more bytes.
 */
#include "common/csv.h"

#include <string.h>

/* What a text must not hold to stand without quotes. */
static bool is_special(char byte)
{
    return byte == ',' || byte == '"' || byte == '\n' || byte == '\r' || byte == ';' || byte == '\t';
}

static bool is_plain(const char *text, size_t length)
{
    if (length == 0 || text[0] == '\\' || text[0] == ' ' || text[length - 1] == ' ')
        return false;
    for (size_t i = 0; i < length; i++)
        if (is_special(text[i]))
            return false;
    return true;
}

bool csv_is_formula(const char *text, size_t length)
{
    return length > 0 && memchr("=+-@\t\r", text[0], 6) != NULL;
}

static char *put(char *at, const char *text, size_t length, bool is_guarded)
{
    if (is_plain(text, length)) {
        if (is_guarded)
            *at++ = '\'';
        memcpy(at, text, length);
        return at + length;
    }
    const char *const end = text + length;
    *at++ = '"';
    if (is_guarded)
        *at++ = '\'';
    while (text < end) { /* from quote to quote */
        const char *quote = memchr(text, '"', (size_t)(end - text));
        const size_t run = quote ? (size_t)(quote + 1 - text) : (size_t)(end - text);
        memcpy(at, text, run);
        at += run;
        text += run;
        if (quote)
            *at++ = '"';
    }
    *at++ = '"';
    return at;
}

char *csv_put(char *at, const char *text, size_t length)
{
    return put(at, text, length, false);
}

char *csv_put_guarded(char *at, const char *text, size_t length)
{
    return put(at, text, length, csv_is_formula(text, length));
}
