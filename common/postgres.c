/* postgres.c - see postgres.h.
 *
 * Sockets are non-blocking and every wait is a poll(2) with a deadline. PQexec() and PQconnectdb() were rejected: they wait for
 * ever on a server that vanished without a FIN, and nothing but a second thread could end that wait.
 */
#include "common/postgres.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/lock_watch.h"
#include "common/log.h"
#include "common/postgres_begin.h"
#include "common/utf8.h"

enum { SHOWN_SQL_BYTES = 60 };

/* The session's time zone and date style are part of what we read and write, so neither a role's default nor the environment may
 * change them. libpq sends PGTZ and PGDATESTYLE as startup parameters, which win over `options=` and which a pooler lets pass
 * (it refuses `options=` itself). Before main(), because setenv() beside other threads is not safe. */
__attribute__((constructor)) static void fix_session_environment(void)
{
    setenv("PGTZ", "UTC", 1);
    setenv("PGDATESTYLE", "ISO, YMD", 1);
}

static const char *field_of(const PGresult *result, int field)
{
    const char *value = PQresultErrorField(result, field);
    return value ? value : "";
}

/* What a server says beside its answers (NOTICE, WARNING). libpq would print it on stderr as it stands, and it may quote an event: which could so write lines of our log. */
static void log_notice(void *context, const PGresult *result)
{
    char text[LOG_TEXT_BYTES], severity[LOG_TEXT_BYTES], sqlstate[LOG_TEXT_BYTES];
    (void)context;
    log_debug("Postgres says", "severity=\"%s\" sqlstate=\"%s\" text=\"%s\"",
              log_text(severity, field_of(result, PG_DIAG_SEVERITY_NONLOCALIZED)), log_text(sqlstate, field_of(result, PG_DIAG_SQLSTATE)),
              log_text(text, field_of(result, PG_DIAG_MESSAGE_PRIMARY)));
}

PGconn *postgres_start(const char *dsn, const char *application_name, struct error *err)
{
    /* What stands before dbname yields to the DSN, what stands behind it wins. A dead peer is noticed in 10 + 3 x 5 s when the
     * connection is idle, in 20 s when data is on the way; the latter also bounds each host of a list in connect(2), for which
     * PQconnectPoll() knows no time-out. client_encoding is not the DSN's to choose: what we send is UTF-8. */
    static const char *const keywords[] = {"keepalives",       "keepalives_idle",  "keepalives_interval",
                                           "keepalives_count", "tcp_user_timeout", "fallback_application_name",
                                           "dbname",           "client_encoding",  NULL};
    const char *const values[] = {"1", "10", "5", "3", "20000", application_name, dsn, "UTF8", NULL};
    PGconn *conn = PQconnectStartParams(keywords, values, 1);
    if (conn == NULL) {
        error_set(err, ERROR_RETRY, "out of memory for a connection to Postgres");
        return NULL;
    }
    /* A refused connection has no PGresult to ask for the SQLSTATE; in verbose texts it is spelled out (see connection_sqlstate).
     */
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(conn, log_notice, NULL);
    if (PQstatus(conn) != CONNECTION_BAD)
        return conn;
    const char *host = PQhost(conn);
    if (host == NULL || host[0] == '\0') /* it did not come as far as a host; libpq's text may quote a password */
        error_set(err, ERROR_USAGE, "postgres.dsn is not a connection string that libpq understands");
    else
        postgres_error(err, conn, NULL);
    error_wrap(err, "cannot connect to Postgres");
    PQfinish(conn);
    return NULL;
}

/* Waits for one of `events`; -1 deadline passed, else revents. */
static int wait_for(int socket, short events, int64_t deadline_us)
{
    struct pollfd entry = {.fd = socket, .events = events};
    for (;;) {
        int64_t left_us = deadline_us - clock_now_us();
        int64_t left_ms = left_us <= 0 ? 0 : (left_us + 999) / 1000;
        int ready = poll(&entry, 1, left_ms > INT_MAX ? INT_MAX : (int)left_ms);
        if (ready > 0)
            return entry.revents;
        if (ready == 0 && left_us <= 0)
            return -1;
        if (ready < 0 && errno != EINTR && errno != EAGAIN)
            return POLLERR; /* the next call into libpq will say what is wrong */
    }
}

bool postgres_wait(PGconn *conn, bool for_write, int64_t deadline_us)
{
    int socket = PQsocket(conn);
    if (socket < 0)
        return true; /* broken: the next call into libpq says so */
    return wait_for(socket, for_write ? POLLIN | POLLOUT : POLLIN, deadline_us) >= 0;
}

static PGresult *ask(PGconn *conn, const char *sql, int count, const char *const *values, int64_t timeout_us, int64_t deadline_us,
                     struct error *err);

PGconn *postgres_open(const char *dsn, const char *application_name, int64_t timeout_us, struct error *err)
{
    PGconn *conn = postgres_start(dsn, application_name, err);
    if (conn == NULL)
        return NULL;
    int64_t deadline_us = clock_now_us() + timeout_us;
    /* As if PQconnectPoll() had last returned PGRES_POLLING_WRITING: its manual. */
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
        if (wait_for(PQsocket(conn), status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_us) < 0) {
            error_set(err, ERROR_RETRY, "cannot connect to Postgres at %s port %s: no answer in %.1f s", PQhost(conn), PQport(conn),
                      (double)timeout_us / (double)CLOCK_SECOND_US);
            goto out;
        }
        status = PQconnectPoll(conn);
    }
    if (status == PGRES_POLLING_OK && PQsetnonblocking(conn, 1) == 0) {
        PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
        PGresult *set = ask(conn, POSTGRES_SESSION, 0, NULL, timeout_us, deadline_us, err);
        if (set != NULL) {
            PQclear(set);
            return conn;
        }
        error_wrap(err, "cannot connect to Postgres");
        goto out;
    }
    postgres_error(err, conn, NULL);
    error_wrap(err, "cannot connect to Postgres");
out:
    PQfinish(conn);
    return NULL;
}

/* Tells the server to stop: a backend whose client merely closed the socket goes on until it next writes. Bounded by the
 * connection's own tcp_user_timeout, which libpq uses for this too. */
static void cancel(PGconn *conn)
{
    char ignored[256];
    PGcancel *handle = PQgetCancel(conn);
    if (handle != NULL)
        PQcancel(handle, ignored, sizeof ignored);
    PQfreeCancel(handle);
}

static bool timed_out(PGconn *conn, const char *sql, int64_t timeout_us, struct error *err)
{
    cancel(conn);
    return error_set(err, ERROR_RETRY, "Postgres did not answer in %.1f s: %.*s", (double)timeout_us / (double)CLOCK_SECOND_US,
                     UTF8_CUT(sql, SHOWN_SQL_BYTES));
}

/* Sends what is in libpq's buffer, reading meanwhile, or both sides could wait for each other. */
static bool flush(PGconn *conn, int64_t deadline_us, bool *is_late)
{
    for (;;) {
        int left = PQflush(conn);
        if (left <= 0)
            return left == 0;
        if (!postgres_wait(conn, true, deadline_us)) {
            *is_late = true;
            return false;
        }
        if (PQconsumeInput(conn) == 0)
            return false;
    }
}

static bool await_result(PGconn *conn, struct lock_watch *watch, int64_t deadline_us, bool *is_late)
{
    while (PQisBusy(conn)) {
        if (!postgres_wait(conn, false, watch->look_at_us < deadline_us ? watch->look_at_us : deadline_us)) {
            const int64_t now_us = clock_now_us();
            lock_watch_look(watch, conn, now_us);
            *is_late = now_us >= deadline_us;
            if (*is_late)
                return false;
            continue;
        }
        if (PQconsumeInput(conn) == 0)
            return false;
    }
    return true;
}

/* The results of what was sent: the last one, or the first that failed. */
static PGresult *collect(PGconn *conn, const char *sql, int64_t timeout_us, int64_t deadline_us, struct error *err)
{
    PGresult *kept = NULL;
    bool is_late = false, failed = false;
    struct lock_watch watch;
    lock_watch_start(&watch, clock_now_us());
    if (!flush(conn, deadline_us, &is_late))
        goto broken;
    for (;;) {
        if (!await_result(conn, &watch, deadline_us, &is_late))
            goto broken;
        PGresult *result = PQgetResult(conn);
        if (result == NULL)
            break;
        ExecStatusType status = PQresultStatus(result);
        if (failed) {
            PQclear(result);
            continue;
        }
        PQclear(kept);
        kept = result;
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            /* PQgetResult() would hand out this same state for ever. */
            error_set(err, ERROR_FATAL, "COPY does not go through postgres_query: %.*s", UTF8_CUT(sql, SHOWN_SQL_BYTES));
            PQclear(kept);
            return NULL;
        }
        failed = status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY;
    }
    if (kept != NULL && !failed)
        return kept;
    postgres_error(err, conn, kept);
    lock_watch_explain(&watch, conn, err);
    PQclear(kept);
    return NULL;
broken:
    if (is_late)
        timed_out(conn, sql, timeout_us, err);
    else
        postgres_error(err, conn, NULL);
    lock_watch_explain(&watch, conn, err);
    PQclear(kept);
    return NULL;
}

/* Sends one message and waits for its answers. */
static PGresult *ask(PGconn *conn, const char *sql, int count, const char *const *values, int64_t timeout_us, int64_t deadline_us,
                     struct error *err)
{
    const bool is_sent = values != NULL ? PQsendQueryParams(conn, sql, count, NULL, values, NULL, NULL, 0) == 1 : PQsendQuery(conn, sql) == 1;
    if (is_sent)
        return collect(conn, sql, timeout_us, deadline_us, err);
    postgres_error(err, conn, NULL);
    return NULL;
}

static bool order(PGconn *conn, const char *sql, int64_t timeout_us, int64_t deadline_us, struct error *err)
{
    PGresult *result = ask(conn, sql, 0, NULL, timeout_us, deadline_us, err);
    PQclear(result);
    return result != NULL;
}

bool postgres_is_wrapped(const PGconn *conn, const char *sql)
{
    const bool is_begin = strncmp(sql, "BEGIN", 5) == 0, is_end = strncmp(sql, "COMMIT", 6) == 0 || strncmp(sql, "ROLLBACK", 8) == 0;
    assert(!is_begin || strstr(sql, "pg_catalog.num_nulls(") != NULL); /* POSTGRES_BEGIN(), or a setting of the login decides */
    return PQtransactionStatus(conn) == PQTRANS_IDLE && !is_begin && !is_end;
}

bool postgres_exec_alone(PGconn *conn, const char *sql, int64_t timeout_us, struct error *err)
{
    assert(PQtransactionStatus(conn) == PQTRANS_IDLE);
    return order(conn, sql, timeout_us, clock_now_us() + timeout_us, err);
}

/* As it is inside a transaction, or when it begins one; else in a transaction of its own, with the settings that all have. */
static PGresult *run(PGconn *conn, const char *sql, int count, const char *const *values, int64_t timeout_us, struct error *err)
{
    const int64_t deadline_us = clock_now_us() + timeout_us;
    if (!postgres_is_wrapped(conn, sql))
        return ask(conn, sql, count, values, timeout_us, deadline_us, err);
    if (!order(conn, POSTGRES_BEGIN("READ COMMITTED"), timeout_us, deadline_us, err))
        return NULL;
    PGresult *result = ask(conn, sql, count, values, timeout_us, deadline_us, err);
    struct error rolled = {0};
    if (result == NULL && PQtransactionStatus(conn) == PQTRANS_INERROR)
        order(conn, "ROLLBACK", timeout_us, deadline_us, &rolled);
    if (result != NULL && !order(conn, "COMMIT", timeout_us, deadline_us, err)) {
        PQclear(result);
        return NULL;
    }
    return result;
}

PGresult *postgres_query(PGconn *conn, const char *sql, int64_t timeout_us, struct error *err)
{
    return run(conn, sql, 0, NULL, timeout_us, err);
}

PGresult *postgres_query_params(PGconn *conn, const char *sql, int count, const char *const *values, int64_t timeout_us,
                                struct error *err)
{
    return run(conn, sql, count, values, timeout_us, err);
}

bool postgres_exec(PGconn *conn, const char *sql, int64_t timeout_us, struct error *err)
{
    PGresult *result = postgres_query(conn, sql, timeout_us, err);
    PQclear(result);
    return result != NULL;
}
