/* How late a topic partition is, by the message that is stored next. */
#include <criterion/criterion.h>

#include "common/clock.h"
#include "operator/backlog.h"

Test(backlog, is_no_time_late_where_nothing_waits_and_unknown_where_no_time_is_known)
{
    struct backlog_log logs[] = {
        {.waiting = 0, .oldest_us = -1}, {.waiting = 3, .oldest_us = -1}, {.waiting = 3, .oldest_us = 100}};
    const struct backlog backlog = {.count = 3, .logs = logs, .asked_us = 100 + 5 * CLOCK_SECOND_US};
    cr_expect_eq(backlog_age_us(&backlog, 0), 0);
    cr_expect_eq(backlog_age_us(&backlog, 1), -1);
    cr_expect_eq(backlog_age_us(&backlog, 2), 5 * CLOCK_SECOND_US);
    cr_expect_eq(backlog_longest_us(&backlog), 5 * CLOCK_SECOND_US);
}

Test(backlog, is_not_late_where_the_brokers_clock_is_ahead)
{
    struct backlog_log logs[] = {{.waiting = 1, .oldest_us = 1000}};
    const struct backlog backlog = {.count = 1, .logs = logs, .asked_us = 500};
    cr_expect_eq(backlog_age_us(&backlog, 0), 0);
}
