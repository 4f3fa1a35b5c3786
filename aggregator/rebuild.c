/* rebuild.c - read the day by range, fill its sets, replace its statistics; or let Postgres compute them when the sets do not fit.
 *
 * Invariant: on success the day's statistics and its sets hold the same events: all external rows of the day in this snapshot but
 * those of batches that wait. On failure the cycle is rolled back and the memory forgotten, so nothing is undone here. A day that
 * turns out to be too big for memory is known only once it has been read; that happens once in the life of a connection, and from
 * then on Postgres counts the day (slower, but in its own bounded work_mem). Asking the planner for the number of rows beforehand
 * was rejected: it is wrong by orders of magnitude right after a load.
 */
#include "aggregator/rebuild.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "aggregator/day_cache.h"
#include "aggregator/deltas.h"
#include "aggregator/rebuild_queue.h"
#include "aggregator/row.h"
#include "common/session.h"
#include "aggregator/statistics.h"
#include "aggregator/worklist.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"

extern const char sql_rebuild_big_day[], sql_note_rebuilt[];

static const int64_t SLOW_TIMEOUT_US = 3600 * CLOCK_SECOND_US;

enum { NUMBER_BYTES = 24 };

struct loading {
    struct day_cache *cache;
    struct cached_day *day;
    struct worklist *list;
    struct row_shape shape;
    int64_t rows;
};

static bool load_event(struct loading *loading, const struct row *row)
{
    struct day_event event;
    if (!day_cache_name(loading->cache, loading->day, row->name.bytes, row->name.length, &event.name))
        return false;
    row_identify(row, loading->cache->identity, &event);
    if (!day_cache_reserve(loading->cache, loading->day, &event))
        return false;
    day_add(loading->day->sets, &event);
    return true;
}

static bool take_tuple(void *context, const struct copy_tuple *tuple, struct error *err)
{
    struct loading *loading = context;
    struct row row;
    if (!row_read(&row, &loading->shape, tuple, err))
        return false;
    if (!row.is_foreign && worklist_excludes(loading->list, row.batch_id))
        return true;
    loading->rows++;
    if (loading->day->sets && !load_event(loading, &row)) {
        day_cache_unload(loading->day);
        loading->day->is_too_big = true;
    }
    return true;
}

/* Reads the day's external rows into new sets. Afterwards the day is loaded, or known to be too big. */
static bool load_day(struct loading *loading, struct session *session, const char *date, const char *next_date, struct error *err)
{
    char sql[512];
    if (!day_cache_load(loading->cache, loading->day)) {
        loading->day->is_too_big = true;
        return true;
    }
    snprintf(sql, sizeof sql,
             "COPY (SELECT %s FROM public.analytics_events WHERE created_at >= '%s 00:00:00Z' AND created_at < '%s 00:00:00Z' "
             "AND is_internal = false) TO STDOUT (FORMAT binary)",
             row_columns(&loading->shape), date, next_date);
    return session_copy_out(session, SLOW_TIMEOUT_US, sql, take_tuple, loading, err);
}

/* The ids of the batches that this cycle does not take: "{[5,7],[9,9]}". To be freed; NULL: no memory. */
static char *excluded_ids(const struct worklist *list)
{
    enum { RANGE_BYTES = 2 * NUMBER_BYTES };
    size_t capacity = 3 + (size_t)(list->batch_count - list->taken_count) * RANGE_BYTES, used = 1;
    char *text = malloc(capacity);
    if (!text)
        return NULL;
    text[0] = '{';
    for (uint32_t i = 0; i < list->batch_count; i++)
        if (list->batches[i].state != WORK_TAKEN)
            used += (size_t)snprintf(text + used, capacity - used, "%s[%" PRId64 ",%" PRId64 "]", used > 1 ? "," : "",
                                     list->batches[i].first_id, list->batches[i].last_id);
    text[used] = '}';
    text[used + 1] = '\0';
    return text;
}

static bool count_in_postgres(struct session *session, struct worklist *list, const char *date, const char *next_date,
                              struct error *err)
{
    char *excluded = excluded_ids(list);
    if (!excluded)
        return error_set(err, ERROR_RETRY, "no memory for the ids of %u batches", list->batch_count - list->taken_count);
    char from[CLOCK_TIME_BYTES], to[CLOCK_TIME_BYTES];
    snprintf(from, sizeof from, "%s 00:00:00Z", date);
    snprintf(to, sizeof to, "%s 00:00:00Z", next_date);
    const char *const values[] = {date, excluded, from, to};
    PGresult *result = session_ask(session, SLOW_TIMEOUT_US, sql_rebuild_big_day, 4, values, err);
    free(excluded);
    PQclear(result);
    return result != NULL;
}

/* The rows of other programs in this day, as text for the row in tallymill.days. The times are constants to the planner, which so
 * looks at one month; as casts of a date they would be known only when the plan runs, and it would look at every month there is. */
static bool look_at_foreign(struct session *session, const char *date, const char *next_date, char rows[NUMBER_BYTES],
                            char hash[NUMBER_BYTES], struct error *err)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT rows, hash FROM tallymill.foreign_rows(timestamptz '%s 00:00:00Z', timestamptz '%s 00:00:00Z')", date,
             next_date);
    PGresult *result = session_ask(session, SLOW_TIMEOUT_US, sql, 0, NULL, err);
    if (!result)
        return false;
    bool is_any = PQntuples(result) > 0;
    snprintf(rows, NUMBER_BYTES, "%s", is_any ? PQgetvalue(result, 0, 0) : "0");
    snprintf(hash, NUMBER_BYTES, "%s", is_any ? PQgetvalue(result, 0, 1) : "0");
    PQclear(result);
    return true;
}

static void tell(const struct cached_day *day, const char *date, int64_t rows, bool is_due)
{
    if (day->sets)
        log_info("day rebuilt", "day=%s reason=\"%s\" rows=%" PRId64 " took_ms=%" PRId64 " closed=%s", date,
                 rebuild_reason_text(day->wait.reason), rows, day->wait.took_us / 1000, is_due ? "yes" : "no");
    else
        log_info("day counted by Postgres: it does not fit into memory.max",
                 "day=%s reason=\"%s\" took_ms=%" PRId64 " next_s=%" PRId64 " closed=%s", date,
                 rebuild_reason_text(day->wait.reason), day->wait.took_us / 1000,
                 REBUILD_REST * day->wait.took_us / CLOCK_SECOND_US, is_due ? "yes" : "no");
}

/* The snapshot says that the month is attached, but Postgres plans by what is so now: from a month that was detached meanwhile it
 * has read nothing, and the zeros must not stand for it. pg_partition_root() looks at the catalogue of now, too, and what was read
 * is locked: so this is asked after the reading. */
static bool is_still_attached(struct session *session, const char *date, struct error *err)
{
    const char *const values[] = {date};
    PGresult *result = session_ask(session, SESSION_TIMEOUT_S * CLOCK_SECOND_US,
                                   "SELECT pg_partition_root(tallymill.month_table(date_trunc('month', $1::date::timestamp)::date))"
                                   " = 'public.analytics_events'::regclass",
                                   1, values, err);
    if (!result)
        return false;
    bool is_attached = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return is_attached || error_set(err, ERROR_RETRY, "the month of %s left analytics_events meanwhile", date);
}

bool rebuild_day(struct session *session, struct day_cache *cache, struct cached_day *day, struct worklist *list, bool is_due,
                 struct error *err)
{
    int64_t start_us = clock_now_us();
    char date[CLOCK_DAY_BYTES], next_date[CLOCK_DAY_BYTES], rows[NUMBER_BYTES], hash[NUMBER_BYTES], took[NUMBER_BYTES];
    clock_format_day(date, day->number);
    clock_format_day(next_date, day->number + 1);
    struct loading loading = {
        .cache = cache,
        .day = day,
        .list = list,
        .shape = {.is_of_one_day = true, .day = day->number, .is_of_one_batch = list->taken_count == list->batch_count}};
    day->is_closed = day->is_closed || is_due;
    if (!look_at_foreign(session, date, next_date, rows, hash, err))
        return false;
    if (!day->is_too_big && !load_day(&loading, session, date, next_date, err))
        return false;
    if (!(day->sets ? statistics_replace_day(session, day->sets, err) : count_in_postgres(session, list, date, next_date, err)) ||
        !is_still_attached(session, date, err) || !deltas_drop_waiting(session, list, day->number, err))
        return false;

    day->wait.rebuilt_at_us = clock_now_us();
    day->wait.took_us = day->wait.rebuilt_at_us - start_us;
    snprintf(took, sizeof took, "%" PRId64, day->wait.took_us);
    const char *const values[] = {date, is_due ? "t" : "f", took, rows, hash};
    if (!session_do(session, sql_note_rebuilt, 5, values, err))
        return false;
    tell(day, date, loading.rows, is_due);
    day->wait.is_marked = false;
    day->wait.reason = REBUILD_NOT;
    return true;
}
