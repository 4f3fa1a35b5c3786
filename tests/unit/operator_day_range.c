/* The days that `verify` is asked for. */
#include <criterion/criterion.h>
#include <string.h>

#include "operator/day_range.h"

static void reads_as(const char *text, const char *first, const char *last)
{
    struct day_range range;
    struct error err = {0};
    cr_assert(day_range_parse(text, &range, &err), "%s: %s", text, err.text);
    cr_expect_str_eq(range.first, first);
    cr_expect_str_eq(range.last, last);
}

static void is_refused(const char *text, const char *reason)
{
    struct day_range range;
    struct error err = {0};
    cr_assert_not(day_range_parse(text, &range, &err), "%s", text);
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect_not_null(strstr(err.text, reason), "%s", err.text);
}

Test(day_range, is_one_day_or_two_with_either_end_open)
{
    reads_as("2026-11-24", "2026-11-24", "2026-11-24");
    reads_as("2026-11-01..2026-11-24", "2026-11-01", "2026-11-24");
    reads_as("2026-11-24..2026-11-24", "2026-11-24", "2026-11-24");
    reads_as("2026-11-01..", "2026-11-01", "");
    reads_as("..2026-11-24", "", "2026-11-24");
}

Test(day_range, refuses_what_is_no_real_day)
{
    is_refused("2026-02-30", "2026-02-30");
    is_refused("yesterday", "yesterday");
    is_refused("2026-11-01..24", "24 is no day");
    is_refused("2026-11-01...2026-11-24", ".2026-11-24");
    is_refused("2026-11-24'; DROP TABLE x", "is no day");
}

Test(day_range, refuses_a_range_without_days)
{
    is_refused("", "which days?");
    is_refused("..", "which days?");
    is_refused("2026-11-24..2026-11-01", "ends before it begins");
}
