/* day_cache.c - known days in order of their date; the budget that their sets share; who is put away.
 *
 * Invariant: a day's sets hold exactly the events of its day that are folded (once its cycle has committed), or they are not here.
 * So putting a day away loses nothing but time: unless its new figures were not written yet; then it waits for a rebuild in the
 * same breath. A sorted array of pointers: a few hundred days, looked up once per run of rows of the same day.
 */
#include "aggregator/day_cache.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"

void day_cache_init(struct day_cache *cache, const struct identity *identity, size_t max_bytes)
{
    *cache = (struct day_cache){.budget.max_bytes = max_bytes, .identity = identity};
}

void day_cache_forget(struct day_cache *cache)
{
    for (size_t i = 0; i < cache->count; i++) {
        day_cache_unload(cache->days[i]);
        free(cache->days[i]);
    }
    free(cache->days);
    cache->days = NULL;
    cache->count = cache->capacity = 0;
}

/* Where the day stands, or belongs. */
static size_t position_of(const struct day_cache *cache, int32_t number)
{
    size_t low = 0, high = cache->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cache->days[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct cached_day *day_cache_find(const struct day_cache *cache, int32_t number)
{
    size_t at = position_of(cache, number);
    return at < cache->count && cache->days[at]->number == number ? cache->days[at] : NULL;
}

struct cached_day *day_cache_get(struct day_cache *cache, int32_t number, struct error *err)
{
    size_t at = position_of(cache, number);
    if (at < cache->count && cache->days[at]->number == number)
        return cache->days[at];
    if (cache->count == cache->capacity) {
        size_t capacity = cache->capacity ? cache->capacity * 2 : 64;
        struct cached_day **days = realloc(cache->days, capacity * sizeof *days);
        if (!days) {
            error_set(err, ERROR_RETRY, "no memory for %zu days", capacity);
            return NULL;
        }
        cache->days = days;
        cache->capacity = capacity;
    }
    struct cached_day *day = calloc(1, sizeof *day);
    if (!day) {
        error_set(err, ERROR_RETRY, "no memory for a day");
        return NULL;
    }
    day->number = number;
    memmove(cache->days + at + 1, cache->days + at, (cache->count - at) * sizeof *cache->days);
    cache->days[at] = day;
    cache->count++;
    return day;
}

void day_cache_touch(struct day_cache *cache, struct cached_day *day)
{
    day->touched_at = ++cache->clock;
}

bool day_cache_load(struct day_cache *cache, struct cached_day *day)
{
    day_cache_unload(day);
    day->sets = day_new(day->number, cache->identity, &cache->budget);
    day_cache_touch(cache, day);
    return day->sets != NULL;
}

void day_cache_unload(struct cached_day *day)
{
    day_free(day->sets);
    day->sets = NULL;
}

static bool is_better_to_put_away(const struct cached_day *day, const struct cached_day *than)
{
    if (!than)
        return true;
    if (day->is_closed != than->is_closed)
        return day->is_closed;
    return day->touched_at < than->touched_at;
}

/* Puts one loaded day away, but not `keep`, and no open day for a closed one: that would come back with the next event. False:
 * there is none. */
static bool put_away(struct day_cache *cache, const struct cached_day *keep)
{
    struct cached_day *chosen = NULL;
    for (size_t i = 0; i < cache->count; i++) {
        struct cached_day *day = cache->days[i];
        if (day->sets && day != keep && (day->is_closed || !keep->is_closed) && is_better_to_put_away(day, chosen))
            chosen = day;
    }
    if (!chosen)
        return false;
    if (chosen->sets->touched_count > 0)
        rebuild_wait_begin(&chosen->wait, REBUILD_EVICTED, cache->wall_us);
    day_cache_unload(chosen);
    return true;
}

bool day_cache_name(struct day_cache *cache, struct cached_day *day, const char *text, size_t length, uint32_t *name)
{
    while (!day_name(day->sets, text, length, name))
        if (!put_away(cache, day))
            return false;
    return true;
}

bool day_cache_reserve(struct day_cache *cache, struct cached_day *day, const struct day_event *event)
{
    while (!day_reserve(day->sets, event))
        if (!put_away(cache, day))
            return false;
    return true;
}

size_t day_cache_loaded(const struct day_cache *cache)
{
    size_t loaded = 0;
    for (size_t i = 0; i < cache->count; i++)
        loaded += cache->days[i]->sets != NULL;
    return loaded;
}
