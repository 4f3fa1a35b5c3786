/* lag.c - see lag.h. */
#include "operator/dashboard/lag.h"

#include <string.h>

void lag_see(struct lag *lag, int64_t end, int64_t now_us)
{
    if (lag->count > 0 && lag->marks[lag->count - 1].end >= end)
        return;
    if (lag->count ==
        LAG_MARKS) { /* of each pair the older moment, with the later one's end: all of it is at least that old at the most */
        for (int i = 0; i < LAG_MARKS / 2; i++)
            lag->marks[i] = (struct lag_mark){lag->marks[2 * i + 1].end, lag->marks[2 * i].at_us};
        lag->count = LAG_MARKS / 2;
    }
    lag->marks[lag->count++] = (struct lag_mark){end, now_us};
}

int64_t lag_age_us(struct lag *lag, int64_t position, int64_t now_us)
{
    int passed = 0;
    while (passed < lag->count && lag->marks[passed].end <= position)
        passed++;
    memmove(lag->marks, lag->marks + passed, (size_t)(lag->count - passed) * sizeof *lag->marks);
    lag->count -= passed;
    return lag->count > 0 ? now_us - lag->marks[0].at_us : 0;
}
