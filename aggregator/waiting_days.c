/* waiting_days.c - see waiting_days.h. */
#include "aggregator/waiting_days.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/array_text.h"
#include "aggregator/day_cache.h"
#include "aggregator/months.h"
#include "common/session.h"
#include "aggregator/worklist.h"
#include "common/error.h"

extern const char sql_fill_days[], sql_mark_away[], sql_mark_days[];

bool waiting_days_fill(struct session *session, int32_t last_day, struct error *err)
{
    char last[16];
    snprintf(last, sizeof last, "%" PRId32, last_day);
    const char *const values[] = {last};
    return session_do(session, sql_fill_days, 1, values, err);
}

bool waiting_days_mark(struct session *session, struct day_cache *cache, struct error *err)
{
    struct array_text days = {0}, reasons = {0};
    array_text_begin(&days);
    array_text_begin(&reasons);
    bool is_any = false;
    for (size_t i = 0; i < cache->count; i++) {
        struct cached_day *day = cache->days[i];
        if (day->wait.reason == REBUILD_NOT || day->wait.reason == REBUILD_CLOSE || day->wait.is_marked)
            continue;
        const char *reason = rebuild_reason_text(day->wait.reason);
        array_text_add_date(&days, day->number);
        array_text_add(&reasons, reason, strlen(reason));
        day->wait.is_marked = is_any = true;
    }
    const char *const values[] = {array_text_end(&days), array_text_end(&reasons)};
    bool succeeded = values[0] && values[1];
    if (!succeeded)
        error_set(err, ERROR_RETRY, "no memory for the days that wait");
    else if (is_any)
        succeeded = session_do(session, sql_mark_days, 2, values, err);
    array_text_free(&days);
    array_text_free(&reasons);
    return succeeded;
}

struct away {
    const struct months *months;
    struct array_text days;
    bool is_any;
};

static bool note_away(void *context, int32_t day)
{
    struct away *away = context;
    if (!months_is_attached(away->months, day)) {
        array_text_add_date(&away->days, day);
        away->is_any = true;
    }
    return true;
}

bool waiting_days_mark_away(struct session *session, const struct worklist *list, const struct months *months, struct error *err)
{
    struct away away = {.months = months};
    array_text_begin(&away.days);
    for (uint32_t i = 0; i < list->batch_count; i++)
        if (list->batches[i].state == WORK_TAKEN && list->batches[i].is_broken)
            worklist_each_day(list, &list->batches[i], note_away, &away);
    const char *const values[] = {array_text_end(&away.days)};
    bool succeeded = values[0] != NULL;
    if (!succeeded)
        error_set(err, ERROR_RETRY, "no memory for the days of months that are not attached");
    else if (away.is_any)
        succeeded = session_do(session, sql_mark_away, 1, values, err);
    array_text_free(&away.days);
    return succeeded;
}
