/* producer_pace.c - pace.c, and progress.c of common: when the next event is due, and what the bar says. */
#include <criterion/criterion.h>

#include <string.h>

#include "common/clock.h"
#include "producer/pace.h"
#include "common/progress.h"

Test(pace, spreads_events_evenly_without_drifting)
{
    struct pace pace;
    pace_init(&pace, 3, false, 1000);
    for (int i = 0; i < 3000; i++)
        cr_assert_eq(pace_next_us(&pace, 1000 + i * INT64_C(333333)), 1000 + (int64_t)(i * 1e6 / 3), "event %d", i);
}

Test(pace, makes_up_for_a_stall_by_a_second_at_most)
{
    struct pace pace;
    pace_init(&pace, 10, false, 0);
    cr_assert_eq(pace_next_us(&pace, 0), 0);
    int64_t now_us = 60 * CLOCK_SECOND_US;
    int at_once = 0;
    while (pace_next_us(&pace, now_us) <= now_us)
        at_once++;
    cr_assert(at_once >= 10 && at_once <= 11, "%d", at_once);
}

Test(pace, without_a_rate_never_waits)
{
    struct pace pace;
    pace_init(&pace, 0, false, 5);
    cr_assert_eq(pace_next_us(&pace, 77), 77);
}

Test(progress, says_share_count_rate_and_time_left)
{
    char text[PROGRESS_TEXT_BYTES];
    progress_format(text, "events", 50, 200, 1234567, 10 * CLOCK_SECOND_US);
    cr_assert_str_eq(text, "[######..................]  25 %  1,234,567 events  123,456/s  30 s left");
    progress_format(text, "events", 0, 200, 0, 10 * CLOCK_SECOND_US);
    cr_assert_str_eq(text, "[........................]   0 %  0 events  0/s");
    progress_format(text, "events", 400, 200, 1, CLOCK_SECOND_US);
    cr_assert_not_null(strstr(text, "100 %"));
    progress_format(text, "events", 77, 0, 5, CLOCK_SECOND_US);
    cr_assert_str_eq(text, "5 events  5/s");
    progress_format(text, "events", 1, INT64_MAX, UINT64_MAX, 1);
    cr_assert_lt(strlen(text), PROGRESS_TEXT_BYTES);
}

Test(pace, an_open_loop_makes_up_all_that_a_stall_has_cost)
{
    struct pace pace;
    pace_init(&pace, 10, true, 0);
    cr_assert_eq(pace_next_us(&pace, 0), 0);
    for (int64_t i = 1; i <= 100; i++)
        cr_assert_eq(pace_next_us(&pace, 60000000), i * 100000);
}
