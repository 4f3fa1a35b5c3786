/* session.c - libpq without its blocking calls.
 *
 * Invariant: between two calls the connection is idle: every result was fetched to its end. A call that fails leaves it in the
 * middle, which is why the caller closes it then.
 *
 * Rejected: PQcancel() on a stop: it opens a second connection and blocks for as long as the network likes. Closing ours is enough,
 * because cycles set client_connection_check_interval.
 */
#include "common/session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

#include "common/copy_reader.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/lock_watch.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/service.h"

/* Below the 5 s in which a stop must be obeyed: connecting does not look at signals. */
static const int64_t CONNECT_TIMEOUT_US = 4 * CLOCK_SECOND_US;
enum { SLICE_MS = 200, MESSAGES_BETWEEN_LOOKS = 4096, ENOUGH_BYTES = 64 << 10, READS = 8, MOMENT_NS = 300000 };

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

/* Waits for one of the events, at most until the deadline. */
static bool wait_for_socket(struct session *session, short events, int64_t deadline_us, struct error *err)
{
    struct pollfd socket = {.fd = PQsocket(session->conn), .events = events};
    for (;;) { /* ends: at the deadline */
        if (!look_around(session, err))
            return false;
        int ready = poll(&socket, 1, SLICE_MS);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return error_set(err, ERROR_RETRY, "poll(2) of the connection to Postgres failed");
        const int64_t now_us = clock_now_us();
        lock_watch_look(&session->watch, session->conn, now_us);
        if (now_us > deadline_us) {
            error_set(err, ERROR_RETRY, "Postgres has not answered in time");
            return lock_watch_explain(&session->watch, session->conn, err);
        }
    }
}

static bool broken(struct session *session, struct error *err)
{
    return postgres_error(err, session->conn, NULL);
}

/* Sends what libpq holds back. */
static bool flush(struct session *session, int64_t deadline_us, struct error *err)
{
    int left;
    while ((left = PQflush(session->conn)) == 1) { /* ends: at the deadline */
        if (!wait_for_socket(session, POLLIN | POLLOUT, deadline_us, err))
            return false;
        if (!PQconsumeInput(session->conn))
            return broken(session, err);
    }
    return left == 0 || broken(session, err);
}

/* The next result of the statement (*result NULL: that was all). */
static bool next_result(struct session *session, int64_t deadline_us, PGresult **result, struct error *err)
{
    *result = NULL;
    while (PQisBusy(session->conn)) { /* ends: at the deadline */
        if (!wait_for_socket(session, POLLIN, deadline_us, err))
            return false;
        if (!PQconsumeInput(session->conn))
            return broken(session, err);
    }
    *result = PQgetResult(session->conn);
    return true;
}

/* All results, of which the last is kept. After an error that the server reports, the connection is idle again. */
static PGresult *last_result(struct session *session, int64_t deadline_us, struct error *err)
{
    PGresult *last = NULL, *result;
    bool has_failed = false;
    while (next_result(session, deadline_us, &result, err)) { /* ends: libpq gives NULL after the last result, or an error */
        if (!result && last && !has_failed)
            return last;
        if (!result)
            break;
        PQclear(last);
        last = result;
        ExecStatusType status = PQresultStatus(result);
        if (has_failed || status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
            continue;
        has_failed = true;
        postgres_error(err, session->conn, result);
        lock_watch_explain(&session->watch, session->conn, err);
        if (PQstatus(session->conn) == CONNECTION_BAD || status == PGRES_COPY_OUT || status == PGRES_COPY_IN)
            break;
    }
    if (!has_failed && !last && !session->was_stopped && err->kind == ERROR_NONE)
        broken(session, err);
    PQclear(last);
    return NULL;
}

/* One message; values NULL: it may hold several statements. */
static PGresult *ask(struct session *session, int64_t deadline_us, const char *sql, int count, const char *const *values, struct error *err)
{
    const bool is_sent =
        values ? PQsendQueryParams(session->conn, sql, count, NULL, values, NULL, NULL, 0) : PQsendQuery(session->conn, sql);
    if (!is_sent) {
        broken(session, err);
        return NULL;
    }
    lock_watch_start(&session->watch, clock_now_us());
    return flush(session, deadline_us, err) ? last_result(session, deadline_us, err) : NULL;
}

static bool order(struct session *session, int64_t deadline_us, const char *sql, struct error *err)
{
    PGresult *result = ask(session, deadline_us, sql, 0, NULL, err);
    PQclear(result);
    return result != NULL;
}

PGresult *session_ask(struct session *session, int64_t timeout_us, const char *sql, int count, const char *const *values,
                      struct error *err)
{
    int64_t deadline_us = clock_now_us() + timeout_us;
    if (!postgres_is_wrapped(session->conn, sql))
        return ask(session, deadline_us, sql, count, values, err);
    if (!order(session, deadline_us, POSTGRES_BEGIN("READ COMMITTED"), err))
        return NULL;
    PGresult *result = ask(session, deadline_us, sql, count, values, err);
    struct error rolled = {0};
    if (!result && PQtransactionStatus(session->conn) == PQTRANS_INERROR)
        order(session, deadline_us, "ROLLBACK", &rolled);
    if (result && !order(session, deadline_us, "COMMIT", err)) {
        PQclear(result);
        return NULL;
    }
    return result;
}

bool session_do(struct session *session, const char *sql, int count, const char *const *values, struct error *err)
{
    PGresult *result = session_ask(session, SESSION_TIMEOUT_S * CLOCK_SECOND_US, sql, count, values, err);
    PQclear(result);
    return result != NULL;
}

PGresult *session_ask_all(struct session *session, const char *sql, struct error *err)
{
    return ask(session, clock_now_us() + SESSION_TIMEOUT_S * CLOCK_SECOND_US, sql, 0, NULL, err);
}

bool session_send(struct session *session, const char *sql, struct error *err)
{
    PQclear(session->sent_result);
    session->sent_result = NULL;
    lock_watch_start(&session->watch, clock_now_us());
    return PQsendQuery(session->conn, sql) ? flush(session, clock_now_us() + CONNECT_TIMEOUT_US, err) : broken(session, err);
}

bool session_look(struct session *session, PGresult **result, bool *is_done, struct error *err)
{
    *result = NULL;
    *is_done = false;
    if (!PQconsumeInput(session->conn))
        return broken(session, err);
    while (!PQisBusy(session->conn)) { /* ends: libpq gives NULL after the last result, or is busy */
        PGresult *next = PQgetResult(session->conn);
        *is_done = next == NULL;
        if (*is_done)
            break;
        ExecStatusType status = PQresultStatus(next);
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
            postgres_error(err, session->conn, next);
            lock_watch_explain(&session->watch, session->conn, err);
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
    return wait_for_socket(session, POLLIN, deadline_us, err);
}

int session_socket(const struct session *session)
{
    return PQsocket(session->conn);
}

/* Up to the answer that COPY has begun. */
static bool begin_copy(struct session *session, const char *sql, int64_t deadline_us, struct error *err)
{
    PGresult *result;
    if (!PQsendQuery(session->conn, sql))
        return broken(session, err);
    lock_watch_start(&session->watch, clock_now_us());
    if (!flush(session, deadline_us, err))
        return false;
    for (;;) { /* ends: with the COPY, an error, or at the deadline */
        if (!next_result(session, deadline_us, &result, err))
            return false;
        ExecStatusType status = PQresultStatus(result);
        if (!result || (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK))
            break;
        PQclear(result);
    }
    bool has_begun = result && PQresultStatus(result) == PGRES_COPY_OUT;
    if (!has_begun) {
        postgres_error(err, session->conn, result);
        lock_watch_explain(&session->watch, session->conn, err);
    }
    PQclear(result);
    return has_begun;
}

static int ready_bytes(const struct session *session)
{
    int bytes;
    return ioctl(PQsocket(session->conn), FIONREAD, &bytes) == 0 ? bytes : 0;
}

/* Postgres hands over 8 KB at a time. Woken for each, we and the kernel would work as long for it as for the rows in it: so a
 * stream that has only begun to come is given a moment. */
static bool take_stream(struct session *session, struct error *err)
{
    if (ready_bytes(session) < ENOUGH_BYTES)
        nanosleep(&(struct timespec){.tv_nsec = MOMENT_NS}, NULL);
    int reads = 0;
    do {
        if (!PQconsumeInput(session->conn)) /* 16 KB at first, then what its buffer has grown to */
            return broken(session, err);
    } while (++reads < READS && ready_bytes(session) > 0);
    return true;
}

/* One message into *message (owned by the caller); *length -1: the data has ended. */
static bool next_message(struct session *session, int64_t timeout_us, char **message, int *length, struct error *err)
{
    int64_t deadline_us = 0;
    while ((*length = PQgetCopyData(session->conn, message, 1)) == 0) { /* ends: at the deadline */
        if (deadline_us == 0)
            deadline_us = clock_now_us() + timeout_us;
        if (!wait_for_socket(session, POLLIN, deadline_us, err))
            return false;
        if (!take_stream(session, err))
            return false;
    }
    return *length != -2 || broken(session, err);
}

bool session_copy_bytes(struct session *session, int64_t timeout_us, const char *sql,
                        bool (*take)(void *context, const char *bytes, size_t length, struct error *err), void *context, struct error *err)
{
    if (!begin_copy(session, sql, clock_now_us() + timeout_us, err))
        return false;
    for (unsigned count = 1;; count++) { /* ends: with the data, or at a deadline */
        char *message;
        int length;
        if (!next_message(session, timeout_us, &message, &length, err))
            return false;
        if (length == -1)
            break;
        const bool goes_on = take(context, message, (size_t)length, err);
        PQfreemem(message);
        if (!goes_on || (count % MESSAGES_BETWEEN_LOOKS == 0 && !look_around(session, err)))
            return false;
    }
    PGresult *result = last_result(session, clock_now_us() + timeout_us, err);
    PQclear(result);
    return result != NULL;
}

/* Whoever takes a binary stream's tuples, with the reader that finds them. */
struct tuple_taker {
    struct copy_reader reader;
    bool (*take)(void *context, const struct copy_tuple *tuple, struct error *err);
    void *context;
};

static bool take_message(void *context, const char *bytes, size_t length, struct error *err)
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
    if (!session_copy_bytes(session, timeout_us, sql, take_message, &taker, err))
        return false;
    return taker.reader.is_ended || error_set(err, ERROR_FATAL, "COPY data without its end marker");
}
