/* What a rollup's file declares, and where it is wrong. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "operator/rollup_file.h"

#define GOOD "-- Prose: with a colon.\n-- target: analytics_daily_mine\n-- key: date, city,x\n-- cadence: 5 min\nSELECT 1 AS a\n"

static bool parse(const char *name, const char *text, struct rollup_file *file, int *line, struct error *err)
{
    static char copy[4096];
    snprintf(copy, sizeof copy, "%s", text);
    return rollup_file_parse(name, copy, file, line, err);
}

static void is_refused(const char *name, const char *text, int expected_line, const char *reason)
{
    struct rollup_file file;
    struct error err = {0};
    int line = 0;
    cr_assert_not(parse(name, text, &file, &line, &err), "%s", text);
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect_eq(line, expected_line, "line %d: %s", line, err.text);
    cr_expect_not_null(strstr(err.text, reason), "%s", err.text);
}

Test(rollup_file, declares_target_key_and_cadence_in_comments)
{
    struct rollup_file file;
    struct error err = {0};
    int line;
    cr_assert(parse("mine.sql", GOOD ";\n\n", &file, &line, &err), "%s", err.text);
    cr_expect_str_eq(file.name, "mine");
    cr_expect_str_eq(file.target, "analytics_daily_mine");
    cr_expect_str_eq(file.keys, "{date,city,x}");
    cr_expect_eq(file.cadence_us, 300000000);
    cr_expect_not(file.looks_back);
    cr_expect_eq(file.key_line, 3);
    cr_expect_null(strchr(file.query, ';'));
    cr_assert(parse("w.sql", "-- target: analytics_weekly_w\n-- key: week\n-- cadence: 1 h\n-- looks_back: all\nSELECT 1", &file,
                    &line, &err));
    cr_expect(file.looks_back);
    cr_expect_not(file.is_range);
    cr_assert(parse("w.sql", GOOD "-- range: yes\n", &file, &line, &err));
    cr_expect(file.is_range);
}

Test(rollup_file, is_refused_with_the_line_of_what_is_wrong)
{
    is_refused("mine.sql", GOOD "-- range: month\n", 6, "range is yes or not there");
    is_refused("Mine.sql", GOOD, 1, "NAME.sql");
    is_refused("mine.sql", "SELECT 1", 1, "target: ...\" is missing");
    is_refused("mine.sql", "-- target: mine\n", 1, "analytics_daily_NAME");
    is_refused("mine.sql", "\n-- target: analytics_daily_stats\n", 2, "is taken");
    is_refused("mine.sql", "-- target: analytics_daily_Mine\n", 1, "analytics_daily_NAME");
    is_refused("mine.sql", GOOD "-- key: date\n", 6, "declared twice");
    is_refused("mine.sql", "-- key: date; drop\n", 1, "column names");
    is_refused("mine.sql", "-- key: date,,x\n", 1, "column names");
    is_refused("mine.sql", "-- cadence: often\n", 1, "cadence");
    is_refused("mine.sql", "-- looks_back: 3 days\n", 1, "looks_back");
    is_refused("mine.sql", "-- target: analytics_weekly_w\n-- key: date\n-- cadence: 1 h\n", 1, "begins with week");
    is_refused("mine.sql", "-- target: analytics_daily_w\n-- key: dates\n-- cadence: 1 h\n", 1, "begins with date");
}

Test(rollup_file, finds_the_line_of_a_character_not_of_a_byte)
{
    cr_expect_eq(rollup_file_line_of("a\nb\nc", 1), 1);
    cr_expect_eq(rollup_file_line_of("a\nb\nc", 3), 2);
    cr_expect_eq(rollup_file_line_of("ää\nb", 4), 2);
    cr_expect_eq(rollup_file_line_of("ää\nb", 3), 1);
    cr_expect_eq(rollup_file_line_of("a", 100), 1);
    cr_expect_eq(rollup_file_line_of("", 1), 1);
}
