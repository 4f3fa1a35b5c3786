/* rebuild.h - a day's statistics made anew from its rows, in the snapshot of the cycle, and its sets loaded into memory.
 *
 * Serves whatever the fold cannot: the first touch after a start, late events into a day that is not in memory, closing, rows of
 * other programs, rows that were removed. The rows of batches that the cycle does not take are left out, so that the statistics
 * stay those of exactly the batches at or below `folded`. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_REBUILD_H
#define TALLYMILL_AGGREGATOR_REBUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct session;
struct day_cache;
struct cached_day;
struct worklist;

/* Rebuilds one waiting day: statistics, its row in tallymill.days (closed if `is_due`), and its sets, if they fit. The caller knows
 * that its month is attached. */
MUST_CHECK bool rebuild_day(struct session *session, struct day_cache *cache, struct cached_day *day, struct worklist *list,
                            bool is_due, struct error *err);

#endif
