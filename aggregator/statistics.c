/* statistics.c - one INSERT ... ON CONFLICT for any number of days and names.
 *
 * Invariant: after statistics_write_touched() the table holds, in this transaction, the figures of every loaded day. Rejected:
 * DELETE and INSERT of a whole day in a rebuild, which would lose created_at and leave a dead row for every name that did not
 * change; ON CONFLICT alone, which would leave the statistics of a name whose events are all gone.
 */
#include "aggregator/statistics.h"

#include "common/array_text.h"
#include "aggregator/day.h"
#include "common/session.h"
#include "aggregator/day_cache.h"
#include "aggregator/months.h"
#include "aggregator/worklist.h"
#include "common/clock.h"
#include "common/error.h"

enum { COLUMN_DATE, COLUMN_NAME, COLUMN_EVENTS, COLUMN_SESSIONS, COLUMN_USERS, COLUMNS };

static void begin(struct array_text columns[COLUMNS])
{
    for (int i = 0; i < COLUMNS; i++)
        array_text_begin(&columns[i]);
}

static void add(struct array_text columns[COLUMNS], const struct day *day, const struct day_name *name)
{
    array_text_add_date(&columns[COLUMN_DATE], day->number);
    array_text_add(&columns[COLUMN_NAME], day_name_text(day, name), name->text_length);
    array_text_add_int64(&columns[COLUMN_EVENTS], name->events);
    array_text_add_int64(&columns[COLUMN_SESSIONS], name->sessions);
    array_text_add_int64(&columns[COLUMN_USERS], name->users);
}

/* Adds the names of a day: those that were touched, or all that have events. (A name may have none: the rows that brought it belong
 * to a batch that waits.) */
static size_t add_day(struct array_text columns[COLUMNS], const struct day *day, bool only_touched)
{
    size_t count = 0;
    for (uint32_t i = 0; i < day->name_count; i++) {
        const struct day_name *name = &day->names[i];
        if (only_touched ? !name->is_touched : name->events == 0)
            continue;
        add(columns, day, name);
        count++;
    }
    return count;
}

static bool write_columns(struct session *session, struct array_text columns[COLUMNS], struct error *err)
{
    const char *values[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
        values[i] = array_text_end(&columns[i]);
        if (!values[i])
            return error_set(err, ERROR_RETRY, "no memory for the statistics to write");
    }
    return session_do(session,
                      "SELECT tallymill.write_statistics($1::date[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])",
                      COLUMNS, values, err);
}

static void end(struct array_text columns[COLUMNS])
{
    for (int i = 0; i < COLUMNS; i++)
        array_text_free(&columns[i]);
}

bool statistics_write_touched(struct session *session, struct day_cache *cache, size_t *count, struct error *err)
{
    struct array_text columns[COLUMNS] = {0};
    begin(columns);
    *count = 0;
    for (size_t i = 0; i < cache->count; i++) {
        const struct day *day = cache->days[i]->sets;
        if (day && day->touched_count > 0)
            *count += add_day(columns, day, true);
    }
    bool succeeded = *count == 0 || write_columns(session, columns, err);
    end(columns);
    for (size_t i = 0; i < cache->count && succeeded; i++)
        if (cache->days[i]->sets)
            day_mark_written(cache->days[i]->sets);
    return succeeded;
}

bool statistics_replace_day(struct session *session, struct day *day, struct error *err)
{
    struct array_text columns[COLUMNS] = {0};
    char date[CLOCK_DAY_BYTES];
    clock_format_day(date, day->number);
    begin(columns);
    size_t count = add_day(columns, day, false);
    const char *values[] = {date, array_text_end(&columns[COLUMN_NAME])};
    bool succeeded = values[1] ? session_do(session, "SELECT tallymill.drop_statistics($1::date, $2::text[])", 2, values, err)
                               : error_set(err, ERROR_RETRY, "no memory for the names of a day");
    succeeded = succeeded && (count == 0 || write_columns(session, columns, err));
    end(columns);
    if (succeeded)
        day_mark_written(day);
    return succeeded;
}

/* Context of add_version(). */
struct raising {
    const struct day_cache *cache;
    const struct months *months;
    struct array_text days;
    int32_t last;
    bool is_any;
};

static bool add_version(void *context, int32_t number)
{
    struct raising *raising = context;
    const struct cached_day *day = day_cache_find(raising->cache, number);
    const bool is_raised = (day && day->sets && day->sets->touched_count > 0) || (raising->is_any && number == raising->last);
    if (is_raised || !months_is_attached(raising->months, number))
        return true;
    array_text_add_date(&raising->days, number);
    raising->last = number;
    raising->is_any = true;
    return true;
}

bool statistics_raise_others(struct session *session, const struct day_cache *cache, const struct worklist *list,
                             const struct months *months, struct error *err)
{
    struct raising raising = {.cache = cache, .months = months};
    array_text_begin(&raising.days);
    for (uint32_t i = 0; i < list->batch_count; i++)
        if (list->batches[i].state == WORK_TAKEN)
            worklist_each_day(list, &list->batches[i], add_version, &raising);
    const char *values[] = {array_text_end(&raising.days)};
    bool succeeded =
        values[0]
            ? !raising.is_any ||
                  session_do(session, "SELECT tallymill.raise_versions(ARRAY(SELECT DISTINCT d FROM unnest($1::date[]) AS u (d)))",
                             1, values, err)
            : error_set(err, ERROR_RETRY, "no memory for the days of batches");
    array_text_free(&raising.days);
    return succeeded;
}
