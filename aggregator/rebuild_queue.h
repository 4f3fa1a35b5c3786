/* rebuild_queue.h - which of the days that wait is rebuilt next. The queue is the days of the cache that have a reason. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_REBUILD_QUEUE_H
#define TALLYMILL_AGGREGATOR_REBUILD_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/rebuild_wait.h"

struct cached_day;
struct day_cache;

/* The day waits for a rebuild from now on (the database's time of this cycle); see rebuild_wait_begin(). */
void rebuild_queue_want(const struct day_cache *cache, struct cached_day *day, enum rebuild_reason reason);

/* How long a day rests after a rebuild: so many times as long as it took. At most a tenth of the time goes into one day. */
enum { REBUILD_REST = 10 };

/* The waiting day to rebuild next, or NULL: the newest, but one that has waited for a minute comes before newer ones. A day rests
 * after its last rebuild, unless `is_urgent`; one rebuilt at or after `since_us` (monotonic, the begin of this cycle) has had its
 * turn. */
struct cached_day *rebuild_queue_next(const struct day_cache *cache, int64_t now_us, int64_t since_us, bool is_urgent);

/* How many wait. */
size_t rebuild_queue_length(const struct day_cache *cache);

#endif
