/* statistics.h - writes the figures of days to analytics_daily_stats, inside the cycle's transaction.
 *
 * A row's created_at is the time it was first written: a rebuild keeps the rows that stay. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_STATISTICS_H
#define TALLYMILL_AGGREGATOR_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>

struct day;
struct error;
struct session;
struct day_cache;

/* Writes what changed in the loaded days since the last time, and marks it as written. *count: rows written. */
bool statistics_write_touched(struct session *session, struct day_cache *cache, size_t *count, struct error *err);

/* Makes a day's rows exactly these figures: names that are gone lose their row. Marks the day as written. */
bool statistics_replace_day(struct session *session, struct day *day, struct error *err);

#endif
