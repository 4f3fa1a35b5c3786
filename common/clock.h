/* clock.h - time as int64_t microseconds, and UTC days without a time zone database.
 *
 * clock_now_us() is monotonic and orders waits and deadlines; clock_wall_us() is Unix time in UTC and dates events. Code whose
 * decisions depend on time takes now_us as an argument. Calendar arithmetic is the proleptic Gregorian calendar (Howard
 * Hinnant, "chrono-Compatible Low-Level Date Algorithms"), exact for every int64_t that Postgres accepts. Any thread.
 */
#ifndef TALLYMILL_COMMON_CLOCK_H
#define TALLYMILL_COMMON_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_SECOND_US INT64_C(1000000)
#define CLOCK_DAY_US    INT64_C(86400000000)
/* Postgres counts from 2000-01-01: subtract this from Unix microseconds (days: 10957). */
#define CLOCK_POSTGRES_EPOCH_US   INT64_C(946684800000000)
#define CLOCK_POSTGRES_EPOCH_DAYS 10957

int64_t clock_now_us(void);  /* monotonic */
int64_t clock_wall_us(void); /* Unix time */

/* Days since 1970-01-01 of a date, and back. month 1..12, day 1..31. */
int32_t clock_days_from_date(int year, int month, int day);
void clock_date_from_days(int32_t days, int *year, int *month, int *day);

/* The UTC day (days since 1970-01-01) that holds a Unix time; floors, also before 1970. */
int32_t clock_day_of(int64_t wall_us);

/* The first day of the month that holds `day`, and the month that lies `months` later (may be negative). */
int32_t clock_month_of(int32_t day);
int32_t clock_month_add(int32_t month_first_day, int months);

enum { CLOCK_DAY_BYTES = 16, CLOCK_TIME_BYTES = 40 };

/* "2026-11-24" and "2026-11-24T11:51:24.123456Z" (fraction without trailing zeros, none when whole). Return bytes written without
 * the NUL. */
size_t clock_format_day(char buffer[CLOCK_DAY_BYTES], int32_t day);
size_t clock_format_time(char buffer[CLOCK_TIME_BYTES], int64_t wall_us);

/* Reads "2026-11-24" (strict, a real date); and RFC 3339 "2026-11-24T11:51:24.123+01:00" (T or a space; Z or an offset is required;
 * fractions beyond microseconds are cut; second 60 is read as the next second). The whole text must be used. */
bool clock_parse_day(const char *text, size_t length, int32_t *day);
bool clock_parse_time(const char *text, size_t length, int64_t *wall_us);

#endif
