/* refused.c - see refused.h.
 *
 * The line that Postgres names in the error's context is not used: its text is localised, and Citus names a shard's line. Halving trusts only "this
 * part was taken" and "this part was refused". The first half of a refused part is tried; when it is taken, the second holds the bad row and is
 * halved without being tried as a whole: N/2 + N/4 + ... rows for one bad row among N.
 */
#include "refused.h"

#include <stdio.h>
#include <string.h>

#include "batch.h"
#include "error.h"
#include "log.h"
#include "postgres.h"
#include "transcode.h"

#define PART_TIMEOUT_US INT64_C(60000000)

struct search {
    PGconn *conn;
    struct batch *batch;
    int most, refused;
};

static bool send_part(PGconn *conn, const struct batch *batch, int first, int end)
{
    static const char trailer[COPY_TRAILER_BYTES] = {'\377', '\377'};
    const struct batch_row *last = &batch->rows[end - 1];
    const size_t from = batch->rows[first].start, bytes = last->start + last->length - from;
    return PQputCopyData(conn, (const char *)batch->bytes, COPY_HEADER_BYTES) == 1 &&
           PQputCopyData(conn, (const char *)batch->bytes + from, (int)bytes) == 1 && PQputCopyData(conn, trailer, sizeof trailer) == 1 &&
           PQputCopyEnd(conn, NULL) == 1;
}

/* Tries rows [first, end). *taken: the server would take them. False: something else failed. */
static bool try_part(struct search *search, int first, int end, bool *taken, struct error *err)
{
    static const char copy_sql[] = "COPY public.analytics_events (" TRANSCODE_COLUMNS ") FROM STDIN (FORMAT binary)";
    PGconn *conn = search->conn;
    if (!postgres_exec(conn, "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '10s'",
                       PART_TIMEOUT_US, err))
        return false;
    PQsetnonblocking(conn, 0); /* statement_timeout and tcp_user_timeout bound the waits below */
    PGresult *result = PQexec(conn, copy_sql);
    if (PQresultStatus(result) == PGRES_COPY_IN) {
        PQclear(result);
        result = send_part(conn, search->batch, first, end) ? PQgetResult(conn) : NULL;
    }
    *taken = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!*taken)
        postgres_error(err, conn, result);
    PQclear(result);
    while (PQstatus(conn) == CONNECTION_OK && (result = PQgetResult(conn)))
        PQclear(result);
    PQsetnonblocking(conn, 1);
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
    if (strcmp(why->sqlstate, "23505") == 0)
        return true; /* stored already: a duplicate, which the INSERT ... ON CONFLICT that follows will count */
    if (search->refused == search->most)
        return error_set(err, ERROR_FATAL, "Postgres refuses more than %d of the last rows (%s): a constraint, a trigger or a bug. Nothing was stored of this batch",
                         search->most, why->text);
    char detail[DEAD_DETAIL_BYTES];
    snprintf(detail, sizeof detail, "%s: %.80s", why->sqlstate, why->text);
    search->refused++;
    return batch_kill_row(search->batch, row, REASON_REFUSED, detail, err);
}

/* Rows [first, end) are known to hold at least one that is refused, for the reason in *why when it is the only one. Walks from the back, so that killing a row moves none that is
 * still to be looked at. Recursion: log2 of the batch's rows. */
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

bool refused_find(PGconn *conn, struct batch *batch, int most, int *refused, struct error *err)
{
    struct search search = {conn, batch, most, 0};
    struct error why = {.kind = ERROR_NONE};
    bool taken = true;
    if (batch->row_count > 0 && !try_part(&search, 0, batch->row_count, &taken, &why)) {
        *err = why;
        return false;
    }
    const bool done = taken || halve(&search, 0, batch->row_count, &why, err);
    *refused = search.refused;
    return done;
}
