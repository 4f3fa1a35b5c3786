/* rollup_pace.h - how much of the time rollups may take: all of it while the server has nothing else to do, a fifth while it has.
 *
 * How busy it is shows in what our own queries wait: a loop of fixed length, timed by the server with each list of what is due,
 * takes as long as ever on an idle server, and longer where others want its cores. What is longer than twice the shortest that was
 * seen is busy. The setting rollups.share stands over all this. Pure.
 */
#ifndef TALLYMILL_AGGREGATOR_ROLLUP_PACE_H
#define TALLYMILL_AGGREGATOR_ROLLUP_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct rollup_pace {
    int64_t share;       /* percent of the time; 0: by itself */
    int64_t shortest_us; /* of the loop, since the start; 0: not timed yet */
    bool is_busy;
};

enum { ROLLUP_BUSY_SHARE = 20, ROLLUP_BUSY_TIMES = 2 };

static inline void rollup_pace_probe(struct rollup_pace *pace, int64_t probe_us)
{
    if (pace->shortest_us == 0 || probe_us < pace->shortest_us)
        pace->shortest_us = probe_us;
    pace->is_busy = probe_us > ROLLUP_BUSY_TIMES * pace->shortest_us;
}

/* How long to rest after something that took so long. is_behind: the daily statistics have work to do. */
static inline int64_t rollup_pace_rest_us(const struct rollup_pace *pace, int64_t took_us, bool is_behind)
{
    int64_t share = pace->share > 0 ? pace->share : pace->is_busy || is_behind ? ROLLUP_BUSY_SHARE : 100;
    return took_us * (100 - share) / share;
}

#endif
