/* pace.c - see pace.h. Due times are computed from the start, not from the event before, so that rounding does not add up. */
#include "producer/pace.h"

#include "common/clock.h"

void pace_init(struct pace *pace, double rate, bool is_open_loop, int64_t now_us)
{
    *pace = (struct pace){.rate = rate, .is_open_loop = is_open_loop, .start_us = now_us};
}

int64_t pace_next_us(struct pace *pace, int64_t now_us)
{
    if (pace->rate <= 0)
        return now_us;
    int64_t due_us = pace->start_us + (int64_t)((double)pace->events * 1e6 / pace->rate);
    if (!pace->is_open_loop && due_us < now_us - CLOCK_SECOND_US) {
        pace->start_us = now_us - CLOCK_SECOND_US;
        pace->events = 0;
        due_us = pace->start_us;
    }
    pace->events++;
    return due_us;
}
