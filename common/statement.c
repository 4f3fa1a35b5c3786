/* statement.c - see statement.h.
 *
 * Sockets are non-blocking and every wait is a poll(2) with a deadline. PQexec() was rejected: it waits for ever on a server that
 * vanished without a FIN, and nothing but a second thread could end that wait.
 */
#include "common/statement.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/postgres_begin.h"
#include "common/postgres_error.h"
#include "common/utf8.h"

enum { SLICE_MS = 200, SHOWN_SQL_BYTES = 60, CANCEL_TEXT_BYTES = 256 };

struct statement_wait statement_wait_for(int64_t timeout_us)
{
    return (struct statement_wait){.timeout_us = timeout_us, .deadline_us = clock_now_us() + timeout_us};
}

static bool explain(PGconn *conn, struct statement_wait *wait, struct error *err)
{
    if (wait->watch)
        wait->watch->explain(wait->context, conn, err);
    return false;
}

/* A call into libpq failed. */
static bool broken(PGconn *conn, struct statement_wait *wait, struct error *err)
{
    postgres_error(err, conn, NULL);
    return explain(conn, wait, err);
}

/* Tells the server to stop: a backend whose client merely closed the socket goes on until it next writes. Bounded by the
 * connection's own tcp_user_timeout, which libpq uses for this too. */
static void cancel(PGconn *conn)
{
    char ignored[CANCEL_TEXT_BYTES];
    PGcancel *handle = PQgetCancel(conn);
    if (handle)
        PQcancel(handle, ignored, sizeof ignored);
    PQfreeCancel(handle);
}

static bool is_late(PGconn *conn, struct statement_wait *wait, struct error *err)
{
    if (wait->is_cancelled_late)
        cancel(conn);
    error_set(err, ERROR_RETRY, "Postgres did not answer in %.1f s%s%.*s", (double)wait->timeout_us / (double)CLOCK_SECOND_US,
              wait->sql ? ": " : "", UTF8_CUT(wait->sql ? wait->sql : "", SHOWN_SQL_BYTES));
    return explain(conn, wait, err);
}

bool statement_await(PGconn *conn, short events, struct statement_wait *wait, struct error *err)
{
    for (bool is_silent = false;; is_silent = true) { /* ends: at the deadline */
        struct pollfd socket = {.fd = PQsocket(conn), .events = events};
        const int64_t now_us = clock_now_us(), left_ms = (wait->deadline_us - now_us + 999) / 1000;
        if (socket.fd < 0)
            return true;
        if (wait->watch && !wait->watch->look(wait->context, conn, now_us, is_silent, err)) {
            if (wait->is_cancelled_late)
                cancel(conn);
            return false;
        }
        const int ready = poll(&socket, 1, left_ms <= 0 ? 0 : left_ms < SLICE_MS ? (int)left_ms : SLICE_MS);
        if (ready > 0 || (ready < 0 && errno != EINTR && errno != EAGAIN))
            return true;
        if (left_ms <= 0)
            return is_late(conn, wait, err);
    }
}

bool statement_flush(PGconn *conn, struct statement_wait *wait, struct error *err)
{
    int left;
    while ((left = PQflush(conn)) == 1) { /* ends: at the deadline */
        if (!statement_await(conn, POLLIN | POLLOUT, wait, err))
            return false;
        if (!PQconsumeInput(conn))
            return broken(conn, wait, err);
    }
    return left == 0 || broken(conn, wait, err);
}

bool statement_send(PGconn *conn, const char *sql, int count, const char *const *values, struct statement_wait *wait,
                    struct error *err)
{
    wait->sql = sql;
    const bool is_sent = values ? PQsendQueryParams(conn, sql, count, NULL, values, NULL, NULL, 0) : PQsendQuery(conn, sql);
    if (!is_sent)
        return postgres_error(err, conn, NULL);
    if (wait->watch)
        wait->watch->start(wait->context, clock_now_us());
    return statement_flush(conn, wait, err);
}

bool statement_next(PGconn *conn, struct statement_wait *wait, PGresult **result, struct error *err)
{
    *result = NULL;
    while (PQisBusy(conn)) { /* ends: at the deadline */
        if (!statement_await(conn, POLLIN, wait, err))
            return false;
        if (!PQconsumeInput(conn))
            return broken(conn, wait, err);
    }
    *result = PQgetResult(conn);
    return true;
}

static bool is_copy(ExecStatusType status)
{
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

PGresult *statement_last(PGconn *conn, struct statement_wait *wait, struct error *err)
{
    PGresult *last = NULL, *result;
    bool has_failed = false;
    while (statement_next(conn, wait, &result, err)) { /* ends: libpq gives NULL after the last result, or an error */
        if (!result && last && !has_failed)
            return last;
        if (!result && !last)
            broken(conn, wait, err);
        if (!result)
            break;
        PQclear(last);
        last = result;
        const ExecStatusType status = PQresultStatus(result);
        if (is_copy(status)) { /* PQgetResult() would hand out this same state for ever */
            error_set(err, ERROR_FATAL, "COPY goes through session.h: %.*s",
                      UTF8_CUT(wait->sql ? wait->sql : "?", SHOWN_SQL_BYTES));
            break;
        }
        if (has_failed || status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY)
            continue;
        has_failed = true;
        postgres_error(err, conn, result);
        explain(conn, wait, err);
        if (PQstatus(conn) == CONNECTION_BAD)
            break;
    }
    PQclear(last);
    return NULL;
}

PGresult *statement_ask(PGconn *conn, const char *sql, int count, const char *const *values, struct statement_wait *wait,
                        struct error *err)
{
    if (!statement_send(conn, sql, count, values, wait, err))
        return NULL;
    return statement_last(conn, wait, err);
}

static bool order(PGconn *conn, const char *sql, struct statement_wait *wait, struct error *err)
{
    PGresult *result = statement_ask(conn, sql, 0, NULL, wait, err);
    PQclear(result);
    return result != NULL;
}

/* Whether the text is to be put between POSTGRES_BEGIN() and COMMIT: no transaction is open, and it neither begins nor ends one. */
static bool is_wrapped(const PGconn *conn, const char *sql)
{
    const bool is_begin = strncmp(sql, "BEGIN", 5) == 0,
               is_end = strncmp(sql, "COMMIT", 6) == 0 || strncmp(sql, "ROLLBACK", 8) == 0;
    assert(!is_begin || strstr(sql, "pg_catalog.num_nulls(") != NULL); /* POSTGRES_BEGIN(), or a setting of the login decides */
    return PQtransactionStatus(conn) == PQTRANS_IDLE && !is_begin && !is_end;
}

PGresult *statement_run(PGconn *conn, const char *sql, int count, const char *const *values, struct statement_wait *wait,
                        struct error *err)
{
    if (!is_wrapped(conn, sql))
        return statement_ask(conn, sql, count, values, wait, err);
    if (!order(conn, POSTGRES_BEGIN("READ COMMITTED"), wait, err))
        return NULL;
    PGresult *result = statement_ask(conn, sql, count, values, wait, err);
    struct error rolled = {0};
    if (!result && PQtransactionStatus(conn) == PQTRANS_INERROR)
        order(conn, "ROLLBACK", wait, &rolled);
    if (result && !order(conn, "COMMIT", wait, err)) {
        PQclear(result);
        return NULL;
    }
    return result;
}
