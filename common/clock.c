/* clock.c - see clock.h.
 *
 * Days are counted by arithmetic on 400-year eras that begin in March, so that the leap day is the last of its year (Hinnant).
 * gmtime_r() and timegm() were rejected: they cost 20 times as much, and their range and errno rules differ between C libraries.
 */
#include "common/clock.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ERA_DAYS       146097 /* days in 400 years */
#define EPOCH_FROM_ERA 719468 /* days from 0000-03-01 to 1970-01-01 */

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    int status = clock_gettime(id, &now);
    assert(status == 0);
    (void)status;
    return (int64_t)now.tv_sec * CLOCK_SECOND_US + now.tv_nsec / 1000;
}

int64_t clock_now_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

static int64_t floor_divide(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

int32_t clock_days_from_date(int year, int month, int day)
{
    assert(month >= 1 && month <= 12 && day >= 1 && day <= 31);
    int64_t shifted_year = (int64_t)year - (month <= 2);
    int64_t era = floor_divide(shifted_year, 400);
    int64_t year_of_era = shifted_year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int32_t)(era * ERA_DAYS + day_of_era - EPOCH_FROM_ERA);
}

void clock_date_from_days(int32_t days, int *year, int *month, int *day)
{
    int64_t shifted = (int64_t)days + EPOCH_FROM_ERA;
    int64_t era = floor_divide(shifted, ERA_DAYS);
    int64_t day_of_era = shifted - era * ERA_DAYS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    *month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

int32_t clock_day_of(int64_t wall_us)
{
    return (int32_t)floor_divide(wall_us, CLOCK_DAY_US);
}

int32_t clock_month_of(int32_t day)
{
    int year, month, day_of_month;
    clock_date_from_days(day, &year, &month, &day_of_month);
    return day - (day_of_month - 1);
}

int32_t clock_month_add(int32_t month_first_day, int months)
{
    int year, month, day_of_month;
    clock_date_from_days(month_first_day, &year, &month, &day_of_month);
    int64_t total = (int64_t)year * 12 + (month - 1) + months;
    int64_t new_year = floor_divide(total, 12);
    return clock_days_from_date((int)new_year, (int)(total - new_year * 12) + 1, 1);
}

size_t clock_format_day(char buffer[CLOCK_DAY_BYTES], int32_t day)
{
    int year, month, day_of_month;
    clock_date_from_days(day, &year, &month, &day_of_month);
    /* ISO 8601 wants a sign on a year that is not four digits. */
    const char *sign = year < 0 ? "-" : year > 9999 ? "+" : "";
    int written = snprintf(buffer, CLOCK_DAY_BYTES, "%s%04u-%02u-%02u", sign, (unsigned)(year < 0 ? -(int64_t)year : year),
                           (unsigned)month % 100, (unsigned)day_of_month % 100);
    return (size_t)written;
}

size_t clock_format_time(char buffer[CLOCK_TIME_BYTES], int64_t wall_us)
{
    int32_t day = clock_day_of(wall_us);
    int64_t of_day = wall_us % CLOCK_DAY_US + (wall_us % CLOCK_DAY_US < 0 ? CLOCK_DAY_US : 0); /* day * CLOCK_DAY_US may overflow */
    unsigned second = (unsigned)(of_day / CLOCK_SECOND_US);
    unsigned fraction = (unsigned)(of_day % CLOCK_SECOND_US);
    size_t used = clock_format_day(buffer, day);
    used +=
        (size_t)snprintf(buffer + used, CLOCK_TIME_BYTES - used, "T%02u:%02u:%02u", second / 3600, second / 60 % 60, second % 60);
    if (fraction != 0) {
        used += (size_t)snprintf(buffer + used, CLOCK_TIME_BYTES - used, ".%06u", fraction);
        while (buffer[used - 1] == '0')
            used--;
    }
    buffer[used++] = 'Z';
    buffer[used] = '\0';
    return used;
}

/* Reads exactly `digits` digits at *text and moves past them; false and an unchanged *text otherwise. */
static bool take_digits(const char **text, const char *end, int digits, int *value)
{
    if (end - *text < digits)
        return false;
    int number = 0;
    for (int i = 0; i < digits; i++) {
        char c = (*text)[i];
        if (c < '0' || c > '9')
            return false;
        number = number * 10 + (c - '0');
    }
    *text += digits;
    *value = number;
    return true;
}

static bool take_char(const char **text, const char *end, char wanted)
{
    if (*text == end || **text != wanted)
        return false;
    ++*text;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap);
}

static bool take_day(const char **text, const char *end, int32_t *day)
{
    int year, month, day_of_month;
    if (!take_digits(text, end, 4, &year) || !take_char(text, end, '-') || !take_digits(text, end, 2, &month) ||
        !take_char(text, end, '-') || !take_digits(text, end, 2, &day_of_month))
        return false;
    if (month < 1 || month > 12 || day_of_month < 1 || day_of_month > days_in_month(year, month))
        return false;
    *day = clock_days_from_date(year, month, day_of_month);
    return true;
}

bool clock_parse_day(const char *text, size_t length, int32_t *day)
{
    int32_t read;
    const char *end = text + length;
    if (!take_day(&text, end, &read) || text != end)
        return false;
    *day = read;
    return true;
}

/* ".123": at least one digit; digits beyond microseconds are read and cut. */
static bool take_fraction(const char **text, const char *end, int64_t *fraction_us)
{
    *fraction_us = 0;
    if (!take_char(text, end, '.'))
        return true;
    int digit, count = 0;
    for (int64_t unit = 100000; take_digits(text, end, 1, &digit); count++, unit /= 10)
        *fraction_us += digit * unit;
    return count > 0;
}

/* "Z" or "+01:00": what to subtract to come to UTC. */
static bool take_offset(const char **text, const char *end, int64_t *offset_us)
{
    *offset_us = 0;
    if (take_char(text, end, 'Z') || take_char(text, end, 'z'))
        return true;
    bool is_west = take_char(text, end, '-');
    int hour, minute;
    if ((!is_west && !take_char(text, end, '+')) || !take_digits(text, end, 2, &hour) || !take_char(text, end, ':') ||
        !take_digits(text, end, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *offset_us = (hour * 60 + minute) * 60 * CLOCK_SECOND_US * (is_west ? -1 : 1);
    return true;
}

bool clock_parse_time(const char *text, size_t length, int64_t *wall_us)
{
    const char *end = text + length;
    int32_t day;
    int hour, minute, second;
    int64_t fraction_us, offset_us;
    if (!take_day(&text, end, &day))
        return false;
    if (!take_char(&text, end, 'T') && !take_char(&text, end, 't') && !take_char(&text, end, ' '))
        return false;
    if (!take_digits(&text, end, 2, &hour) || !take_char(&text, end, ':') || !take_digits(&text, end, 2, &minute) ||
        !take_char(&text, end, ':') || !take_digits(&text, end, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 60 || !take_fraction(&text, end, &fraction_us) ||
        !take_offset(&text, end, &offset_us) || text != end)
        return false;
    *wall_us = day * CLOCK_DAY_US + ((hour * 60 + minute) * 60 + second) * CLOCK_SECOND_US + fraction_us - offset_us;
    return true;
}
