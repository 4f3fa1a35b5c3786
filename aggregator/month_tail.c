/* month_tail.c - see month_tail.h.
 *
 * Invariant: `pages` is at most what is summarised; if the table shrank (a month restored), the server starts over.
 *
 * Rejected: summarising inside the snapshot, where the rows of the tail would keep their place in the queue of a vacuum for as long
 * as a rebuild takes.
 */
#include "aggregator/month_tail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/session.h"
#include "common/clock.h"
#include "common/error.h"

static const int64_t VACUUM_PAUSE_US = 5 * CLOCK_SECOND_US;
static const int64_t TIMEOUT_US = SESSION_TIMEOUT_S * CLOCK_SECOND_US;
static const int64_t SHORT_BY_INDEX_US = CLOCK_SECOND_US;
static const int64_t LONG_BY_INDEX_US = 300 * CLOCK_SECOND_US;

/* Batches that were under way at the last look began before its end of the table: 700 rows of 330 bytes. */
enum { SLACK_PAGES = 32, NUMBER_BYTES = 24 };

/* A tail that was right for long is trusted again: each commit takes an eighth off the time by index. */
enum { TRUST_SHARE = 8 };

void month_tail_forget(struct month_tail *tail)
{
    tail->pages = tail->look_pages = tail->tail_page = tail->read_from = -1;
}

bool month_tail_is_by_index(const struct month_tail *tail, int64_t now_us)
{
    return tail->tail_page < 0 || now_us < tail->by_index_until_us;
}

int64_t month_tail_read_from(struct month_tail *tail, int64_t now_us)
{
    tail->read_from = -1;
    if (!month_tail_is_by_index(tail, now_us))
        tail->read_from = tail->tail_page > SLACK_PAGES ? tail->tail_page - SLACK_PAGES : 0;
    return tail->read_from;
}

bool month_tail_miss(struct month_tail *tail, int64_t now_us)
{
    if (tail->read_from < 0)
        return false;
    if (now_us < tail->by_index_until_us) /* noted already, for another batch of this cycle */
        return true;
    int64_t longer_us = tail->by_index_us < SHORT_BY_INDEX_US ? SHORT_BY_INDEX_US : tail->by_index_us * 2;
    tail->by_index_us = longer_us < LONG_BY_INDEX_US ? longer_us : LONG_BY_INDEX_US;
    tail->by_index_until_us = now_us + tail->by_index_us;
    return true;
}

void month_tail_advance(struct month_tail *tail, bool is_all)
{
    if (is_all && tail->look_pages >= 0) {
        tail->tail_page = tail->look_pages;
        tail->by_index_us -= tail->by_index_us / TRUST_SHARE;
    }
    tail->look_pages = -1;
}

bool month_tail_summarize(struct month_tail *tail, struct session *session, int32_t first_day, int64_t now_us, struct error *err)
{
    if (now_us < tail->again_us)
        return true;
    char date[CLOCK_DAY_BYTES], pages[NUMBER_BYTES];
    clock_format_day(date, first_day);
    snprintf(pages, sizeof pages, "%" PRId64, tail->pages);
    const char *const values[] = {date, tail->pages < 0 ? NULL : pages};
    PGresult *result = session_ask(session, TIMEOUT_US, "SELECT tallymill.summarize_tail($1::date, $2::bigint)", 2, values, err);
    if (!result)
        return false;
    if (PQgetisnull(result, 0, 0))
        tail->again_us = now_us + VACUUM_PAUSE_US;
    else
        tail->pages = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return true;
}
