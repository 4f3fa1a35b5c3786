/* ledger.c - see ledger.h. Places (topic partitions) go by their number in tallymill.places, which is the same in all statements of
 * one snapshot.
 *
 * Invariant: whatever ledger_move() or ledger_leap() writes takes effect with the statistics or not at all, since it is the same
 * transaction. The ledger rows come by COPY: a backlog may have 100,000 of them, and a PGresult would hold them all twice.
 *
 * Rejected: one statement that reads and moves, because which batches are taken is only known once their rows were counted.
 */
#include "aggregator/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array_text.h"
#include "common/copy_reader.h"
#include "aggregator/months.h"
#include "aggregator/rebuild_queue.h"
#include "common/session.h"
#include "aggregator/day_cache.h"
#include "aggregator/worklist.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/postgres_begin.h"

extern const char sql_leap[];

static const int64_t TIMEOUT_US = SESSION_TIMEOUT_S * CLOCK_SECOND_US;

/* 54 years of days in one batch; and so many for each ledger row on average, or the list is given up. */
enum { MAX_DAYS = 20000, DAYS_PER_ENTRY = 16, NUMBER_BYTES = 24 };

struct reading {
    struct worklist *list;
    struct months *months;
    struct day_cache *cache;
    struct ledger_begun *begun;
    uint32_t max_entries;
};

/* The numbers of "{1,2,-3}": at most `count` of them. */
static void read_numbers(const char *text, int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *end;
        numbers[i] = strtoll(text + 1, &end, 10);
        text = end;
    }
}

static size_t count_numbers(const char *text)
{
    size_t commas = 0;
    for (const char *at = text; *at != '\0'; at++)
        commas += *at == ',';
    return strcmp(text, "{}") == 0 ? 0 : commas + 1;
}

static bool read_months(struct ledger_look *look, const char *months, const char *pages, struct error *err)
{
    look->month_count = count_numbers(months);
    look->months = calloc(look->month_count + 1, sizeof *look->months);
    look->pages = calloc(look->month_count + 1, sizeof *look->pages);
    if (!look->months || !look->pages)
        return error_set(err, ERROR_RETRY, "no memory for the months of the work list");
    read_numbers(months, look->pages, look->month_count);
    for (size_t i = 0; i < look->month_count; i++)
        look->months[i] = (int32_t)look->pages[i];
    read_numbers(pages, look->pages, look->month_count);
    return true;
}

bool ledger_peek(struct session *session, int64_t close_after_us, struct ledger_look *look, struct error *err)
{
    char seconds[NUMBER_BYTES];
    snprintf(seconds, sizeof seconds, "%.6f", (double)close_after_us / (double)CLOCK_SECOND_US);
    const char *const values[] = {seconds};
    PGresult *result = session_ask(
        session, TIMEOUT_US, "SELECT * FROM tallymill.look_for_work(interval '1 second' * $1::double precision)", 1, values, err);
    if (!result)
        return false;
    look->has_batches = PQgetvalue(result, 0, 0)[0] == 't';
    look->has_days = PQgetvalue(result, 0, 1)[0] == 't';
    bool succeeded = read_months(look, PQgetvalue(result, 0, 2), PQgetvalue(result, 0, 3), err);
    PQclear(result);
    return succeeded;
}

void ledger_look_free(struct ledger_look *look)
{
    free(look->months);
    free(look->pages);
    *look = (struct ledger_look){0};
}

static bool unexpected(struct error *err, const char *what)
{
    return error_set(err, ERROR_FATAL, "%s has columns of other types than tallymill migrate gives them", what);
}

/* The columns of tallymill.begin_cycle(), and its kinds of rows. */
enum {
    COLUMN_KIND,
    COLUMN_NUMBER,
    COLUMN_FIRST_ID,
    COLUMN_LAST_ID,
    COLUMN_FIRST_OFFSET,
    COLUMN_NEXT_OFFSET,
    COLUMN_STORED,
    COLUMN_DAYS,
    COLUMN_REASON,
    COLUMNS
};
enum { KIND_LEADER, KIND_MONTH, KIND_DAY, KIND_PLACE, KIND_BATCH, KIND_GAP };

static bool take_leader(struct reading *reading, const struct copy_field *fields, struct error *err)
{
    if (!copy_field_has(&fields[COLUMN_FIRST_ID], 8) || !copy_field_has(&fields[COLUMN_NEXT_OFFSET], 8))
        return unexpected(err, "tallymill.leader");
    reading->begun->has_lock = true;
    reading->begun->epoch = copy_field_int64(&fields[COLUMN_FIRST_ID]);
    reading->cache->wall_us = copy_field_int64(&fields[COLUMN_NEXT_OFFSET]);
    return true;
}

/* A day that waits, or is over. */
static bool take_day(struct reading *reading, int32_t number, const struct copy_field *fields, struct error *err)
{
    if (!months_is_attached(reading->months, number))
        return true;
    struct cached_day *day = day_cache_get(reading->cache, number, err);
    if (!day)
        return false;
    day->wait.is_marked = copy_field_has(&fields[COLUMN_NEXT_OFFSET], 8);
    if (!day->wait.is_marked) {
        rebuild_queue_want(reading->cache, day, REBUILD_CLOSE);
        return true;
    }
    char reason[32] = "";
    const struct copy_field *text = &fields[COLUMN_REASON];
    if (text->bytes && text->length < sizeof reason)
        memcpy(reason, text->bytes, text->length);
    rebuild_wait_begin(&day->wait, rebuild_reason_parse(reason), copy_field_int64(&fields[COLUMN_NEXT_OFFSET]));
    return true;
}

static bool take_batch(struct reading *reading, const struct copy_field *fields, struct error *err)
{
    if (reading->list->entry_count == reading->max_entries || reading->list->day_count / DAYS_PER_ENTRY > reading->max_entries)
        reading->begun->is_overflowing = true;
    if (reading->begun->is_overflowing)
        return true;
    bool is_expected = true;
    for (int i = COLUMN_FIRST_ID; i <= COLUMN_STORED && is_expected; i++)
        is_expected = copy_field_has(&fields[i], 8);
    int32_t days[MAX_DAYS];
    int day_count = is_expected ? copy_field_int32_array(&fields[COLUMN_DAYS], days, MAX_DAYS) : -1;
    if (day_count < 0 || day_count > MAX_DAYS)
        return unexpected(err, "tallymill.batches");
    for (int i = 0; i < day_count; i++)
        days[i] += CLOCK_POSTGRES_EPOCH_DAYS;
    return worklist_add_batch(reading->list, (uint32_t)copy_field_int32(&fields[COLUMN_NUMBER]),
                              copy_field_int64(&fields[COLUMN_FIRST_ID]), copy_field_int64(&fields[COLUMN_LAST_ID]),
                              copy_field_int64(&fields[COLUMN_FIRST_OFFSET]), copy_field_int64(&fields[COLUMN_NEXT_OFFSET]),
                              copy_field_int64(&fields[COLUMN_STORED]), days, (uint32_t)day_count, err);
}

static bool take_work(void *context, const struct copy_tuple *tuple, struct error *err)
{
    struct reading *reading = context;
    const struct copy_field *fields = tuple->fields;
    if (tuple->count != COLUMNS || !copy_field_has(&fields[COLUMN_KIND], 4))
        return unexpected(err, "tallymill.begin_cycle()");
    int32_t kind = copy_field_int32(&fields[COLUMN_KIND]);
    if (kind == KIND_LEADER)
        return take_leader(reading, fields, err);
    bool has_next_offset = copy_field_has(&fields[COLUMN_NEXT_OFFSET], 8);
    if (!copy_field_has(&fields[COLUMN_NUMBER], 4) || (kind >= KIND_PLACE && !has_next_offset))
        return unexpected(err, "tallymill.begin_cycle()");
    int32_t number = copy_field_int32(&fields[COLUMN_NUMBER]);
    int64_t next_offset = has_next_offset ? copy_field_int64(&fields[COLUMN_NEXT_OFFSET]) : -1;
    switch (kind) {
    case KIND_MONTH: return months_attach(reading->months, number, next_offset, fields[COLUMN_STORED].bytes != NULL, err);
    case KIND_DAY: return take_day(reading, number, fields, err);
    case KIND_PLACE: return worklist_add_place(reading->list, next_offset, err);
    case KIND_BATCH: return take_batch(reading, fields, err);
    default:
        if (!copy_field_has(&fields[COLUMN_FIRST_OFFSET], 8))
            return unexpected(err, "tallymill.gaps");
        return reading->begun->is_overflowing ||
               worklist_add_gap(reading->list, (uint32_t)number, copy_field_int64(&fields[COLUMN_FIRST_OFFSET]), next_offset, err);
    }
}

bool ledger_begin(struct session *session, int64_t epoch, int64_t close_after_us, uint32_t max_entries, struct worklist *list,
                  struct months *months, struct day_cache *cache, struct ledger_begun *begun, struct error *err)
{
    struct reading reading = {.list = list, .months = months, .cache = cache, .begun = begun, .max_entries = max_entries};
    *begun = (struct ledger_begun){0};
    worklist_reset(list);
    months_detach(months);
    struct array_text followed = {0};
    static const char format[] =
        POSTGRES_BEGIN("REPEATABLE READ") "; COPY (SELECT * FROM tallymill.begin_cycle(%s, interval '1 us' * %" PRId64 ", %" PRIu32
                                          ", '%s')) TO STDOUT (FORMAT binary)";
    char sql[sizeof format + 64 + MONTHS_FOLLOWED * CLOCK_DAY_BYTES], epoch_text[NUMBER_BYTES];
    snprintf(epoch_text, sizeof epoch_text, "%" PRId64, epoch);
    array_text_begin(&followed);
    months_list_followed(months, &followed);
    const char *dates = array_text_end(&followed);
    if (dates)
        snprintf(sql, sizeof sql, format, epoch_text, close_after_us, max_entries + 1, dates);
    bool succeeded = dates ? session_copy_out(session, TIMEOUT_US, sql, take_work, &reading, err)
                           : error_set(err, ERROR_RETRY, "no memory for the names of months");
    array_text_free(&followed);
    return succeeded && (begun->is_overflowing || worklist_close(list, err));
}

bool ledger_move(struct session *session, const struct worklist *list, struct error *err)
{
    struct array_text places = {0}, offsets = {0};
    array_text_begin(&places);
    array_text_begin(&offsets);
    bool is_any = false;
    for (uint32_t i = 0; i < list->place_count; i++) {
        if (list->places[i].next_offset == list->places[i].start_offset)
            continue;
        array_text_add_int64(&places, i);
        array_text_add_int64(&offsets, list->places[i].next_offset);
        is_any = true;
    }
    const char *const values[] = {array_text_end(&places), array_text_end(&offsets)};
    bool succeeded = values[0] && values[1];
    if (!succeeded)
        error_set(err, ERROR_RETRY, "no memory for the positions of %u topic partitions", list->place_count);
    else if (is_any)
        succeeded = session_do(session, "SELECT tallymill.move_folded($1::integer[], $2::bigint[])", 2, values, err);
    array_text_free(&places);
    array_text_free(&offsets);
    return succeeded;
}

bool ledger_leap(struct session *session, int64_t *batches, struct error *err)
{
    PGresult *result = session_ask(session, TIMEOUT_US, sql_leap, 0, NULL, err);
    if (!result)
        return false;
    *batches = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return true;
}
