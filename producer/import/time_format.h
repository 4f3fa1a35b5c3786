/* time_format.h - --time-format: a time by strptime's letters, in the C locale, with %f for the fraction of a second.
 *
 * %Y %y %m %d %e %j %b %B %h · %H %k %I %l %M %S %p %f · %z (+01, +0100, +01:00, Z) · %Z (UTC, GMT or Z: names of other zones are
 * not to be told apart) · %s (seconds since 1970) · %a %A · %F %T %R %D %c %r %n %t %%. A blank stands for any number of blanks.
 * Any thread.
 */
#ifndef TALLYMILL_PRODUCER_IMPORT_TIME_FORMAT_H
#define TALLYMILL_PRODUCER_IMPORT_TIME_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

struct civil;

/* Every letter is known, and they give a year, a month and a day. ERROR_USAGE. */
MUST_CHECK bool time_format_check(const char *format, struct error *err);

/* Reads the whole text by a format that was checked. False: it does not fit. */
bool time_format_read(const char *format, const char *text, size_t length, struct civil *civil);

/* A form that many write and that is not read without its option; advice[1] is of a text that has no offset either. */
struct time_form {
    const char *format, *advice[2];
};

/* The one that reads the text and can mean nothing else: the year first, or the month by its name; day and month are never guessed.
 * NULL: none. */
const struct time_form *time_format_find(const char *text, size_t length, struct civil *civil);

/* The same of digits alone, "20260115" and "20260115093000": they may be a number as well. */
const struct time_form *time_format_find_digits(const char *text, size_t length);

#endif
