/* day_cache.h - the days the aggregator knows, and which of them are held in memory.
 *
 * A day that is loaded has its exact sets here, and new events are added to them; one that is not is rebuilt from its rows when it
 * is touched (rebuild_queue.h). Memory is bounded: when a set cannot grow, a day is put away, a closed one before an open one, the
 * least recently touched first. All of it is only a cache of what the database implies: day_cache_forget() is always right. One
 * thread.
 */
#ifndef TALLYMILL_AGGREGATOR_DAY_CACHE_H
#define TALLYMILL_AGGREGATOR_DAY_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/budget.h"
#include "aggregator/day.h"
#include "aggregator/rebuild_wait.h"
#include "common/error.h"

struct identity;

struct cached_day {
    int32_t number;
    struct day *sets; /* NULL: not loaded */
    bool is_closed;
    bool is_too_big;     /* its sets did not fit: its statistics are computed by Postgres */
    uint64_t touched_at; /* by cache->clock: for the choice of what to put away */
    struct rebuild_wait wait;
};

struct day_cache {
    struct budget budget;
    const struct identity *identity;
    struct cached_day **days; /* sorted by number */
    size_t count, capacity;
    uint64_t clock;
    int64_t wall_us; /* the database's time, set at the begin of each cycle */
};

/* identity must outlive it; max_bytes bounds the sets of all days together. */
void day_cache_init(struct day_cache *cache, const struct identity *identity, size_t max_bytes);

/* Frees every day. */
void day_cache_forget(struct day_cache *cache);

/* The day, or NULL if it is unknown; day_cache_get makes it known (NULL: ERROR_RETRY, no memory). Valid until day_cache_forget. */
struct cached_day *day_cache_find(const struct day_cache *cache, int32_t number);
MUST_CHECK struct cached_day *day_cache_get(struct day_cache *cache, int32_t number, struct error *err);

/* Notes that the day was used now. */
void day_cache_touch(struct day_cache *cache, struct cached_day *day);

/* An empty set of names for a day that is to be filled; what it held is thrown away. False: not even that fits. */
bool day_cache_load(struct day_cache *cache, struct cached_day *day);
void day_cache_unload(struct cached_day *day);

/* The number of an event name, and room for one event, in a loaded day; other days are put away for it as needed. False: the day
 * alone is too big (or memory has run out). A day put away before its figures were written waits for a rebuild from then on. */
bool day_cache_name(struct day_cache *cache, struct cached_day *day, const char *text, size_t length, uint32_t *name);
bool day_cache_reserve(struct day_cache *cache, struct cached_day *day, const struct day_event *event);

/* How many are loaded. */
size_t day_cache_loaded(const struct day_cache *cache);

#endif
