/* rebuild_queue.c - see rebuild_queue.h. A walk over the known days, a few hundred, once a rebuild.
 *
 * Rejected: strictly newest first among the waiting, which leaves the oldest for ever while an import keeps touching more days than
 * memory holds.
 */
#include "aggregator/rebuild_queue.h"

#include "aggregator/day_cache.h"
#include "common/clock.h"

static const int64_t PATIENCE_US = 60 * CLOCK_SECOND_US;

void rebuild_queue_want(const struct day_cache *cache, struct cached_day *day, enum rebuild_reason reason)
{
    rebuild_wait_begin(&day->wait, reason, cache->wall_us);
}

static bool is_before(const struct cached_day *day, const struct cached_day *than, int64_t wall_us)
{
    if (!than)
        return true;
    bool is_patient = wall_us - day->wait.since_us < PATIENCE_US;
    bool than_is_patient = wall_us - than->wait.since_us < PATIENCE_US;
    if (is_patient != than_is_patient)
        return !is_patient;
    if (!is_patient && day->wait.since_us != than->wait.since_us)
        return day->wait.since_us < than->wait.since_us;
    return day->number > than->number;
}

static bool may_be_rebuilt(const struct cached_day *day, int64_t now_us, int64_t since_us, bool is_urgent)
{
    if (day->wait.reason == REBUILD_NOT)
        return false;
    if (day->wait.rebuilt_at_us == 0)
        return true;
    return day->wait.rebuilt_at_us < since_us &&
           (is_urgent || now_us - day->wait.rebuilt_at_us >= REBUILD_REST * day->wait.took_us);
}

struct cached_day *rebuild_queue_next(const struct day_cache *cache, int64_t now_us, int64_t since_us, bool is_urgent)
{
    struct cached_day *next = NULL;
    for (size_t i = 0; i < cache->count; i++) {
        struct cached_day *day = cache->days[i];
        if (may_be_rebuilt(day, now_us, since_us, is_urgent) && is_before(day, next, cache->wall_us))
            next = day;
    }
    return next;
}

size_t rebuild_queue_length(const struct day_cache *cache)
{
    size_t waiting = 0;
    for (size_t i = 0; i < cache->count; i++)
        waiting += cache->days[i]->wait.reason != REBUILD_NOT;
    return waiting;
}
