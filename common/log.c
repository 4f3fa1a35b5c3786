/* log.c - see log.h.
 *
 * A line is built on the stack, cleaned as a whole (so that a field somebody forgot to escape cannot break it in two), and
 * written by one write(2). At most LINE_BYTES, which is PIPE_BUF: up to there a write to a pipe is atomic. stdio was rejected: its
 * lock and buffer are shared with whatever else prints, and a line could leave in two writes.
 */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/utf8.h"

enum { LINE_BYTES = 4096 };

struct line {
    char bytes[LINE_BYTES];
    size_t used; /* always leaves room for the newline */
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const journal_prefixes[] = {"<7>", "<6>", "<4>", "<3>"};
static atomic_int threshold = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

bool log_level_parse(const char *text, enum log_level *level)
{
    for (int i = LOG_LEVEL_DEBUG; i <= LOG_LEVEL_ERROR; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* Controls of ASCII and Latin-1, and the separators U+2028 and U+2029, which some readers take for a line's end. */
static bool is_control(const unsigned char *text, size_t bytes)
{
    if (bytes == 1)
        return text[0] < 0x20 || text[0] == 0x7F;
    if (bytes == 2)
        return text[0] == 0xC2 && text[1] < 0xA0;
    return bytes == 3 && text[0] == 0xE2 && text[1] == 0x80 && (text[2] == 0xA8 || text[2] == 0xA9);
}

/* Copies `text` with what must not pass as \xNN; with `quoted` also " and \ escaped. Stops at the last character that fits whole
 * and returns the bytes written, NUL not counted (and always there). */
static size_t escape(char *out, size_t out_bytes, const char *text, size_t length, bool quoted)
{
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        const unsigned char *in = (const unsigned char *)text + at;
        size_t bytes = utf8_character(in, length - at);
        char made[3 * 4 + 1];
        size_t made_bytes = 0;
        if (bytes == 0 || is_control(in, bytes)) {
            bytes = bytes == 0 ? 1 : bytes;
            for (size_t i = 0; i < bytes; i++)
                made_bytes += (size_t)snprintf(made + made_bytes, sizeof made - made_bytes, "\\x%02x", in[i]);
        } else {
            if (quoted && (in[0] == '"' || in[0] == '\\'))
                made[made_bytes++] = '\\';
            memcpy(made + made_bytes, in, bytes);
            made_bytes += bytes;
        }
        if (used + made_bytes >= out_bytes)
            break;
        memcpy(out + used, made, made_bytes);
        used += made_bytes;
        at += bytes;
    }
    out[used] = '\0';
    return used;
}

const char *log_text(char buffer[LOG_TEXT_BYTES], const char *text)
{
    escape(buffer, LOG_TEXT_BYTES, text, strlen(text), true);
    return buffer;
}

static void line_add(struct line *line, const char *text, bool quoted)
{
    line->used += escape(line->bytes + line->used, LINE_BYTES - 1 - line->used, text, strlen(text), quoted);
}

/* systemd sets JOURNAL_STREAM to the device and inode of the stream it gave us (systemd.exec(5)). */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    unsigned long long device, inode;
    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &status) == 0 &&
           device == (unsigned long long)status.st_dev && inode == (unsigned long long)status.st_ino;
}

static void line_begin(struct line *line, enum log_level level, const char *message)
{
    line->used = 0;
    if (is_journal()) {
        line_add(line, journal_prefixes[level], false);
    } else {
        int64_t wall_us = clock_wall_us();
        char second[CLOCK_TIME_BYTES];
        size_t length = clock_format_time(second, wall_us - wall_us % CLOCK_SECOND_US);
        char start[CLOCK_TIME_BYTES + 32];
        snprintf(start, sizeof start, "ts=%.*s.%03dZ level=%s ", (int)length - 1, second, (int)(wall_us % CLOCK_SECOND_US / 1000),
                 level_names[level]);
        line_add(line, start, false);
    }
    line_add(line, "msg=\"", false);
    line_add(line, message, true);
    line_add(line, "\"", false);
}

static __attribute__((format(printf, 2, 0))) void line_add_fields(struct line *line, const char *fields, va_list arguments)
{
    if (fields == NULL)
        return;
    char text[LINE_BYTES];
    vsnprintf(text, sizeof text, fields, arguments);
    utf8_trim(text);
    line_add(line, " ", false);
    line_add(line, text, false);
}

static void line_add_error(struct line *line, const struct error *err)
{
    char text[LOG_TEXT_BYTES + 16];
    char escaped[LOG_TEXT_BYTES];
    snprintf(text, sizeof text, " error=\"%s\"", log_text(escaped, err->text));
    line_add(line, text, false);
    if (err->sqlstate[0] != '\0') {
        line_add(line, " sqlstate=", false);
        line_add(line, err->sqlstate, false);
    }
}

/* A log that cannot be written must not stop the program: after a real error the line is dropped. */
static void line_write(struct line *line)
{
    int saved = errno;
    line->bytes[line->used++] = '\n';
    size_t sent = 0;
    while (sent < line->used) {
        ssize_t wrote = write(STDERR_FILENO, line->bytes + sent, line->used - sent);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            break;
        sent += (size_t)wrote;
    }
    errno = saved;
}

static __attribute__((format(printf, 4, 0))) void write_line(enum log_level level, const struct error *err, const char *message,
                                                             const char *fields, va_list arguments)
{
    if ((int)level < atomic_load_explicit(&threshold, memory_order_relaxed))
        return;
    struct line line;
    line_begin(&line, level, message);
    line_add_fields(&line, fields, arguments);
    if (err != NULL)
        line_add_error(&line, err);
    line_write(&line);
}

/* The six functions differ only in level and error, and a va_list needs a function around it. */
#define LOG_BODY(level, err)                                                                                                       \
    va_list arguments;                                                                                                             \
    va_start(arguments, fields);                                                                                                   \
    write_line(level, err, message, fields, arguments);                                                                            \
    va_end(arguments)

void log_debug(const char *message, const char *fields, ...)
{
    LOG_BODY(LOG_LEVEL_DEBUG, NULL);
}

void log_info(const char *message, const char *fields, ...)
{
    LOG_BODY(LOG_LEVEL_INFO, NULL);
}

void log_warn(const char *message, const char *fields, ...)
{
    LOG_BODY(LOG_LEVEL_WARN, NULL);
}

void log_error(const char *message, const char *fields, ...)
{
    LOG_BODY(LOG_LEVEL_ERROR, NULL);
}

void log_warn_because(const struct error *err, const char *message, const char *fields, ...)
{
    LOG_BODY(LOG_LEVEL_WARN, err);
}

void log_error_because(const struct error *err, const char *message, const char *fields, ...)
{
    LOG_BODY(LOG_LEVEL_ERROR, err);
}
