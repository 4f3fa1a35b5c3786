/* bisect.c - see bisect.h.
 *
 * One transaction, rolled back at the end, takes the rows in part by part, each behind a savepoint: what the server takes stays,
 * what it refuses is halved. So each row is judged behind all good ones before it, as it would be in the batch: of two rows that
 * exclude each other the later one is refused. Deferred constraints are made immediate, or a violation would show at a COMMIT that
 * never comes. What was refused is tried once more at the end, for a row may need one that comes later. Only a row that is refused
 * by itself, as a statement of one row, is a verdict: a trigger that refuses large statements gives none.
 *
 * The line that Postgres names in the error's context is not trusted: its text is localised, and Citus names a shard's line. It
 * says where to look first: that row is tried by itself. Parts go in by INSERT ... ON CONFLICT, not COPY: a row that is stored
 * already is not refused. A row that is neither inserted nor there was kept out by a trigger that answered NULL.
 *
 * Where the table takes no ON CONFLICT (a rule, a deferrable twin of the key) the rows that are stored leave the batch first, and
 * parts go by COPY, which knows no rules.
 *
 * Before any row the same statement goes without one. Where even that is refused (a trigger for each statement that holds all of
 * them up) no row is to blame, however few there are, and each by itself would be refused all the same.
 */
#include "consumer/bisect.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/service.h"
#include "common/statement.h"
#include "common/tuple.h"
#include "common/utf8.h"
#include "consumer/batch.h"
#include "consumer/insert.h"
#include "consumer/failure.h"

#define PART_TIMEOUT_US   INT64_C(25000000)
#define SEARCH_TIMEOUT_US INT64_C(120000000)

static const char begin_sql[] =
    POSTGRES_BEGIN_BATCH("READ COMMITTED") "; SET LOCAL statement_timeout = '20s'; SET CONSTRAINTS ALL IMMEDIATE; SAVEPOINT part";

struct suspect {
    int row;
    bool is_changed; /* it was taken, and is not there as it was sent: trying it again would meet what was made of it */
    char why[DEAD_DETAIL_BYTES];
};

struct search {
    PGconn *conn;
    struct batch *batch;
    int tries, most, count;
    int64_t deadline_us;
    bool has_trigger;         /* somebody's, where events are inserted: what was taken is compared */
    bool by_copy;             /* the table takes no ON CONFLICT */
    bool wants_copy;          /* as was just found */
    bool is_late;             /* it has passed: what was found so far is a verdict, the rest is for the next try */
    struct suspect *suspects; /* refused rows, in order; room for `most` */
    int *missing;             /* room for all rows of the batch */
    struct failure failure;   /* of the last part that was refused */
};

/* The answer to what was sent, waited for until the deadline; NULL: none came, or the connection is lost. */
static PGresult *await_answer(PGconn *conn, int64_t deadline_us)
{
    struct error ignored = {0};
    struct statement_wait wait = {.deadline_us = deadline_us};
    PGresult *result = NULL;
    return statement_flush(conn, &wait, &ignored) && statement_next(conn, &wait, &result, &ignored) ? result : NULL;
}

static void drain(PGconn *conn, int64_t deadline_us)
{
    PGresult *result;
    while ((result = await_answer(conn, deadline_us)))
        PQclear(result);
}

static bool suspect_row(struct search *search, int row, const char *sqlstate, const char *text, struct error *err)
{
    if (search->count == search->most) {
        struct error shown;
        failure_hide(&search->failure, &shown);
        return error_set(err, ERROR_FATAL,
                         "Postgres refuses more than %d of the last rows (%s%s%s): a constraint, a trigger or a bug. Nothing was "
                         "stored of this batch",
                         search->most, *sqlstate ? sqlstate : "", *sqlstate ? " " : "", *sqlstate ? shown.text : text);
    }
    struct suspect *suspect = &search->suspects[search->count++];
    suspect->row = row;
    suspect->is_changed = false;
    snprintf(suspect->why, sizeof suspect->why, "%s%s%.*s", sqlstate, *sqlstate ? ": " : "", DEAD_DETAIL_BYTES - 8, text);
    utf8_trim(suspect->why);
    return true;
}

/* Of the rows of a part that were not inserted, those that are not there either. False: something failed. */
static bool take_missing(struct search *search, int count, struct error *err)
{
    const int64_t deadline_us = clock_now_us() + PART_TIMEOUT_US;
    if (count == 0)
        return true;
    if (!insert_send_look_up(search->conn, search->batch, search->missing, count, err))
        return false;
    PGresult *result = await_answer(search->conn, deadline_us);
    const bool is_answered = PQresultStatus(result) == PGRES_TUPLES_OK;
    const int kept_out = is_answered ? insert_take_look_up(result, search->missing, count) : 0;
    if (!is_answered)
        postgres_error(err, search->conn, result);
    PQclear(result);
    drain(search->conn, deadline_us);
    for (int i = 0; is_answered && i < kept_out; i++)
        if (!suspect_row(search, search->missing[i], "", "a trigger kept the row out", err))
            return false;
    return is_answered;
}

/* Of the rows of a part that were taken, those that do not stand as they were sent. missing: the others, in order, so many. False:
 * something failed. */
static bool take_changed(struct search *search, int first, int end, int missing_count, struct error *err)
{
    const int64_t deadline_us = clock_now_us() + PART_TIMEOUT_US;
    int *taken = malloc((size_t)(end - first) * sizeof *taken);
    if (!taken)
        return error_set(err, ERROR_RETRY, "no memory for a search among %d rows", end - first);
    const int count = insert_taken(first, end, search->missing, missing_count, taken);
    if (!insert_send_compare(search->conn, search->batch, taken, count, err)) {
        free(taken);
        return false;
    }
    PGresult *result = await_answer(search->conn, deadline_us);
    bool is_fine = PQresultStatus(result) == PGRES_TUPLES_OK;
    const int changed = is_fine ? insert_take_look_up(result, taken, count) : 0;
    if (!is_fine)
        postgres_error(err, search->conn, result);
    PQclear(result);
    drain(search->conn, deadline_us);
    for (int i = 0; is_fine && i < changed; i++) {
        is_fine = suspect_row(search, taken[i], "", "a trigger changes its id, created_at or batch_id, or takes the row away", err);
        if (is_fine)
            search->suspects[search->count - 1].is_changed = true;
    }
    free(taken);
    return is_fine;
}

/* Rows [first, end) by COPY; its answer, NULL: none came. They lie one behind the other. */
static PGresult *copy_part(PGconn *conn, const struct batch *batch, int first, int end, int64_t deadline_us)
{
    static const char sql[] = "COPY public.analytics_events (" TUPLE_COLUMN_NAMES ") FROM STDIN (FORMAT binary)";
    PGresult *opened = PQsendQuery(conn, sql) ? await_answer(conn, deadline_us) : NULL;
    if (PQresultStatus(opened) != PGRES_COPY_IN)
        return opened;
    PQclear(opened);
    const struct batch_row *rows = batch->rows;
    const size_t length = end > first ? rows[end - 1].start + rows[end - 1].length - rows[first].start : 0;
    const bool is_sent = PQputCopyData(conn, COPY_HEADER, COPY_HEADER_BYTES) == 1 &&
                         (length == 0 || PQputCopyData(conn, (const char *)batch->bytes + rows[first].start, (int)length) == 1) &&
                         PQputCopyData(conn, COPY_TRAILER, COPY_TRAILER_BYTES) == 1 && PQputCopyEnd(conn, NULL) == 1;
    return is_sent ? await_answer(conn, deadline_us) : NULL;
}

/* The statement for rows [first, end), whichever it is here; *result: its answer, NULL: none came. False: an INSERT that could not
 * be sent. */
static bool send_part(const struct search *search, int first, int end, int64_t deadline_us, PGresult **result, struct error *err)
{
    *result = NULL;
    if (!search->by_copy && !insert_send(search->conn, search->batch, first, end, err))
        return false;
    *result =
        search->by_copy ? copy_part(search->conn, search->batch, first, end, deadline_us) : await_answer(search->conn, deadline_us);
    return true;
}

static bool is_taken(const PGresult *result)
{
    return PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK;
}

/* Whether what a part met is about a row. */
static bool is_verdict(struct search *search)
{
    const struct failure_facts facts = failure_facts(&search->failure, !search->by_copy, search->tries);
    const enum failure_plan plan = failure_plan(&facts);
    /* The table has no rule (try_without_rows): it is a row that a trigger made one of another month. */
    const bool is_moved = plan == PLAN_BY_LOOK_UP && postgres_is(&search->failure.error, POSTGRES_UNSUPPORTED);
    search->wants_copy = plan == PLAN_BY_LOOK_UP && !is_moved;
    return plan == PLAN_SEARCH || is_moved;
}

/* Tries rows [first, end) behind those that were taken before. *taken: the server takes them, or has them, or a trigger keeps some
 * out (then they are suspects). False: something else failed. */
static bool try_part(struct search *search, int first, int end, bool *taken, struct error *err)
{
    PGconn *conn = search->conn;
    const int64_t now_us = clock_now_us(), deadline_us = now_us + PART_TIMEOUT_US;
    service_watchdog(now_us); /* a long search is work, not a hang */
    if (service_is_stopping())
        return error_set(err, ERROR_RETRY, "stopping");
    search->is_late = now_us > search->deadline_us;
    if (search->is_late)
        return error_set(err, ERROR_RETRY, "the search for refused rows took longer than two minutes");
    PGresult *result;
    if (!send_part(search, first, end, deadline_us, &result, err))
        return false;
    *taken = is_taken(result);
    int missing = 0;
    bool is_about_rows = true;
    if (*taken && !search->by_copy) {
        missing = insert_missing(search->batch, first, end, result, search->has_trigger, search->missing, err);
    } else if (!*taken) {
        failure_read(&search->failure, conn, result, FAILURE_ROWS);
        failure_hide(&search->failure, err);
        is_about_rows = is_verdict(search);
    }
    const bool has_answered = result != NULL;
    PQclear(result);
    if (has_answered)
        drain(conn, deadline_us);
    if (!is_about_rows || missing < 0)
        return false;
    if (*taken && search->has_trigger && !take_changed(search, first, end, missing, err))
        return false;
    return take_missing(search, missing, err) &&
           postgres_exec(conn, *taken ? "RELEASE SAVEPOINT part; SAVEPOINT part" : "ROLLBACK TO SAVEPOINT part", PART_TIMEOUT_US,
                         err);
}

/* *all_taken: the server took every row of [first, end). is_refused: it is known that it refuses them together. Recursion: log2 of
 * the batch's rows. */
static bool walk(struct search *search, int first, int end, bool is_refused, bool *all_taken, struct error *err)
{
    *all_taken = false;
    if (!is_refused || end - first == 1) {
        if (!try_part(search, first, end, all_taken, err))
            return false;
        if (*all_taken)
            return true;
        if (end - first == 1)
            return suspect_row(search, first, search->failure.error.sqlstate, search->failure.error.text, err);
    }
    const int middle = first + (end - first) / 2;
    bool low_taken, high_taken;
    if (!walk(search, first, middle, false, &low_taken, err))
        return false;
    /* The first half is in as it was in the whole: so the second is what was refused. */
    if (!walk(search, middle, end, low_taken, &high_taken, err))
        return false;
    *all_taken = low_taken && high_taken;
    return true;
}

/* A row may have needed one that came behind it. */
static bool hear_again(struct search *search, struct error *err)
{
    int kept = 0;
    const int count = search->count;
    for (int i = 0; i < count; i++) {
        struct suspect suspect = search->suspects[i];
        bool taken;
        if (suspect.is_changed) {
            search->suspects[kept++] = suspect;
            continue;
        }
        search->count = kept; /* a row that a trigger keeps out becomes a suspect anew */
        if (!try_part(search, suspect.row, suspect.row + 1, &taken, err))
            return false;
        if (!taken)
            search->suspects[search->count++] = suspect;
        kept = search->count;
    }
    search->count = kept;
    return true;
}

/* Whether the server takes the statement at all: it is sent without a row. False: err says what it does not take, a matter of the
 * table and not of an event. */
static bool try_without_rows(struct search *search, struct error *err)
{
    const int64_t deadline_us = clock_now_us() + PART_TIMEOUT_US;
    PGresult *result;
    if (!send_part(search, 0, 0, deadline_us, &result, err))
        return false;
    const bool is_fine = is_taken(result);
    if (!is_fine) {
        struct failure failure;
        failure_read(&failure, search->conn, result, FAILURE_ROWS);
        const struct failure_facts facts = failure_facts(&failure, !search->by_copy, search->tries);
        search->wants_copy = failure_plan(&facts) == PLAN_BY_LOOK_UP;
        failure_hide(&failure, err);
        if (err->kind != ERROR_USAGE)
            err->kind = ERROR_RETRY; /* until somebody takes it away */
        error_wrap(err, "table analytics_events refuses the statement itself, even without a row");
    }
    if (result)
        drain(search->conn, deadline_us);
    PQclear(result);
    return is_fine;
}

static bool ask_for_trigger(struct search *search, struct error *err)
{
    PGresult *result = postgres_query(search->conn, "SELECT tallymill.has_insert_trigger()", PART_TIMEOUT_US, err);
    search->has_trigger = result && PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return result != NULL;
}

static bool search_rows(struct search *search, const struct failure *failure, bool may_guess, struct error *err)
{
    const int guess = may_guess ? failure->guessed_row : -1;
    bool taken;
    if (guess >= 0 && guess < search->batch->row_count) {
        if (!walk(search, guess, guess + 1, false, &taken, err))
            return false;
        if (search->count > 0)
            return true;
        if (!postgres_exec(search->conn, "ROLLBACK", PART_TIMEOUT_US, err) ||
            !postgres_exec(search->conn, begin_sql, PART_TIMEOUT_US, err))
            return false;
    }
    return search->batch->row_count == 0 ||
           (walk(search, 0, search->batch->row_count, false, &taken, err) && hear_again(search, err));
}

/* By COPY a row that is stored would be refused: those leave the batch. */
static bool drop_stored(struct search *search, struct error *err)
{
    const int64_t deadline_us = clock_now_us() + PART_TIMEOUT_US;
    struct batch *batch = search->batch;
    for (int row = 0; row < batch->row_count; row++)
        search->missing[row] = row;
    if (!insert_send_look_up(search->conn, batch, search->missing, batch->row_count, err))
        return false;
    PGresult *result = await_answer(search->conn, deadline_us);
    const bool is_answered = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (is_answered)
        insert_take_stored(batch, result, search->missing);
    else
        postgres_error(err, search->conn, result);
    PQclear(result);
    drain(search->conn, deadline_us);
    return is_answered;
}

static bool search_by_copy(struct search *search, const struct failure *failure, struct error *err)
{
    search->by_copy = true;
    search->count = 0;
    error_clear(err);
    return postgres_exec(search->conn, "ROLLBACK", PART_TIMEOUT_US, err) &&
           postgres_exec(search->conn, begin_sql, PART_TIMEOUT_US, err) && drop_stored(search, err) &&
           try_without_rows(search, err) && search_rows(search, failure, false, err);
}

static bool search_either_way(struct search *search, const struct failure *failure, bool may_guess, struct error *err)
{
    if (try_without_rows(search, err) && search_rows(search, failure, may_guess, err))
        return true;
    return search->wants_copy && search_by_copy(search, failure, err);
}

static bool bury(struct search *search, struct error *err)
{
    for (int i = 0; i < search->count; i++)
        if (!batch_kill_row(search->batch, search->suspects[i].row, REASON_REFUSED, search->suspects[i].why, err))
            return false;
    batch_compact(search->batch);
    return true;
}

bool bisect_refused(PGconn *conn, struct batch *batch, const struct failure *failure, bool may_guess, int tries, int most,
                    int *refused, struct error *err)
{
    struct search search = {.conn = conn,
                            .batch = batch,
                            .tries = tries,
                            .most = most,
                            .deadline_us = clock_now_us() + SEARCH_TIMEOUT_US,
                            .suspects = malloc(((size_t)most + 1) * sizeof *search.suspects),
                            .missing = malloc(((size_t)batch->row_count + 1) * sizeof *search.missing),
                            .failure = *failure};
    struct error rolled;
    *refused = 0;
    bool done = search.suspects && search.missing;
    if (!done)
        error_set(err, ERROR_RETRY, "no memory for a search among %d rows", batch->row_count);
    done = done && postgres_exec(conn, begin_sql, PART_TIMEOUT_US, err);
    if (done) {
        done = ask_for_trigger(&search, err) &&
               (search_either_way(&search, failure, may_guess, err) || (search.is_late && search.count > 0));
        if (!postgres_exec(conn, "ROLLBACK", PART_TIMEOUT_US, &rolled) && done) {
            *err = rolled;
            done = false;
        }
        done = done && bury(&search, err);
    }
    if (done)
        *refused = search.count;
    free(search.missing);
    free(search.suspects);
    return done;
}
