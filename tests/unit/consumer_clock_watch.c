/* Two of three clocks that agree are right; a clock that nobody speaks for is not trusted with times of events. */
#include <criterion/criterion.h>

#include "consumer/clock_watch.h"

static const int64_t MINUTE = 60000000, DAY = 86400000000;

static enum clock_verdict judge(int64_t off_us, bool has_record, int64_t record_off_us, enum clock_suspect wanted)
{
    enum clock_suspect suspect;
    const enum clock_verdict verdict = clock_watch(
        &(struct clock_facts){.postgres_off_us = off_us, .has_record = has_record, .record_off_us = record_off_us, .ahead_us = DAY},
        &suspect);
    cr_expect_eq(suspect, wanted);
    return verdict;
}

Test(clock_watch, is_content_up_to_five_minutes)
{
    cr_expect_eq(judge(0, false, 0, CLOCK_OF_NOBODY), CLOCK_GOOD);
    cr_expect_eq(judge(5 * MINUTE, true, 0, CLOCK_OF_NOBODY), CLOCK_GOOD);
    cr_expect_eq(judge(-5 * MINUTE, true, 30 * DAY, CLOCK_OF_NOBODY), CLOCK_GOOD, "a backlog is old, whatever the clock");
}

Test(clock_watch, waits_only_beyond_the_window)
{
    cr_expect_eq(judge(6 * MINUTE, false, 0, CLOCK_OF_WORKER), CLOCK_APART);
    cr_expect_eq(judge(DAY, false, 0, CLOCK_OF_WORKER), CLOCK_APART);
    cr_expect_eq(judge(DAY + 1, false, 0, CLOCK_OF_WORKER), CLOCK_WRONG);
    cr_expect_eq(judge(-3 * DAY, false, 0, CLOCK_OF_WORKER), CLOCK_WRONG);
    cr_expect_eq(judge(3 * DAY, true, 3 * DAY, CLOCK_OF_WORKER), CLOCK_WRONG);
}

Test(clock_watch, believes_two_of_three)
{
    cr_expect_eq(judge(3 * DAY, true, MINUTE, CLOCK_OF_POSTGRES), CLOCK_APART);
    cr_expect_eq(judge(0, true, -3 * DAY, CLOCK_OF_KAFKA), CLOCK_APART);
}

Test(clock_watch, is_not_stopped_by_a_window_smaller_than_its_patience)
{
    enum clock_suspect suspect;
    cr_expect_eq(clock_watch(&(struct clock_facts){.postgres_off_us = MINUTE, .ahead_us = 0}, &suspect), CLOCK_GOOD);
    cr_expect_eq(clock_watch(&(struct clock_facts){.postgres_off_us = 6 * MINUTE, .ahead_us = 0}, &suspect), CLOCK_WRONG);
}
