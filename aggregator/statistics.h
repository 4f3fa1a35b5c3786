/* statistics.h - writes the figures of days to analytics_daily_stats, inside the cycle's transaction.
 *
 * A row's created_at is the time it was first written: a rebuild keeps the rows that stay. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_STATISTICS_H
#define TALLYMILL_AGGREGATOR_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

struct day;
struct months;
struct session;
struct day_cache;
struct worklist;

/* Writes what changed in the loaded days since the last time, and marks it as written. *count: rows written. */
MUST_CHECK bool statistics_write_touched(struct session *session, struct day_cache *cache, size_t *count, struct error *err);

/* Makes a day's rows exactly these figures: names that are gone lose their row. Marks the day as written. */
MUST_CHECK bool statistics_replace_day(struct session *session, struct day *day, struct error *err);

/* Raises the version of the days of taken batches of which nothing is to be written: their events are internal ones, which the
 * statistics do not count, and uniques and rollups do. Call it before statistics_write_touched(), which raises the others. */
MUST_CHECK bool statistics_raise_others(struct session *session, const struct day_cache *cache, const struct worklist *list,
                                        const struct months *months, struct error *err);

#endif
