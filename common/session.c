/* session.c - libpq without its blocking calls.
 *
 * Invariant: between two calls the connection is idle: every result was fetched to its end. A call that fails leaves it in the
 * middle, which is why the caller closes it then.
 *
 * Rejected: PQcancel() on a stop: it opens a second connection and blocks for as long as the network likes. Closing ours is enough,
 * because cycles set client_connection_check_interval.
 */
#include "common/session.h"

#include <poll.h>
#include <stdlib.h>

#include "common/copy_out.h"
#include "common/copy_reader.h"
#include "common/clock.h"
#include "common/disk.h"
#include "common/error.h"
#include "common/lock_watch.h"
#include "common/postgres.h"
#include "common/rights.h"
#include "common/service.h"
#include "common/statement.h"

/* Below the 5 s in which a stop must be obeyed: connecting does not look at signals. */
static const int64_t CONNECT_TIMEOUT_US = 4 * CLOCK_SECOND_US;

struct session {
    PGconn *conn;
    bool was_stopped, is_unstoppable;
    PGresult *sent_result; /* of session_send(), until it is handed over */
    struct lock_watch watch;
};

struct session *session_open(const char *dsn, const char *application_name, struct error *err)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session) {
        error_set(err, ERROR_RETRY, "no memory for a connection");
        return NULL;
    }
    session->conn = postgres_open(dsn, application_name, CONNECT_TIMEOUT_US, err);
    if (!session->conn || !postgres_check_schema(session->conn, err)) {
        session_close(session);
        return NULL;
    }
    PQsetnonblocking(session->conn, 1);
    return session;
}

void session_close(struct session *session)
{
    if (!session)
        return;
    PQclear(session->sent_result);
    PQfinish(session->conn);
    free(session);
}

void session_name_holders(struct session *session, struct error *err)
{
    lock_watch_start(&session->watch, clock_now_us());
    lock_watch_explain(&session->watch, session->conn, err);
}

int session_backend_pid(const struct session *session)
{
    return PQbackendPID(session->conn);
}

bool session_is_near(const struct session *session)
{
    return disk_is_near(session->conn);
}

bool session_was_stopped(const struct session *session)
{
    return session->was_stopped;
}

void session_ignore_stop(struct session *session)
{
    session->is_unstoppable = true;
}

/* A look at the world outside the statement. */
static bool look_around(struct session *session, struct error *err)
{
    service_watchdog(clock_now_us());
    if (!service_is_stopping())
        return true;
    if (session->is_unstoppable)
        return true;
    session->was_stopped = true;
    return error_set(err, ERROR_RETRY, "asked to stop");
}

static void start(void *context, int64_t now_us)
{
    struct session *session = context;
    lock_watch_start(&session->watch, now_us);
}

static bool look(void *context, PGconn *conn, int64_t now_us, bool is_silent, struct error *err)
{
    struct session *session = context;
    if (!look_around(session, err))
        return false;
    if (is_silent)
        lock_watch_look(&session->watch, conn, now_us);
    return true;
}

static void explain(void *context, PGconn *conn, struct error *err)
{
    struct session *session = context;
    lock_watch_explain(&session->watch, conn, err);
    rights_explain(conn, err);
}

static struct statement_wait wait_for(struct session *session, int64_t timeout_us)
{
    static const struct statement_watch watch = {.start = start, .look = look, .explain = explain};
    struct statement_wait wait = statement_wait_for(timeout_us);
    wait.watch = &watch;
    wait.context = session;
    return wait;
}

PGresult *session_ask(struct session *session, int64_t timeout_us, const char *sql, int count, const char *const *values,
                      struct error *err)
{
    struct statement_wait wait = wait_for(session, timeout_us);
    return statement_run(session->conn, sql, count, values, &wait, err);
}

bool session_do(struct session *session, const char *sql, int count, const char *const *values, struct error *err)
{
    PGresult *result = session_ask(session, SESSION_TIMEOUT_S * CLOCK_SECOND_US, sql, count, values, err);
    PQclear(result);
    return result != NULL;
}

PGresult *session_ask_all(struct session *session, const char *sql, struct error *err)
{
    return session_ask(session, SESSION_TIMEOUT_S * CLOCK_SECOND_US, sql, 0, NULL, err);
}

bool session_send(struct session *session, const char *sql, struct error *err)
{
    PQclear(session->sent_result);
    session->sent_result = NULL;
    struct statement_wait wait = wait_for(session, CONNECT_TIMEOUT_US);
    return statement_send(session->conn, sql, 0, NULL, &wait, err);
}

bool session_look(struct session *session, PGresult **result, bool *is_done, struct error *err)
{
    *result = NULL;
    *is_done = false;
    if (!PQconsumeInput(session->conn))
        return postgres_error(err, session->conn, NULL);
    while (!PQisBusy(session->conn)) { /* ends: libpq gives NULL after the last result, or is busy */
        PGresult *next = PQgetResult(session->conn);
        *is_done = next == NULL;
        if (*is_done)
            break;
        ExecStatusType status = PQresultStatus(next);
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
            postgres_error(err, session->conn, next);
            lock_watch_explain(&session->watch, session->conn, err);
            rights_explain(session->conn, err);
            PQclear(next);
            return false;
        }
        bool has_rows = status == PGRES_TUPLES_OK;
        PQclear(has_rows ? session->sent_result : next);
        session->sent_result = has_rows ? next : session->sent_result;
    }
    if (*is_done) {
        *result = session->sent_result;
        session->sent_result = NULL;
    }
    return true;
}

bool session_wait(struct session *session, int64_t deadline_us, struct error *err)
{
    struct statement_wait wait = wait_for(session, deadline_us - clock_now_us());
    return statement_await(session->conn, POLLIN, &wait, err);
}

int session_socket(const struct session *session)
{
    return PQsocket(session->conn);
}

bool session_copy_rows(struct session *session, int64_t timeout_us, const char *sql, copy_out_take *take, void *context,
                       struct error *err)
{
    struct statement_wait wait = wait_for(session, timeout_us);
    return copy_out(session->conn, sql, &wait, take, context, err);
}

/* Whoever takes a binary stream's tuples, with the reader that finds them. */
struct tuple_taker {
    struct copy_reader reader;
    bool (*take)(void *context, const struct copy_tuple *tuple, struct error *err);
    void *context;
};

static bool take_message(void *context, char *bytes, size_t length, struct error *err)
{
    struct tuple_taker *taker = context;
    struct copy_tuple tuple;
    const enum copy_outcome outcome = copy_reader_take(&taker->reader, bytes, length, &tuple, err);
    return outcome == COPY_NOTHING || (outcome == COPY_TUPLE && taker->take(taker->context, &tuple, err));
}

bool session_copy_out(struct session *session, int64_t timeout_us, const char *sql,
                      bool (*take)(void *context, const struct copy_tuple *tuple, struct error *err), void *context,
                      struct error *err)
{
    struct tuple_taker taker = {.take = take, .context = context};
    copy_reader_init(&taker.reader);
    if (!session_copy_rows(session, timeout_us, sql, take_message, &taker, err))
        return false;
    return taker.reader.is_ended || error_set(err, ERROR_FATAL, "COPY data without its end marker");
}
