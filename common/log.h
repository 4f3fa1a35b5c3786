/* log.h - logfmt lines on stderr: one line a fact, never a payload or a secret.
 *
 *   ts=2026-11-24T11:51:24.123Z level=info msg="batch committed" topic=analytics-events topic_partition=3 rows=5000
 *
 * Any thread; a line is one write(2), so that lines of several threads never mix. Control characters and bytes that are not
 * UTF-8 leave as \xNN, so that a line stays one line whatever an input held. When stderr is the journal, lines begin with
 * sd-daemon's "<N>" level prefix instead of ts and level.
 */
#ifndef TALLYMILL_COMMON_LOG_H
#define TALLYMILL_COMMON_LOG_H

#include <stdbool.h>

struct error;

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* Lines below `level` are dropped from now on. The default is info. */
void log_set_level(enum log_level level);

/* Reads "debug", "info", "warn" or "error"; false and *level unchanged for anything else. */
bool log_level_parse(const char *text, enum log_level *level);

/* Writes one line. `message` is a constant. `fields` is a printf format that makes `key=value` pairs, or NULL; a value that
 * may hold spaces or quotes stands between double quotes and goes through log_text(). */
void log_debug(const char *message, const char *fields, ...) __attribute__((format(printf, 2, 3)));
void log_info(const char *message, const char *fields, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const char *message, const char *fields, ...) __attribute__((format(printf, 2, 3)));
void log_error(const char *message, const char *fields, ...) __attribute__((format(printf, 2, 3)));

/* The same at level warn or error, with error="TEXT" (and sqlstate= where there is one) behind the fields. */
void log_warn_because(const struct error *err, const char *message, const char *fields, ...) __attribute__((format(printf, 3, 4)));
void log_error_because(const struct error *err, const char *message, const char *fields, ...) __attribute__((format(printf, 3, 4)));

enum { LOG_TEXT_BYTES = 512 };

/* Escapes `text` for use between double quotes into `buffer` (cut when too long) and returns `buffer`. */
const char *log_text(char buffer[LOG_TEXT_BYTES], const char *text);

#endif
