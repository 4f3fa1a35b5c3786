/* civil.h - a date and a time of day as files write them, with or without an offset from UTC. No zone database here: zone.h.
 *
 * Any thread.
 */
#ifndef TALLYMILL_PRODUCER_IMPORT_CIVIL_H
#define TALLYMILL_PRODUCER_IMPORT_CIVIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct civil {
    int year, month, day;     /* 1..12, 1..31 */
    int hour, minute, second; /* second 60: the next one */
    int fraction_us;
    bool has_offset;
    int offset_s; /* east of UTC */
};

/* The forms that say by themselves what they mean, the whole text used: RFC 3339 and ISO 8601 (T or a space; with or without
 * seconds; a fraction behind point or comma; basic form), Postgres's timestamptz, the combined log's 15/Jan/2026:09:30:00 +0100; a
 * date alone is its midnight. An offset is Z, UTC, GMT, +01, +0100, +01:00 or +01:00:30, or none; behind it the zone may stand in
 * brackets (RFC 9557, as Java prints it), which is passed over: the offset says all. */
bool civil_read(const char *text, size_t length, struct civil *civil);

/* Is it in such a form, whether or not there is such a day and time of day? */
bool civil_is_form(const char *text, size_t length);

/* Is there such a day and time of day? */
bool civil_is_valid(const struct civil *civil);

/* Microseconds since 1970-01-01 as if it were UTC; the offset is not taken in. */
int64_t civil_us(const struct civil *civil);

/* What the two readers of times share: each moves *at past what it read, and leaves it where nothing fits. */
bool civil_take_digits(const char **at, const char *end, int least, int most, int *value); /* as many as there are, up to most */
bool civil_take_fraction(const char **at, const char *end, int *fraction_us);              /* one digit or more; cut beyond 1 us */
bool civil_take_month(const char **at, const char *end, bool is_short, int *month);        /* "Jan"; else "January" too */
bool civil_take_offset(const char **at, const char *end, struct civil *civil);

#endif
