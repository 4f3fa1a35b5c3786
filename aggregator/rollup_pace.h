/* rollup_pace.h - how much of the time rollups may take: all of it while the server has cores to spare, a fifth while it has not.
 *
 * How busy it is shows in what our own queries wait: with each list of what is due the server says how long 10 ms of work take
 * there now (tallymill.due_rollups()), 10 ms where a core is always free, 15 where three want two. One such look may be unlucky,
 * so a new one counts for a fourth of what is believed. The setting rollups.share stands over all this. Pure.
 *
 * Rejected: to compare a loop's time with the shortest that was ever seen. Clocks that rise and fall, and a neighbour on the same
 * core, made an idle server look busy after one lucky loop.
 */
#ifndef TALLYMILL_AGGREGATOR_ROLLUP_PACE_H
#define TALLYMILL_AGGREGATOR_ROLLUP_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct rollup_pace {
    int64_t share;    /* percent of the time; 0: by itself */
    int64_t probe_us; /* what 10 ms of work take, by the looks so far; 0: not looked yet */
    bool is_busy;
};

enum { ROLLUP_BUSY_SHARE = 20, ROLLUP_BUSY_US = 12500, ROLLUP_LOOKS = 4 };

static inline void rollup_pace_probe(struct rollup_pace *pace, int64_t probe_us)
{
    pace->probe_us = pace->probe_us == 0 ? probe_us : pace->probe_us + (probe_us - pace->probe_us) / ROLLUP_LOOKS;
    pace->is_busy = pace->probe_us > ROLLUP_BUSY_US;
}

/* How long to rest after something that took so long. is_behind: the daily statistics have work to do. */
static inline int64_t rollup_pace_rest_us(const struct rollup_pace *pace, int64_t took_us, bool is_behind)
{
    int64_t share = pace->share > 0 ? pace->share : pace->is_busy || is_behind ? ROLLUP_BUSY_SHARE : 100;
    return took_us * (100 - share) / share;
}

#endif
