/* intake.c - from COPY tuples to rows of 64 bytes, and from those into the sets.
 *
 * Invariant: every row of a chosen batch is counted exactly once, external or not; rows of other batches, which the ranges may
 * include, never. Read straight from the month's table, so that the planner has one table to think about: its last pages, or the
 * pages that its BRIN finds for the batches. ("+ 0" hides the condition from the planner, who would take the index for it. And a
 * plan that reads the whole table is forbidden: a table that was never analysed, or whose rows lie in no order any more, looks to
 * the planner as if the BRIN found all of it.) Internal rows are filtered here, since a second condition makes the planner weigh
 * the partial index. The set entry that a row will need is fetched into the cache a few rows ahead: the sets are far larger than
 * the caches.
 */
#include "aggregator/intake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "aggregator/day_cache.h"
#include "aggregator/identity.h"
#include "aggregator/rebuild_queue.h"
#include "aggregator/row.h"
#include "common/session.h"
#include "aggregator/worklist.h"
#include "common/clock.h"
#include "common/error.h"

enum { MAX_RANGES = 32, RANGE_BYTES = 80, PREFETCH_ROWS = 8, FIRST_ROWS = 4096 };

struct reading {
    struct intake *intake;
    struct worklist *list;
    struct day_cache *cache;
    struct row_shape shape;
    struct cached_day *day; /* of the last row */
};

void intake_init(struct intake *intake)
{
    *intake = (struct intake){0};
}

void intake_free(struct intake *intake)
{
    free(intake->rows);
    intake_init(intake);
}

bool intake_put(struct intake *intake, const struct intake_row *row, struct error *err)
{
    if (intake->count == intake->capacity) {
        size_t capacity = intake->capacity ? intake->capacity * 2 : FIRST_ROWS;
        struct intake_row *rows = realloc(intake->rows, capacity * sizeof *rows);
        if (!rows)
            return error_set(err, ERROR_RETRY, "no memory for %zu rows", capacity);
        intake->rows = rows;
        intake->capacity = capacity;
    }
    intake->rows[intake->count++] = *row;
    return true;
}

bool intake_put_note(struct intake *intake, const struct intake_row *row, struct error *err)
{
    const struct intake_row *last = intake->count ? &intake->rows[intake->count - 1] : NULL;
    if (last && last->is_only_note && last->day == row->day && last->batch == row->batch)
        return true;
    return intake_put(intake, &(struct intake_row){.day = row->day, .batch = row->batch, .is_only_note = true}, err);
}

static bool take_external(struct reading *reading, const struct row *row, uint32_t batch, struct error *err)
{
    if (!reading->day || reading->day->number != row->day) {
        reading->day = day_cache_get(reading->cache, row->day, err);
        if (!reading->day)
            return false;
    }
    struct intake_row taken = {.day = reading->day, .batch = batch};
    if (!taken.day->sets)
        return intake_put_note(reading->intake, &taken, err);
    if (!day_cache_name(reading->cache, taken.day, row->name.bytes, row->name.length, &taken.event.name)) {
        day_cache_unload(taken.day);
        taken.day->is_too_big = true;
        return intake_put_note(reading->intake, &taken, err);
    }
    row_identify(row, reading->cache->identity, &taken.event);
    return intake_put(reading->intake, &taken, err);
}

static bool take_tuple(void *context, const struct copy_tuple *tuple, struct error *err)
{
    struct reading *reading = context;
    struct row row;
    if (!row_read(&row, &reading->shape, tuple, err))
        return false;
    struct work_batch *batch = row.is_foreign ? NULL : worklist_find(reading->list, row.batch_id);
    if (!batch || batch->state != WORK_CHOSEN || batch->is_read)
        return true;
    batch->counted_rows++;
    return row.is_internal || take_external(reading, &row, (uint32_t)(batch - reading->list->batches), err);
}

/* Where a month's rows are read from, and the begin of what they must be. */
static void write_place(char *place, size_t size, int32_t month, bool is_by_parent)
{
    char first[CLOCK_DAY_BYTES], next[CLOCK_DAY_BYTES];
    clock_format_day(first, month);
    clock_format_day(next, clock_month_add(month, 1));
    if (is_by_parent)
        snprintf(place, size, "analytics_events WHERE created_at >= '%s' AND created_at < '%s' AND", first, next);
    else
        snprintf(place, size, "analytics_events_%.4s_%.2s WHERE", first, first + 5);
}

bool intake_read(struct intake *intake, struct session *session, struct worklist *list, struct day_cache *cache, int32_t month,
                 bool is_by_parent, int64_t from_page, struct error *err)
{
    struct work_range ranges[MAX_RANGES];
    size_t count = worklist_ranges(list, month, ranges, from_page < 0 ? MAX_RANGES : 1);
    if (count == 0)
        return true;
    char place[128];
    write_place(place, sizeof place, month, is_by_parent);
    struct reading reading = {.intake = intake, .list = list, .cache = cache};
    reading.shape.is_of_one_batch = count == 1 && ranges[0].first_id == ranges[0].last_id;
    reading.shape.batch_id = ranges[0].first_id;
    reading.shape.is_of_one_day = worklist_only_day(list, month, &reading.shape.day);
    char sql[384 + MAX_RANGES * RANGE_BYTES];
    int used = snprintf(sql, sizeof sql, "COPY (SELECT %s FROM public.%s", row_columns(&reading.shape), place);
    if (from_page >= 0)
        used += snprintf(sql + used, sizeof sql - (size_t)used, " ctid >= '(%" PRId64 ",0)' AND", from_page);
    for (size_t i = 0; i < count; i++)
        used += snprintf(sql + used, sizeof sql - (size_t)used, "%s batch_id%s BETWEEN %" PRId64 " AND %" PRId64, i ? " OR" : "",
                         from_page < 0 ? "" : " + 0", ranges[i].first_id, ranges[i].last_id);
    snprintf(sql + used, sizeof sql - (size_t)used, ") TO STDOUT (FORMAT binary)");
    return (from_page >= 0 || session_do(session, "SET LOCAL enable_seqscan = off", 0, NULL, err)) &&
           session_copy_out(session, SESSION_TIMEOUT_S * CLOCK_SECOND_US, sql, take_tuple, &reading, err) &&
           (from_page >= 0 || session_do(session, "SET LOCAL enable_seqscan = on", 0, NULL, err));
}

static bool is_taken(const struct worklist *list, const struct intake_row *row)
{
    return list->batches[row->batch].state == WORK_TAKEN;
}

/* False: the day is not in memory, or does not fit any more. */
static bool add_to_day(struct day_cache *cache, const struct intake_row *row)
{
    if (row->is_only_note || !row->day->sets)
        return false;
    if (!day_cache_reserve(cache, row->day, &row->event)) {
        day_cache_unload(row->day);
        row->day->is_too_big = true;
        return false;
    }
    day_add(row->day->sets, &row->event);
    return true;
}

size_t intake_add(struct intake *intake, struct worklist *list, struct day_cache *cache)
{
    size_t added = 0;
    const struct cached_day *touched = NULL;
    for (size_t i = 0; i < intake->count; i++) {
        if (i + PREFETCH_ROWS < intake->count) {
            const struct intake_row *ahead = &intake->rows[i + PREFETCH_ROWS];
            if (!ahead->is_only_note && ahead->day->sets)
                day_prefetch(ahead->day->sets, &ahead->event);
        }
        const struct intake_row *row = &intake->rows[i];
        if (!is_taken(list, row))
            continue;
        if (row->day != touched) {
            day_cache_touch(cache, row->day);
            touched = row->day;
        }
        if (add_to_day(cache, row))
            added++;
        else
            rebuild_queue_want(cache, row->day, REBUILD_TOUCHED);
    }
    intake->count = 0;
    return added;
}
