/* error.c - see error.h.
 *
 * The text is made in a buffer of its own and then copied, so that a call may quote the very error it fills
 * (`error_set(err, kind, "%s", err->text)`). It leaves here as one line: libpq's and librdkafka's texts hold newlines and tabs,
 * and an input may hold terminal escapes. Allocating the text was rejected: an error must be possible when memory is not.
 */
#include "common/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"

/* Copies as one line: each run of control characters and spaces becomes one space, none at either end. */
static void copy_line(char *line, size_t line_bytes, const char *text)
{
    size_t used = 0;
    bool space = false;
    size_t length = utf8_whole(text, strnlen(text, line_bytes), line_bytes - 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte <= 0x20 || byte == 0x7F) {
            space = used > 0;
            continue;
        }
        if (space)
            line[used++] = ' ';
        space = false;
        line[used++] = text[i];
    }
    line[used] = '\0';
}

bool error_set(struct error *err, enum error_kind kind, const char *format, ...)
{
    assert(err != NULL);
    char text[2 * ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    err->kind = kind;
    err->sqlstate[0] = '\0';
    copy_line(err->text, sizeof err->text, text);
    return false;
}

bool error_wrap(struct error *err, const char *format, ...)
{
    assert(err != NULL);
    char text[2 * ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(text, ERROR_TEXT_BYTES, format, arguments);
    va_end(arguments);
    if (written < 0)
        return false;
    size_t used = utf8_trim(text);
    snprintf(text + used, sizeof text - used, ": %s", err->text);
    copy_line(err->text, sizeof err->text, text);
    return false;
}

void error_clear(struct error *err)
{
    err->kind = ERROR_NONE;
    err->sqlstate[0] = '\0';
    err->text[0] = '\0';
}

int error_exit_code(const struct error *err)
{
    switch (err->kind) {
    case ERROR_NONE: return 0;
    case ERROR_RETRY:
    case ERROR_REJECT: return 1;
    case ERROR_USAGE: return 2;
    case ERROR_FATAL: return 3;
    }
    return 3;
}
