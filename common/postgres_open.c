/* postgres_open.c - see postgres_open.h.
 *
 * PQconnectdb() was rejected: it waits for ever on a server that vanished without a FIN.
 */
#include "common/postgres_open.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/postgres_begin.h"
#include "common/postgres_error.h"
#include "common/statement.h"

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

/* What a server says beside its answers (NOTICE, WARNING). libpq would print it on stderr as it stands, and it may quote an event:
 * which could so write lines of our log. */
static void log_notice(void *context, const PGresult *result)
{
    char text[LOG_TEXT_BYTES], severity[LOG_TEXT_BYTES], sqlstate[LOG_TEXT_BYTES];
    (void)context;
    log_debug("Postgres says", "severity=\"%s\" sqlstate=\"%s\" text=\"%s\"",
              log_text(severity, field_of(result, PG_DIAG_SEVERITY_NONLOCALIZED)),
              log_text(sqlstate, field_of(result, PG_DIAG_SQLSTATE)), log_text(text, field_of(result, PG_DIAG_MESSAGE_PRIMARY)));
}

static PGconn *start(const char *dsn, const char *application_name, struct error *err)
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
    const bool is_count = strncmp(PQerrorMessage(conn), "could not match ", 16) == 0; /* so many hosts, so many ports */
    if (strstr(PQerrorMessage(conn), "out of memory") != NULL) /* it may not have come as far as a host, and next time it does */
        error_set(err, ERROR_RETRY, "out of memory for a connection to Postgres");
    else if (!is_count &&
             (host == NULL || host[0] == '\0')) /* it did not come as far as a host; libpq's text may quote a password */
        error_set(err, ERROR_USAGE, "postgres.dsn is not a connection string that libpq understands");
    else
        postgres_error(err, conn, NULL);
    error_wrap(err, "cannot connect to Postgres");
    PQfinish(conn);
    return NULL;
}

/* As if PQconnectPoll() had last returned PGRES_POLLING_WRITING: its manual. */
static bool connect_by(PGconn *conn, struct statement_wait *wait, struct error *err)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) { /* ends: at the deadline */
        if (!statement_await(conn, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, wait, err))
            return error_set(err, ERROR_RETRY, "cannot connect to Postgres at %s port %s: no answer in %.1f s", PQhost(conn),
                             PQport(conn), (double)wait->timeout_us / (double)CLOCK_SECOND_US);
        status = PQconnectPoll(conn);
    }
    if (status == PGRES_POLLING_OK && PQsetnonblocking(conn, 1) == 0)
        return true;
    postgres_error(err, conn, NULL);
    return error_wrap(err, "cannot connect to Postgres");
}

PGconn *postgres_open(const char *dsn, const char *application_name, int64_t timeout_us, struct error *err)
{
    PGconn *conn = start(dsn, application_name, err);
    if (!conn)
        return NULL;
    struct statement_wait wait = statement_wait_for(timeout_us);
    if (!connect_by(conn, &wait, err)) {
        PQfinish(conn);
        return NULL;
    }
    PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    PGresult *set = statement_ask(conn, POSTGRES_SESSION, 0, NULL, &wait, err);
    if (!set) {
        error_wrap(err, "cannot connect to Postgres");
        PQfinish(conn);
        return NULL;
    }
    PQclear(set);
    return conn;
}

/* What must not be taken over: the name by which the other session is known, and what is empty anyhow. */
static bool is_wanted(const PQconninfoOption *option)
{
    static const char *const left[] = {"application_name", "fallback_application_name", "replication", "service",
                                       "target_session_attrs"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        if (strcmp(option->keyword, left[i]) == 0)
            return false;
    return option->val && option->val[0];
}

/* Of several hosts the one that was taken. */
static const char *value_of(const PQconninfoOption *option, PGconn *conn)
{
    if (strcmp(option->keyword, "host") == 0)
        return PQhost(conn);
    if (strcmp(option->keyword, "hostaddr") == 0)
        return PQhostaddr(conn);
    return strcmp(option->keyword, "port") == 0 ? PQport(conn) : option->val;
}

static void write_pair(FILE *out, const char *keyword, const char *value)
{
    fprintf(out, "%s='", keyword);
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            fputc('\\', out);
        fputc(*value, out);
    }
    fputs("' ", out);
}

/* A connection string for the same server and login; the caller frees it. NULL: no memory. */
static char *same_dsn(PGconn *conn)
{
    char *dsn = NULL;
    size_t length = 0;
    PQconninfoOption *options = PQconninfo(conn);
    FILE *out = options ? open_memstream(&dsn, &length) : NULL;
    for (const PQconninfoOption *option = options; out && option->keyword; option++)
        if (is_wanted(option) && value_of(option, conn) && value_of(option, conn)[0])
            write_pair(out, option->keyword, value_of(option, conn));
    PQconninfoFree(options);
    if (out && fclose(out) != 0) {
        free(dsn);
        return NULL;
    }
    return out ? dsn : NULL;
}

PGconn *postgres_open_beside(PGconn *conn, const char *application_name, int64_t timeout_us, struct error *err)
{
    char *dsn = PQstatus(conn) == CONNECTION_OK ? same_dsn(conn) : NULL;
    if (!dsn)
        error_set(err, ERROR_RETRY, "the connection to Postgres was lost, or memory is out");
    PGconn *side = dsn ? postgres_open(dsn, application_name, timeout_us, err) : NULL;
    free(dsn);
    return side;
}
