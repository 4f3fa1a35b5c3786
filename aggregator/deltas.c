/* deltas.c - from the bytes of a delta to rows of the intake.
 *
 * Invariant: a batch's events are put in whole or not at all; where they are, its rows count as read, and intake_read() passes them
 * over.
 */
#include "aggregator/deltas.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array_text.h"
#include "common/copy_reader.h"
#include "aggregator/identity.h"
#include "aggregator/intake.h"
#include "aggregator/months.h"
#include "common/session.h"
#include "aggregator/day_cache.h"
#include "aggregator/worklist.h"
#include "common/clock.h"
#include "common/delta.h"
#include "common/error.h"
#include "common/log.h"

struct reading {
    struct intake *intake;
    struct worklist *list;
    struct day_cache *cache;
    const struct months *months;
    struct cached_day *day;             /* of the last event */
    const struct cached_day *named;     /* whose name numbers these are, for the delta at hand */
    uint32_t name_numbers[DELTA_NAMES]; /* by number in the delta; WORK_NONE: not asked yet */
};

/* Texts are looked up once a delta and day, not once an event. False: the day has no memory for one more name. */
static bool number_name(struct reading *reading, const struct delta_event *event, uint32_t *number)
{
    struct cached_day *day = reading->day;
    if (reading->named != day) {
        memset(reading->name_numbers, 0xff, sizeof reading->name_numbers);
        reading->named = day;
    }
    uint32_t *known = &reading->name_numbers[event->name_number];
    if (*known == WORK_NONE && !day_cache_name(reading->cache, day, event->name, event->name_length, known))
        return false;
    *number = *known;
    return true;
}

static bool is_other_day(void *day, int32_t other)
{
    return other != *(const int32_t *)day;
}

static bool names_day(const struct worklist *list, const struct work_batch *batch, int32_t day)
{
    return !worklist_each_day(list, batch, is_other_day, &day);
}

/* The day of the event at hand. *is_whole false: the ledger does not know it of this batch, or its month is not attached. */
static bool find_day(struct reading *reading, const struct work_batch *batch, int32_t day, bool *is_whole, struct error *err)
{
    *is_whole = true;
    if (reading->day && reading->day->number == day)
        return true;
    *is_whole = names_day(reading->list, batch, day) && months_is_attached(reading->months, day);
    if (*is_whole)
        reading->day = day_cache_get(reading->cache, day, err);
    return !*is_whole || reading->day;
}

static bool take_event(struct reading *reading, const struct delta_event *event, uint32_t batch, struct error *err)
{
    struct intake_row taken = {.day = reading->day, .batch = batch};
    if (!taken.day->sets)
        return intake_put_note(reading->intake, &taken, err);
    if (!number_name(reading, event, &taken.event.name)) {
        day_cache_unload(taken.day);
        taken.day->is_too_big = true;
        return intake_put_note(reading->intake, &taken, err);
    }
    taken.event.has_session = event->session != NULL;
    if (event->is_uuid)
        identity_of_uuid((const uint8_t *)event->session, taken.event.session);
    else if (event->session)
        identity_of_text(reading->cache->identity, event->session, event->session_length, taken.event.session);
    taken.event.has_user = event->has_user;
    taken.event.user = event->has_user ? event->user : 0;
    return intake_put(reading->intake, &taken, err);
}

/* *is_whole false: the delta is not what the ledger says, and nothing of it was taken. */
static bool take_events(struct reading *reading, struct work_batch *batch, const struct copy_field *bytes, bool *is_whole,
                        struct error *err)
{
    struct intake *intake = reading->intake;
    const size_t before = intake->count;
    const uint32_t number = (uint32_t)(batch - reading->list->batches);
    struct delta_reader delta;
    struct delta_event event = {0};
    reading->day = NULL;
    reading->named = NULL;
    *is_whole = delta_open(&delta, bytes->bytes, bytes->length) && delta.rows == batch->expected_rows;
    while (*is_whole) { /* ends: with the delta */
        enum delta_outcome outcome = delta_next(&delta, &event);
        if (outcome == DELTA_END)
            return true;
        *is_whole = outcome == DELTA_EVENT;
        if (*is_whole && !find_day(reading, batch, event.day, is_whole, err))
            return false;
        if (*is_whole && !take_event(reading, &event, number, err))
            return false;
    }
    intake->count = before;
    return true;
}

static bool take_delta(void *context, const struct copy_tuple *tuple, struct error *err)
{
    struct reading *reading = context;
    if (tuple->count != 2 || !copy_field_has(&tuple->fields[0], 8) || !tuple->fields[1].bytes)
        return error_set(err, ERROR_FATAL, "tallymill.deltas has columns of other types than tallymill migrate gives them");
    struct work_batch *batch = worklist_find(reading->list, copy_field_int64(&tuple->fields[0]));
    if (!batch || batch->state != WORK_CHOSEN || batch->has_delta)
        return true;
    batch->has_delta = true;
    if (!take_events(reading, batch, &tuple->fields[1], &batch->is_read, err))
        return false;
    if (batch->is_read)
        batch->counted_rows = batch->expected_rows;
    else
        log_warn("a batch's delta does not fit its ledger rows: its rows are read instead", "batch_id=%" PRId64, batch->first_id);
    return true;
}

enum which { MAY_HAVE_ONE, DONE_WITH, WAITS_WITH_DAY };

static bool is_one_of(enum which which, const struct worklist *list, const struct work_batch *batch, int32_t day)
{
    const bool is_large_enough = batch->first_id == batch->last_id && batch->expected_rows >= DELTA_LEAST_ROWS;
    switch (which) {
    case MAY_HAVE_ONE: return batch->state == WORK_CHOSEN && is_large_enough;
    case DONE_WITH: return batch->state == WORK_TAKEN && batch->has_delta;
    case WAITS_WITH_DAY: return batch->state != WORK_TAKEN && is_large_enough && names_day(list, batch, day);
    }
    return false;
}

/* Their ids as an array literal; NULL: there are none, or (err is set) no memory. */
static const char *list_ids(const struct worklist *list, enum which which, int32_t day, struct array_text *ids, struct error *err)
{
    bool is_any = false;
    error_clear(err);
    array_text_begin(ids);
    for (uint32_t i = 0; i < list->batch_count; i++) {
        if (!is_one_of(which, list, &list->batches[i], day))
            continue;
        array_text_add_int64(ids, list->batches[i].first_id);
        is_any = true;
    }
    if (!is_any)
        return NULL;
    const char *text = array_text_end(ids);
    if (!text)
        error_set(err, ERROR_RETRY, "no memory for the ids of %" PRIu32 " batches", list->batch_count);
    return text;
}

bool deltas_read(struct intake *intake, struct session *session, struct worklist *list, struct day_cache *cache,
                 const struct months *months, struct error *err)
{
    static const char format[] = "COPY (SELECT * FROM tallymill.read_deltas('%s')) TO STDOUT (FORMAT binary)";
    struct reading reading = {.intake = intake, .list = list, .cache = cache, .months = months};
    struct array_text ids = {0};
    const char *text = list_ids(list, MAY_HAVE_ONE, 0, &ids, err);
    bool succeeded = err->kind == ERROR_NONE;
    if (text) {
        const size_t room = sizeof format + strlen(text);
        char *sql = malloc(room);
        succeeded = sql || error_set(err, ERROR_RETRY, "no memory for the ids of %" PRIu32 " batches", list->batch_count);
        if (succeeded) {
            snprintf(sql, room, format, text);
            succeeded = session_copy_out(session, SESSION_TIMEOUT_S * CLOCK_SECOND_US, sql, take_delta, &reading, err);
        }
        free(sql);
    }
    array_text_free(&ids);
    return succeeded;
}

static bool drop(struct session *session, const struct worklist *list, enum which which, int32_t day, struct error *err)
{
    struct array_text ids = {0};
    const char *const values[] = {list_ids(list, which, day, &ids, err)};
    bool succeeded =
        values[0] ? session_do(session, "SELECT tallymill.drop_deltas($1::bigint[])", 1, values, err) : err->kind == ERROR_NONE;
    array_text_free(&ids);
    return succeeded;
}

bool deltas_drop(struct session *session, const struct worklist *list, struct error *err)
{
    return drop(session, list, DONE_WITH, 0, err);
}

bool deltas_drop_waiting(struct session *session, const struct worklist *list, int32_t day, struct error *err)
{
    return list->taken_count == list->batch_count || drop(session, list, WAITS_WITH_DAY, day, err);
}
