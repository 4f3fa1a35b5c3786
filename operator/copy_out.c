/* copy_out.c - see copy_out.h.
 *
 * Rejected: a cursor and FETCH, whose result libpq holds whole, page by page, and which costs the backend a plan without parallel workers. */
#include "operator/copy_out.h"

#include "common/clock.h"
#include "common/lock_watch.h"
#include "common/postgres.h"

/* Waits until there is something to read; meanwhile looks who keeps us waiting. */
static bool wait_for_more(PGconn *conn, struct lock_watch *watch, int64_t deadline_us, struct error *err)
{
    for (;;) { /* ends: at the deadline */
        if (postgres_wait(conn, false, watch->look_at_us < deadline_us ? watch->look_at_us : deadline_us)) {
            return PQconsumeInput(conn) == 1 || postgres_error(err, conn, NULL);
        }
        const int64_t now_us = clock_now_us();
        lock_watch_look(watch, conn, now_us);
        if (now_us >= deadline_us) {
            error_set(err, ERROR_RETRY, "Postgres sent no row in time");
            return lock_watch_explain(watch, conn, err);
        }
    }
}

static bool send(PGconn *conn, const char *sql, int64_t deadline_us, struct error *err)
{
    if (PQsendQuery(conn, sql) != 1) {
        return postgres_error(err, conn, NULL);
    }
    for (int left; (left = PQflush(conn)) != 0;) { /* ends: at the deadline */
        if (left < 0) {
            return postgres_error(err, conn, NULL);
        }
        if (!postgres_wait(conn, true, deadline_us)) {
            return error_set(err, ERROR_RETRY, "Postgres did not take the question in time");
        }
        if (PQconsumeInput(conn) != 1) {
            return postgres_error(err, conn, NULL);
        }
    }
    return true;
}

/* The next result; true also when there is none (*result NULL). */
static bool next_result(PGconn *conn, struct lock_watch *watch, int64_t timeout_us, PGresult **result, struct error *err)
{
    const int64_t deadline_us = clock_now_us() + timeout_us;
    while (PQisBusy(conn)) { /* ends: at the deadline */
        if (!wait_for_more(conn, watch, deadline_us, err)) {
            return false;
        }
    }
    *result = PQgetResult(conn);
    return true;
}

/* Takes the results up to the end; all must have this status. */
static bool end(PGconn *conn, struct lock_watch *watch, int64_t timeout_us, struct error *err)
{
    bool is_good = true;
    for (PGresult *result = NULL;;) { /* ends: libpq gives NULL after the last result */
        if (!next_result(conn, watch, timeout_us, &result, err)) {
            return false;
        }
        if (!result) {
            return is_good;
        }
        if (is_good && PQresultStatus(result) != PGRES_COMMAND_OK) {
            is_good = postgres_error(err, conn, result) || lock_watch_explain(watch, conn, err);
        }
        PQclear(result);
    }
}

/* Hands over rows until COPY ends. */
static bool take_rows(PGconn *conn, struct lock_watch *watch, int64_t timeout_us, copy_out_take *take, void *context, struct error *err)
{
    for (;;) { /* ends: COPY ends, or no row comes in time */
        char *row = NULL;
        const int length = PQgetCopyData(conn, &row, 1);
        if (length > 0) {
            const bool is_taken = take(context, row, (size_t)length, err);
            PQfreemem(row);
            if (!is_taken) {
                return false;
            }
        } else if (length == 0) {
            if (!wait_for_more(conn, watch, clock_now_us() + timeout_us, err)) {
                return false;
            }
        } else {
            return length == -1 || postgres_error(err, conn, NULL);
        }
    }
}

bool copy_out(PGconn *conn, const char *sql, int64_t timeout_us, copy_out_take *take, void *context, struct error *err)
{
    struct lock_watch watch;
    PGresult *begun = NULL;
    lock_watch_start(&watch, clock_now_us());
    if (!send(conn, sql, clock_now_us() + timeout_us, err) || !next_result(conn, &watch, timeout_us, &begun, err)) {
        return false;
    }
    const bool is_begun = PQresultStatus(begun) == PGRES_COPY_OUT;
    if (!is_begun) {
        postgres_error(err, conn, begun);
        lock_watch_explain(&watch, conn, err);
    }
    PQclear(begun);
    return is_begun && take_rows(conn, &watch, timeout_us, take, context, err) && end(conn, &watch, timeout_us, err);
}
