/* Time in microseconds and UTC days; the C library is the oracle where it reaches. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"

static int32_t day(const char *text)
{
    int32_t days = INT32_MIN;
    cr_assert(clock_parse_day(text, strlen(text), &days), "%s", text);
    return days;
}

static int64_t at(const char *text)
{
    int64_t wall_us = INT64_MIN;
    cr_assert(clock_parse_time(text, strlen(text), &wall_us), "%s", text);
    return wall_us;
}

static bool is_day(const char *text)
{
    int32_t days;
    return clock_parse_day(text, strlen(text), &days);
}

static bool is_time(const char *text)
{
    int64_t wall_us;
    return clock_parse_time(text, strlen(text), &wall_us);
}

Test(clock, never_goes_backward)
{
    int64_t before = clock_now_us();
    for (int i = 0; i < 1000; i++) {
        int64_t now_us = clock_now_us();
        cr_assert_geq(now_us, before);
        before = now_us;
    }
}

Test(clock, tells_unix_time)
{
    cr_expect_leq(llabs((long long)(clock_wall_us() / CLOCK_SECOND_US) - (long long)time(NULL)), 1);
}

static bool agrees_with_c_library(int32_t days, int year, int month, int day_of_month)
{
    time_t seconds = (time_t)days * 86400;
    struct tm utc;
    gmtime_r(&seconds, &utc);
    return utc.tm_year + 1900 == year && utc.tm_mon + 1 == month && utc.tm_mday == day_of_month;
}

Test(clock, counts_days_as_the_c_library_does_from_year_1_to_9999)
{
    int wrong = 0; /* counted: an assertion a day would be a message to Criterion a day */
    for (int32_t days = -719162; days <= 2932896; days++) {
        int year, month, day_of_month;
        clock_date_from_days(days, &year, &month, &day_of_month);
        wrong += clock_days_from_date(year, month, day_of_month) != days;
        if (days % 13 == 0) /* the oracle is slow */
            wrong += !agrees_with_c_library(days, year, month, day_of_month);
    }
    cr_expect_eq(wrong, 0);
}

Test(clock, knows_the_epochs)
{
    cr_expect_eq(clock_days_from_date(1970, 1, 1), 0);
    cr_expect_eq(clock_days_from_date(2000, 1, 1), CLOCK_POSTGRES_EPOCH_DAYS);
    cr_expect_eq(CLOCK_POSTGRES_EPOCH_DAYS * CLOCK_DAY_US, CLOCK_POSTGRES_EPOCH_US);
    cr_expect_eq(clock_days_from_date(-4713, 11, 24), -2440588); /* Julian day 0, the first that Postgres takes */
}

Test(clock, knows_leap_years)
{
    cr_expect(is_day("2024-02-29") && is_day("2000-02-29") && is_day("2400-02-29") && is_day("0000-02-29"));
    cr_expect_not(is_day("2023-02-29") || is_day("1900-02-29") || is_day("2100-02-29"));
    cr_expect_eq(day("2024-03-01") - day("2024-02-28"), 2);
    cr_expect_eq(day("2100-03-01") - day("2100-02-28"), 1);
}

Test(clock, finds_the_day_that_holds_a_time_also_before_1970)
{
    cr_expect_eq(clock_day_of(0), 0);
    cr_expect_eq(clock_day_of(CLOCK_DAY_US - 1), 0);
    cr_expect_eq(clock_day_of(CLOCK_DAY_US), 1);
    cr_expect_eq(clock_day_of(-1), -1);
    cr_expect_eq(clock_day_of(-CLOCK_DAY_US), -1);
    cr_expect_eq(clock_day_of(-CLOCK_DAY_US - 1), -2);
}

Test(clock, finds_the_day_of_the_first_and_last_time_there_is)
{
    char text[CLOCK_TIME_BYTES];
    clock_format_time(text, INT64_MAX);
    cr_expect_str_eq(text, "+294247-01-10T04:00:54.775807Z");
    clock_format_time(text, INT64_MIN);
    cr_expect_str_eq(text, "-290308-12-21T19:59:05.224192Z");
}

Test(clock, finds_months)
{
    cr_expect_eq(clock_month_of(day("2024-02-29")), day("2024-02-01"));
    cr_expect_eq(clock_month_of(day("1969-12-31")), day("1969-12-01"));
    cr_expect_eq(clock_month_add(day("2026-01-01"), -13), day("2024-12-01"));
    cr_expect_eq(clock_month_add(day("2026-11-01"), 3), day("2027-02-01"));
    cr_expect_eq(clock_month_add(day("2026-12-01"), 0), day("2026-12-01"));
    cr_expect_eq(clock_month_add(day("2026-12-01"), 1), day("2027-01-01"));
    cr_expect_eq(clock_month_add(day("2026-01-01"), -1), day("2025-12-01"));
    cr_expect_eq(clock_month_add(day("0000-01-01"), -1), clock_days_from_date(-1, 12, 1));
}

Test(clock, writes_days_with_the_sign_that_iso_8601_wants)
{
    char text[CLOCK_DAY_BYTES];
    cr_expect_eq(clock_format_day(text, day("2026-11-24")), 10u);
    cr_expect_str_eq(text, "2026-11-24");
    clock_format_day(text, day("0001-02-03"));
    cr_expect_str_eq(text, "0001-02-03");
    clock_format_day(text, clock_days_from_date(-44, 3, 15));
    cr_expect_str_eq(text, "-0044-03-15");
    clock_format_day(text, clock_days_from_date(148138, 1, 1));
    cr_expect_str_eq(text, "+148138-01-01");
}

Test(clock, has_room_for_every_day)
{
    char text[CLOCK_DAY_BYTES];
    cr_expect_lt(clock_format_day(text, INT32_MAX), (size_t)CLOCK_DAY_BYTES);
    cr_expect_lt(clock_format_day(text, INT32_MIN), (size_t)CLOCK_DAY_BYTES);
}

Test(clock, writes_times_without_needless_zeros)
{
    static const struct {
        int64_t wall_us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {INT64_C(1764000000250000), "2025-11-24T16:00:00.25Z"},
        {INT64_C(951868799000000), "2000-02-29T23:59:59Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[CLOCK_TIME_BYTES];
        cr_expect_eq(clock_format_time(text, cases[i].wall_us), strlen(cases[i].text));
        cr_expect_str_eq(text, cases[i].text);
        cr_expect_eq(at(text), cases[i].wall_us);
    }
}

Test(clock, reads_rfc_3339)
{
    int64_t noon = at("2026-11-24T12:00:00Z");
    cr_expect_eq(at("2026-11-24 12:00:00Z"), noon);
    cr_expect_eq(at("2026-11-24t12:00:00z"), noon);
    cr_expect_eq(at("2026-11-24T13:00:00+01:00"), noon);
    cr_expect_eq(at("2026-11-24T00:15:00-11:45"), noon);
    cr_expect_eq(at("2026-11-24T12:00:00-00:00"), noon);
    cr_expect_eq(at("2026-11-24T12:00:00.5Z"), noon + 500000);
    cr_expect_eq(at("2026-11-24T12:00:00.123456999Z"), noon + 123456);
    cr_expect_eq(at("2026-11-24T12:00:00.0000009Z"), noon);
}

Test(clock, cuts_fractions_downward_before_1970_too)
{
    cr_expect_eq(at("1969-12-31T23:59:59.9999999Z"), -1);
}

Test(clock, reads_second_60_as_the_next_second)
{
    cr_expect_eq(at("2016-12-31T23:59:60Z"), at("2017-01-01T00:00:00Z"));
    cr_expect_not(is_time("2016-12-31T23:59:61Z"));
}

Test(clock, carries_an_offset_over_midnight_and_year)
{
    cr_expect_eq(at("2027-01-01T00:30:00+01:00"), at("2026-12-31T23:30:00Z"));
    cr_expect_eq(at("0000-01-01T00:00:00+23:59"), clock_days_from_date(0, 1, 1) * CLOCK_DAY_US - 1439 * 60 * CLOCK_SECOND_US);
}

Test(clock, refuses_what_is_no_day)
{
    static const char *const bad[] = {"",           "2026",       "2026-1-01",   "2026-01-1",   "2026-13-01",  "2026-00-01",
                                      "2026-01-00", "2026-01-32", "2026-04-31",  "2026-01-01 ", " 2026-01-01", "+2026-01-01",
                                      "2026/01/01", "20260101",   "12026-01-01", "2026-01-0x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(is_day(bad[i]), "%s", bad[i]);
}

Test(clock, refuses_what_is_no_time)
{
    static const char *const bad[] = {"",
                                      "2026-11-24",
                                      "2026-11-24T12:00:00",
                                      "2026-11-24T12:00Z",
                                      "2026-11-24T24:00:00Z",
                                      "2026-11-24T12:60:00Z",
                                      "2026-11-24T12:00:00.Z",
                                      "2026-11-24T12:00:00,5Z",
                                      "2026-11-24T12:00:00+1:00",
                                      "2026-11-24T12:00:00+0100",
                                      "2026-11-24T12:00:00+24:00",
                                      "2026-11-24T12:00:00+01:60",
                                      "2026-11-24T12:00:00Z ",
                                      "2026-11-24T12:00:00ZZ",
                                      "2026-02-29T12:00:00Z",
                                      "2026-11-24  12:00:00Z",
                                      "2026-11-24T-1:00:00Z",
                                      "now"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(is_time(bad[i]), "%s", bad[i]);
}

Test(clock, reads_no_byte_past_the_length)
{
    const char *text = "2026-11-24T12:00:00Z";
    for (size_t length = 0; length < strlen(text); length++) {
        char *copy = malloc(length + 1); /* the sanitizer watches its end */
        memcpy(copy, text, length);
        int64_t wall_us;
        cr_expect_not(clock_parse_time(copy, length, &wall_us));
        free(copy);
    }
}
