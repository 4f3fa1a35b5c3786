/* refused.c - see refused.h.
 *
 * The line that Postgres names in the error's context is not trusted: its text is localised, and Citus names a shard's line. It
 * says where to look first: that row is tried by itself. Trust goes only to "this part was taken" and "this part was refused". The
 * first half of a refused part is tried; when it is taken, the second holds the bad row and is halved without being tried as a
 * whole: N/2 + N/4 + ... rows for one bad row among N. Parts go in by INSERT ... ON CONFLICT, not COPY: a row that is stored
 * already is not refused, and must not be searched for.
 */
#include "refused.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "clock.h"
#include "conflict.h"
#include "error.h"
#include "postgres.h"
#include "service.h"

#define PART_TIMEOUT_US INT64_C(25000000)

struct search {
    PGconn *conn;
    struct batch *batch;
    int most, refused;
};

/* The answer to what was sent, waited for until the deadline; NULL: none came, or the connection is lost. */
static PGresult *await_answer(PGconn *conn, int64_t deadline_us)
{
    while (PQflush(conn) == 1 || PQisBusy(conn))
        if (!postgres_wait(conn, PQflush(conn) == 1, deadline_us) || !PQconsumeInput(conn))
            return NULL;
    return PQgetResult(conn);
}

/* Tries rows [first, end). *taken: the server would take them, or has them. False: something else failed. */
static bool try_part(struct search *search, int first, int end, bool *taken, struct error *err)
{
    PGconn *conn = search->conn;
    service_watchdog(clock_now_us()); /* a long search is work, not a hang */
    if (service_is_stopping())
        return error_set(err, ERROR_RETRY, "stopping");
    if (!postgres_exec(conn,
                       "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = '20s'; SET LOCAL lock_timeout = '10s'",
                       PART_TIMEOUT_US, err))
        return false;
    const int64_t deadline_us = clock_now_us() + PART_TIMEOUT_US;
    PGresult *result = conflict_send_insert(conn, search->batch, first, end) ? await_answer(conn, deadline_us) : NULL;
    *taken = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (!*taken)
        postgres_error(err, conn, result);
    const bool has_answered = result != NULL;
    PQclear(result);
    while (has_answered && (result = await_answer(conn, deadline_us)))
        PQclear(result);
    const bool is_verdict = *taken || err->kind == ERROR_REJECT;
    struct error rolled;
    if (!postgres_exec(conn, "ROLLBACK", PART_TIMEOUT_US, &rolled)) {
        *err = rolled;
        return false;
    }
    return is_verdict;
}

static bool kill_row(struct search *search, int row, const struct error *why, struct error *err)
{
    if (search->refused == search->most)
        return error_set(err, ERROR_FATAL,
                         "Postgres refuses more than %d of the last rows (%s): a constraint, a trigger or a bug. Nothing was "
                         "stored of this batch",
                         search->most, why->text);
    char detail[DEAD_DETAIL_BYTES];
    snprintf(detail, sizeof detail, "%s: %.80s", why->sqlstate, why->text);
    search->refused++;
    return batch_kill_row(search->batch, row, REASON_REFUSED, detail, err);
}

/* Rows [first, end) are known to hold at least one that is refused, for the reason in *why when it is the only one. Walks from the
 * back, so that killing a row moves none that is still to be looked at. Recursion: log2 of the batch's rows. */
static bool halve(struct search *search, int first, int end, const struct error *why, struct error *err)
{
    if (end - first == 1)
        return kill_row(search, first, why, err);
    const int middle = first + (end - first) / 2;
    struct error low_why = *why, high_why = *why;
    bool low_taken, high_taken = false;
    error_clear(&low_why);
    if (!try_part(search, first, middle, &low_taken, &low_why)) {
        *err = low_why;
        return false;
    }
    if (low_taken)
        return halve(search, middle, end, why, err);
    error_clear(&high_why);
    if (!try_part(search, middle, end, &high_taken, &high_why)) {
        *err = high_why;
        return false;
    }
    if (!high_taken && !halve(search, middle, end, &high_why, err))
        return false;
    return halve(search, first, middle, &low_why, err);
}

bool refused_find(PGconn *conn, struct batch *batch, int guess, int most, int *refused, struct error *err)
{
    struct search search = {conn, batch, most, 0};
    struct error why = {.kind = ERROR_NONE};
    bool taken = true;
    *refused = 0;
    if (guess >= 0 && guess < batch->row_count) {
        if (!try_part(&search, guess, guess + 1, &taken, &why)) {
            *err = why;
            return false;
        }
        if (!taken) {
            const bool killed = kill_row(&search, guess, &why, err);
            batch_compact(batch);
            *refused = search.refused;
            return killed;
        }
        taken = true;
    }
    error_clear(&why);
    if (batch->row_count > 0 && !try_part(&search, 0, batch->row_count, &taken, &why)) {
        *err = why;
        return false;
    }
    const bool done = taken || halve(&search, 0, batch->row_count, &why, err);
    batch_compact(batch);
    *refused = search.refused;
    return done;
}

/* The context of an error in COPY names the table, then the line: `COPY analytics_events, line 5001, column ...`, the words in the
 * server's language. The first number behind the first comma is taken for it, and is no more than a guess. */
int refused_guess_row(const PGresult *result)
{
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *at = context && strncmp(context, "COPY ", 5) == 0 ? strchr(context, ',') : NULL;
    at = at ? strpbrk(at, "0123456789\n") : NULL;
    const long line = at && *at != '\n' ? strtol(at, NULL, 10) : 0;
    return line > 0 && line <= INT_MAX ? (int)line - 1 : -1;
}
