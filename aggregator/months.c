/* months.c - a small list of months, kept over cycles for what was summarised.
 *
 * Invariant: `pages` of a month is at most what is summarised; if the table shrank (a month restored), the server starts over.
 * Making months is no part of the cycle's transaction: ATTACH waits for locks, and a cycle must not.
 *
 * Rejected: summarising inside the snapshot, where the rows of the tail would keep their place in the queue of a vacuum for as long
 * as a rebuild takes.
 */
#include "aggregator/months.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/array_text.h"
#include "aggregator/session.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/postgres.h"

static const int64_t HOUR_US = 3600 * CLOCK_SECOND_US;
static const int64_t MINUTE_US = 60 * CLOCK_SECOND_US;
static const int64_t NOTE_US = 15 * CLOCK_SECOND_US;
static const int64_t VACUUM_PAUSE_US = 5 * CLOCK_SECOND_US;
static const int64_t TIMEOUT_US = SESSION_TIMEOUT_S * CLOCK_SECOND_US;

/* Batches that were under way at the last look began before its end of the table: 700 rows of 330 bytes. */
enum { SLACK_PAGES = 32 };

static const int64_t SHORT_BY_INDEX_US = CLOCK_SECOND_US;
static const int64_t LONG_BY_INDEX_US = 300 * CLOCK_SECOND_US;

void months_free(struct months *months)
{
    free(months->months);
    *months = (struct months){0};
}

void months_forget(struct months *months)
{
    for (size_t i = 0; i < months->count; i++)
        months->months[i].pages = months->months[i].look_pages = months->months[i].tail_page = months->months[i].read_from = -1;
}

static struct month *find(const struct months *months, int32_t first_day)
{
    for (size_t i = 0; i < months->count; i++)
        if (months->months[i].first_day == first_day)
            return &months->months[i];
    return NULL;
}

static struct month *get(struct months *months, int32_t first_day, struct error *err)
{
    struct month *found = find(months, first_day);
    if (found)
        return found;
    if (months->count == months->capacity) {
        size_t capacity = months->capacity ? months->capacity * 2 : 32;
        struct month *wider = realloc(months->months, capacity * sizeof *wider);
        if (!wider) {
            error_set(err, ERROR_RETRY, "no memory for %zu months", capacity);
            return NULL;
        }
        months->months = wider;
        months->capacity = capacity;
    }
    months->months[months->count] =
        (struct month){.first_day = first_day, .pages = -1, .look_pages = -1, .tail_page = -1, .read_from = -1};
    return &months->months[months->count++];
}

bool months_make_ahead(struct months *months, struct session *session, int ahead, int64_t now_us, struct error *err)
{
    const bool is_recent = months->made_at_us != 0 && now_us - months->made_at_us < HOUR_US;
    if (is_recent && ahead <= months->made_ahead) /* more may be asked for meanwhile: SIGHUP */
        return true;
    months->made_at_us = now_us;
    months->made_ahead = ahead;
    for (int i = 0; i <= ahead; i++) {
        int32_t month = clock_month_add(clock_month_of(clock_day_of(clock_wall_us())), i);
        char date[CLOCK_DAY_BYTES];
        clock_format_day(date, month);
        const char *const values[] = {date};
        PGresult *result = session_ask(session, TIMEOUT_US, "SELECT tallymill.make_month($1::date)", 1, values, err);
        if (result && PQgetvalue(result, 0, 0)[0] == 't')
            log_info("month made", "month=%.7s", date);
        PQclear(result);
        if (!result && !postgres_is(err, POSTGRES_REFUSED))
            return false;
        if (!result) {
            log_warn_because(err, "month could not be made, next try in a minute", "month=%.7s", date);
            months->made_at_us = now_us - HOUR_US + MINUTE_US;
            error_clear(err);
        }
    }
    return true;
}

void months_detach(struct months *months)
{
    for (size_t i = 0; i < months->count; i++)
        months->months[i].is_attached = false;
}

bool months_note_others(struct months *months, struct session *session, int64_t now_us, struct error *err)
{
    if (months->noted_at_us != 0 && now_us - months->noted_at_us < NOTE_US)
        return true;
    months->noted_at_us = now_us;
    PGresult *result = session_ask(session, TIMEOUT_US, "SELECT to_char(month, 'YYYY-MM'), leaf FROM tallymill.register_months()", 0, NULL, err);
    for (int i = 0; result && i < PQntuples(result); i++) {
        char name[LOG_TEXT_BYTES];
        log_info("a month that was made by hand is read and counted from now on", "month=%s table=\"%s\"", PQgetvalue(result, i, 0),
                 log_text(name, PQgetvalue(result, i, 1)));
    }
    PQclear(result);
    if (result || !postgres_is(err, POSTGRES_REFUSED))
        return result != NULL;
    log_warn_because(err, "months that were made by hand were not looked for, next try in 15 s", NULL);
    error_clear(err);
    return true;
}

bool months_attach(struct months *months, int32_t first_day, int64_t pages, bool is_by_parent, struct error *err)
{
    struct month *month = get(months, first_day, err);
    if (!month)
        return false;
    month->is_attached = true;
    month->is_by_parent = is_by_parent;
    if (pages >= 0)
        month->look_pages = pages;
    return true;
}

void months_list_followed(const struct months *months, struct array_text *dates)
{
    int listed = 0;
    int32_t before = INT32_MAX;
    while (listed < MONTHS_FOLLOWED) { /* ends: each turn lists a month, or there is none left */
        const struct month *newest = NULL;
        for (size_t i = 0; i < months->count; i++) {
            const struct month *month = &months->months[i];
            if (month->tail_page >= 0 && month->first_day < before && (!newest || month->first_day > newest->first_day))
                newest = month;
        }
        if (!newest)
            break;
        array_text_add_date(dates, newest->first_day);
        before = newest->first_day;
        listed++;
    }
}

bool months_is_attached(const struct months *months, int32_t day)
{
    const struct month *month = find(months, clock_month_of(day));
    return month && month->is_attached;
}

bool months_look(struct months *months, int32_t first_day, int64_t pages, struct error *err)
{
    struct month *month = get(months, first_day, err);
    if (month)
        month->look_pages = pages;
    return month != NULL;
}

static bool is_by_index(const struct month *month, int64_t now_us)
{
    return month->tail_page < 0 || now_us < month->by_index_until_us;
}

bool months_is_by_index(const struct months *months, int32_t first_day, int64_t now_us)
{
    const struct month *month = find(months, first_day);
    return !month || is_by_index(month, now_us);
}

bool months_is_ready(const struct months *months, int32_t day, int64_t now_us)
{
    const struct month *month = find(months, clock_month_of(day));
    return !month || !month->is_attached || (month->look_pages >= 0 && !is_by_index(month, now_us));
}

int64_t months_read_from(struct month *month, int64_t now_us)
{
    month->read_from = -1;
    if (!is_by_index(month, now_us))
        month->read_from = month->tail_page > SLACK_PAGES ? month->tail_page - SLACK_PAGES : 0;
    return month->read_from;
}

bool months_miss(struct months *months, int32_t day, int64_t now_us)
{
    struct month *month = find(months, clock_month_of(day));
    if (!month || month->read_from < 0)
        return false;
    if (now_us < month->by_index_until_us) /* noted already, for another batch of this cycle */
        return true;
    int64_t longer_us = month->by_index_us < SHORT_BY_INDEX_US ? SHORT_BY_INDEX_US : month->by_index_us * 2;
    month->by_index_us = longer_us < LONG_BY_INDEX_US ? longer_us : LONG_BY_INDEX_US;
    month->by_index_until_us = now_us + month->by_index_us;
    return true;
}

void months_advance(struct months *months, bool is_all)
{
    for (size_t i = 0; i < months->count; i++) {
        struct month *month = &months->months[i];
        if (is_all && month->look_pages >= 0) {
            month->tail_page = month->look_pages;
            month->by_index_us -= month->by_index_us / 8; /* a tail that was right for long is trusted again */
        }
        month->look_pages = -1;
    }
}

bool months_summarize(struct months *months, struct session *session, int32_t day, int64_t now_us, struct error *err)
{
    struct month *month = get(months, clock_month_of(day), err);
    if (!month)
        return false;
    if (now_us < month->again_us)
        return true;
    char date[CLOCK_DAY_BYTES], pages[24];
    clock_format_day(date, month->first_day);
    snprintf(pages, sizeof pages, "%" PRId64, month->pages);
    const char *const values[] = {date, month->pages < 0 ? NULL : pages};
    PGresult *result = session_ask(session, TIMEOUT_US, "SELECT tallymill.summarize_tail($1::date, $2::bigint)", 2, values, err);
    if (!result)
        return false;
    if (PQgetisnull(result, 0, 0))
        month->again_us = now_us + VACUUM_PAUSE_US;
    else
        month->pages = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return true;
}
