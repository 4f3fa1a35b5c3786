/* producer_instant.c - instant.c: times as files write them. */
#include <criterion/criterion.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "producer/import/instant.h"
#include "producer/import/time_format.h"
#include "producer/library/json.h"
#include "producer/library/value.h"

static struct instant_rules rules;

static void forget_rules(void)
{
    instant_reset(&rules);
}

TestSuite(instant, .fini = forget_rules);

static const char *read_text(const char *text, enum time_unit unit, int64_t *wall_us)
{
    rules.unit = unit;
    struct error err;
    struct json *json = json_new(JSON_LINE_BYTES);
    struct value_pool *pool = value_pool_new();
    struct value *value = json_read(json, pool, text, strlen(text), &err);
    cr_assert_not_null(value, "%s", text);
    const char *fault = instant_read(&rules, value, wall_us);
    json_free(json);
    value_pool_free(pool);
    return fault;
}

Test(instant, reads_text_and_numbers_in_every_unit_to_the_microsecond)
{
    static const struct {
        const char *json;
        enum time_unit unit;
        int64_t wall_us;
    } cases[] = {
        {"\"2015-05-17T10:05:03Z\"", TIME_UNIT_UNSTATED, 1431857103000000},
        {"\"2015-05-17T12:05:03.5+02:00\"", TIME_UNIT_S, 1431857103500000},
        {"1431857103", TIME_UNIT_S, 1431857103000000},
        {"1431857103.123456", TIME_UNIT_S, 1431857103123456},
        {"1431857103123", TIME_UNIT_MS, 1431857103123000},
        {"1431857103123.5", TIME_UNIT_MS, 1431857103123500},
        {"1431857103123456", TIME_UNIT_US, 1431857103123456},
        {"1431857103123456789", TIME_UNIT_NS, 1431857103123456},
        {"-1", TIME_UNIT_NS, -1},
        {"-1", TIME_UNIT_S, -1000000},
        {"\"1431857103\"", TIME_UNIT_S, 1431857103000000},
        {"\"1431857103.25\"", TIME_UNIT_S, 1431857103250000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t wall_us;
        const char *fault = read_text(cases[i].json, cases[i].unit, &wall_us);
        cr_assert_null(fault, "%s %s", cases[i].json, fault);
        cr_assert_eq(wall_us, cases[i].wall_us, "%s gives %lld", cases[i].json, (long long)wall_us);
    }
}

Test(instant, never_guesses_a_unit_and_takes_nothing_else_for_a_time)
{
    int64_t wall_us;
    cr_assert_not_null(read_text("1431857103", TIME_UNIT_UNSTATED, &wall_us));
    cr_assert_not_null(read_text("\"1431857103\"", TIME_UNIT_UNSTATED, &wall_us));
    static const char *const no_times[] = {"\"\"",
                                           "\"yesterday\"",
                                           "\"2015-05-17\"",
                                           "\"2015-05-17T10:05:03\"",
                                           "\"2015-02-30T00:00:00Z\"",
                                           "\"1-2\"",
                                           "\"-\"",
                                           "true",
                                           "[]",
                                           "9223372036854775807",
                                           "1e300",
                                           "\"99999999999999999999\""};
    for (size_t i = 0; i < sizeof no_times / sizeof *no_times; i++)
        cr_assert_not_null(read_text(no_times[i], TIME_UNIT_S, &wall_us), "%s", no_times[i]);
    enum time_unit unit;
    cr_assert(instant_parse_unit("ms", &unit) && unit == TIME_UNIT_MS);
    cr_assert(!instant_parse_unit("min", &unit));
}

/* Reads a text that is to be the time given as RFC 3339. */
static void means(const char *text, const char *time)
{
    char json[128], read[CLOCK_TIME_BYTES] = "";
    int64_t wall_us = 0;
    snprintf(json, sizeof json, "\"%s\"", text);
    const char *fault = read_text(json, TIME_UNIT_UNSTATED, &wall_us);
    cr_assert_null(fault, "%s %s", text, fault);
    clock_format_time(read, wall_us);
    cr_assert_str_eq(read, time, "%s is read as %s, not %s", text, read, time);
}

static void is_refused(const char *text, const char *reason)
{
    char json[128];
    int64_t wall_us;
    snprintf(json, sizeof json, "\"%s\"", text);
    const char *fault = read_text(json, TIME_UNIT_UNSTATED, &wall_us);
    cr_assert_not_null(fault, "%s", text);
    cr_assert_not_null(strstr(fault, reason), "'%s' is not in '%s'", reason, fault);
}

static void add_format(const char *format)
{
    struct error err;
    cr_assert(instant_add_format(&rules, format, &err), "%s", err.text);
}

static void set_zone(const char *name)
{
    struct error err;
    cr_assert(instant_set_zone(&rules, name, &err), "%s", err.text);
}

Test(instant, forms_that_say_what_they_mean_need_no_option)
{
    static const char *const same[] = {
        "2026-11-15T09:30:00.25Z",         "2026-11-15 09:30:00.25Z",    "2026-11-15t09:30:00,25z",
        "2026-11-15 09:30:00.25+00",       "2026-11-15 10:30:00.250+01", "2026-11-15T15:15:00.25+0545",
        "2026-11-15T15:15:00.25+05:45",    "2026-11-15 09:30:00.25 UTC", "2026-11-15 09:30:00.25 +0000",
        "2026-11-15 10:23:28.25+00:53:28", "20261115T093000.25Z",        "2026-11-15T02:00:00.250000000-0730",
        "2026-11-15 09:30:00.2500009 GMT", "2026-11-15 09:30:00.25-00",
        "2026-11-15T10:30:00.25+01:00[Europe/Berlin]", "2026-11-15T09:30:00.25Z[Etc/GMT-1]"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        means(same[i], "2026-11-15T09:30:00.25Z");
    means("2026-11-15T09:30Z", "2026-11-15T09:30:00Z");
    means("2026-11-15 09:30+01", "2026-11-15T08:30:00Z");
    means("20261115T0930Z", "2026-11-15T09:30:00Z");
    means("15/Nov/2026:09:30:00 +0100", "2026-11-15T08:30:00Z");
    means("[15/Nov/2026:09:30:00 +0100]", "2026-11-15T08:30:00Z");
    means("2026-11-15T23:59:60Z", "2026-11-16T00:00:00Z");
}

Test(instant, what_is_refused_is_told_with_the_option_that_reads_it)
{
    static const char *const local[] = {"2026-11-15 09:30:00.250", "2026-11-15T09:30", "2026-11-15", "20261115T093000",
                                        "15/Nov/2026:09:30:00"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        is_refused(local[i], "--time-zone");
    is_refused("2026/11/15 09:30:00.25", "'%Y/%m/%d %H:%M:%S.%f' and --time-zone");
    is_refused("20261115", "--time-unit");
    is_refused("15/11/2026 09:30", "'%m/%d/%Y %H:%M:%S'");
    is_refused("1.2.2026", "never guessed");
    is_refused("1/2/26", "never guessed");
    is_refused("2026-02-30T09:30:00Z", "does not exist");
    is_refused("2026-11-15 09:60:00", "does not exist");
    is_refused("Sun, 15 Nov 2026 09:30:00 +0000", "--time-format");
    is_refused("1768469400", "--time-unit");
    static const char *const no_times[] = {"infinity",
                                           "2026-11-31T00:00:00Z",
                                           "2026-11-15T24:00:00Z",
                                           "2026-11-15T09:30:00.Z",
                                           "2026-11-15T09:30:00+24",
                                           "2026-11-15T09:30:00Zx",
                                           "2026-11-15T09:30:00[Europe/Berlin]",
                                           "2026-11-15T09:30:00Z[]",
                                           "2026-11-15T09:30:00Z[a b]",
                                           "2026-11-15  09:30:00Z",
                                           "2026-11-15T09:30:00 CET",
                                           "2026-13-01T00:00:00Z",
                                           "15/11/2026:09:30:00 +0100",
                                           "15/Nov/2026:09:30:00 +0100 ",
                                           "2026-11-15T9:30:00Z",
                                           ""};
    for (size_t i = 0; i < sizeof no_times / sizeof *no_times; i++)
        is_refused(no_times[i], "");
}

/* What is said is what reads it. */
Test(instant, a_form_that_can_mean_nothing_else_is_refused_with_the_format_that_reads_it)
{
    static const char *const texts[] = {
        "Thu, 05 Nov 2026 09:30:00 GMT",  "Thu Nov  5 09:30:00 UTC 2026",   "Thu Nov 05 09:30:00 2026",
        "Thu Nov 05 2026 09:30:00",       "Nov 5, 2026 9:30 AM",            "November 5, 2026, 9:30:00 am",
        "Nov 5, 2026 at 9:30 AM",         "5 Nov 2026 09:30",               "05-NOV-2026 09:30:00",
        "2026/11/5 9:30",                 "2026/11/05 11:30:00 +0200",      "2026.11.05 09:30:00",
        "2026:11:05 09:30:00",            "2026-11-5 9:30:00",              "2026-11-05 9:30:00.0 +0000",
        "2026-11-05  09:30:00",           "2026-11-05T9:30:00Z",            "2026-11-05-09.30.00.000000",
        "2026-11-05 09:30 AM",            "Thu 05 Nov 2026 09:30:00 AM UTC", "20261105093000"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char json[128], format[64];
        int64_t wall_us;
        snprintf(json, sizeof json, "\"%s\"", texts[i]);
        const char *said = read_text(json, TIME_UNIT_UNSTATED, &wall_us);
        cr_assert_not_null(said, "%s", texts[i]);
        cr_assert_eq(sscanf(said, "%*[^']'%63[^']", format), 1, "%s: %s", texts[i], said);
        add_format(format);
        if (strstr(said, "--time-zone") != NULL)
            set_zone("UTC");
        means(texts[i], "2026-11-05T09:30:00Z");
        instant_reset(&rules);
    }
}

Test(instant, digits_that_are_a_date_are_one_as_a_number_too)
{
    int64_t wall_us;
    const char *said = read_text("20261105", TIME_UNIT_UNSTATED, &wall_us);
    cr_assert_not_null(strstr(said, "--time-format '%Y%m%d' and --time-zone"), "%s", said);
    cr_assert_null(strstr(read_text("1794735000", TIME_UNIT_UNSTATED, &wall_us), "--time-format"));
    add_format("%Y%m%d");
    set_zone("UTC");
    cr_assert_null(read_text("20261105", TIME_UNIT_UNSTATED, &wall_us));
    cr_assert_eq(wall_us, INT64_C(1793836800000000));
    cr_assert_null(read_text("1793836800", TIME_UNIT_S, &wall_us));
    cr_assert_eq(wall_us, INT64_C(1793836800000000));
}

Test(instant, formats_are_tried_in_order_and_the_known_forms_behind_them)
{
    add_format("%d/%m/%Y %H:%M:%S.%f");
    add_format("%m/%d/%Y %I:%M %p");
    add_format("%a, %d %b %Y %T %z");
    add_format("%Y %j %R%n%Z");
    add_format("@%s");
    set_zone("UTC");
    means("02/03/2026 04:05:06.7", "2026-03-02T04:05:06.7Z");
    means("2/3/2026 12:05 am", "2026-02-03T00:05:00Z");
    means("02/03/2026 12:05 PM", "2026-02-03T12:05:00Z");
    means("Sun, 15 Nov 2026 09:30:00 +0100", "2026-11-15T08:30:00Z");
    means("sunday, 15 november 2026 9:30:00 GMT", "2026-11-15T09:30:00Z");
    means("2028 366 10:00 UTC", "2028-12-31T10:00:00Z");
    means("@-1", "1969-12-31T23:59:59Z");
    means("2026-11-15 09:30", "2026-11-15T09:30:00Z");
    is_refused("@266616054265", "--time-format");
    is_refused("31/02/2026 00:00:00.0", "--time-format");
    is_refused("2026 366 10:00 UTC", "--time-format");
    is_refused("02/03/2026 04:05:06.7 ", "--time-format");
    is_refused("02/03/2026 04:05:06", "--time-format");
}

Test(instant, a_format_that_says_no_day_or_has_an_unknown_letter_is_refused)
{
    static const char *const formats[] = {"%H:%M:%S",   "%Y-%m", "%m/%d %H:%M", "%Y-%m-%d %Q",
                                          "%Y-%m-%d %", "",      "%V %Y",       "%Y-%m-%d %EY"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct error err;
        cr_assert(!instant_add_format(&rules, formats[i], &err), "%s", formats[i]);
        cr_assert_eq(err.kind, ERROR_USAGE);
    }
}

Test(instant, a_local_time_that_is_not_there_or_there_twice_is_refused)
{
    set_zone("Europe/Berlin");
    means("2026-01-15 09:30:00", "2026-01-15T08:30:00Z");
    means("2026-07-15 09:30:00", "2026-07-15T07:30:00Z");
    means("2026-03-29 01:59:59.999999", "2026-03-29T00:59:59.999999Z");
    is_refused("2026-03-29 02:00:00", "does not exist");
    is_refused("2026-03-29 02:59:59.999999", "does not exist");
    means("2026-03-29 03:00:00", "2026-03-29T01:00:00Z");
    means("2026-10-25 01:59:59.999999", "2026-10-24T23:59:59.999999Z");
    is_refused("2026-10-25 02:00:00", "twice");
    is_refused("2026-10-25 02:59:59.999999", "twice");
    means("2026-10-25 03:00:00", "2026-10-25T02:00:00Z");
    means("2026-10-25 02:30:00+02", "2026-10-25T00:30:00Z");
}

Test(instant, zones_with_a_day_that_was_left_out_or_half_an_hour)
{
    set_zone("Pacific/Apia");
    means("2011-12-29 23:30", "2011-12-30T09:30:00Z");
    is_refused("2011-12-30 12:00", "does not exist");
    means("2011-12-31 00:00", "2011-12-30T10:00:00Z");
    instant_reset(&rules);
    set_zone("Australia/Lord_Howe"); /* half an hour back on 2026-04-05 at 2:00 */
    is_refused("2026-04-05 01:45", "twice");
    means("2026-04-05 01:15", "2026-04-04T14:15:00Z");
    means("2026-04-05 02:15", "2026-04-04T15:45:00Z");
}

Test(instant, an_unknown_zone_is_told_with_the_nearest_name)
{
    static const char *const names[][2] = {
        {"Europe/Berln", "Europe/Berlin"},  {"berlin", "Europe/Berlin"}, {"../../etc/passwd", "no time zone"},
        {"/etc/localtime", "no time zone"}, {"", "no time zone"},        {"zone1970.tab", "no time zone"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct error err;
        cr_assert(!instant_set_zone(&rules, names[i][0], &err), "%s", names[i][0]);
        cr_assert_not_null(strstr(err.text, names[i][1]), "%s", err.text);
        cr_assert_eq(err.kind, ERROR_USAGE);
    }
}
