/* connection.c - see connection.h.
 *
 * A login that worked before and is refused now is waited for, since its password may be being changed: the secret is read again
 * before each new connection. The pauses have jitter, because workers that lost one server must not come back in step.
 */
#include "consumer/connection.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/postgres.h"
#include "common/rights.h"
#include "common/service.h"
#include "common/settings.h"

#define FIRST_BACKOFF_US   INT64_C(50000)
#define MOST_BACKOFF_US    INT64_C(5000000)
#define FORGOTTEN_AFTER_US INT64_C(60000000)

/* The server's side of a vanished network: without these a worker's host that is cut off keeps its locks for two hours. */
static const char session_sql[] =
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 20000";

static const char rights_sql[] =
    "SELECT has_table_privilege('public.analytics_events', 'INSERT') "
    "AND has_function_privilege('tallymill.claim(text, text, text, text, text, integer[])', 'EXECUTE')";

bool connection_check(const char *dsn, struct error *err)
{
    PGconn *conn = postgres_open(dsn, "tallymill-consumer", CONNECTION_LIMIT_US, err);
    bool good = conn && postgres_check_schema(conn, err);
    PGresult *rights = good ? postgres_query(conn, rights_sql, CONNECTION_LIMIT_US, err) : NULL;
    good = rights != NULL;
    if (good && strcmp(PQgetvalue(rights, 0, 0), "t") != 0) {
        error_set(err, ERROR_USAGE, "the login %s may not store events", PQuser(conn));
        postgres_mark(err, POSTGRES_NO_RIGHT);
        rights_explain(conn, err);
        good = false;
    }
    PQclear(rights);
    PQfinish(conn);
    return good;
}

void connection_init(struct connection *connection, struct settings *settings)
{
    *connection = (struct connection){.settings = settings,
                                      .dsn = settings_text(settings, "postgres.dsn"),
                                      .outage = {.away = "cannot reach Postgres, trying again", .back = "Postgres is back"}};
}

static void refresh_dsn(struct connection *connection)
{
    struct error err = {0};
    if (!settings_refresh_dsn(connection->settings, &err))
        log_warn_because(&err, "postgres.dsn was not read again: what it was before is tried", NULL);
    connection->dsn = settings_text(connection->settings, "postgres.dsn");
}

bool connection_open(struct connection *connection, int64_t now_us, struct error *err)
{
    struct error local = {0};
    if (connection->has_connected)
        refresh_dsn(connection);
    connection->conn = postgres_open(connection->dsn, "tallymill-consumer", CONNECTION_LIMIT_US, &local);
    if (connection->conn && postgres_check_schema(connection->conn, &local) &&
        postgres_exec(connection->conn, session_sql, CONNECTION_LIMIT_US, &local)) {
        connection->has_connected = true;
        outage_over(&connection->outage, clock_now_us());
        log_info("connected to Postgres", NULL);
        return true;
    }
    connection_close(connection);
    const bool is_rotating = connection->has_connected && postgres_is(&local, POSTGRES_LOGIN_REFUSED);
    if (local.kind != ERROR_RETRY && !is_rotating) {
        *err = local;
        return false;
    }
    outage_note(&connection->outage, &local, now_us);
    service_trouble(&local);
    connection_back_off(connection, now_us);
    return true;
}

bool connection_is_idle(const struct connection *connection)
{
    return PQtransactionStatus(connection->conn) == PQTRANS_IDLE;
}

bool connection_is_lost(struct connection *connection, int64_t now_us)
{
    if (!connection->conn || now_us - connection->looked_us < CLOCK_SECOND_US)
        return false;
    connection->looked_us = now_us;
    if (PQconsumeInput(connection->conn) && PQstatus(connection->conn) == CONNECTION_OK)
        return false;
    log_warn("lost the connection to Postgres while idle", NULL);
    return true;
}

void connection_close(struct connection *connection)
{
    PQfinish(connection->conn);
    connection->conn = NULL;
}

void connection_drop(struct connection *connection, int64_t now_us)
{
    connection_close(connection);
    connection_back_off(connection, now_us);
}

void connection_back_off(struct connection *connection, int64_t now_us)
{
    if (now_us - connection->not_before_us > FORGOTTEN_AFTER_US)
        connection->backoff_us = 0;
    int64_t pause_us = connection->backoff_us ? connection->backoff_us * 2 : FIRST_BACKOFF_US;
    if (pause_us > MOST_BACKOFF_US)
        pause_us = MOST_BACKOFF_US;
    connection->backoff_us = pause_us;
    connection->not_before_us = now_us + pause_us / 2 + random() % (pause_us / 2 + 1);
}

void connection_settle(struct connection *connection)
{
    connection->backoff_us = 0;
}

void connection_try_dsn(struct connection *connection, struct settings *fresh)
{
    struct error err = {0};
    if (settings_is_same_dsn(connection->settings, fresh))
        return;
    if (!connection_check(settings_text(fresh, "postgres.dsn"), &err)) {
        log_error_because(&err, "the new postgres.dsn was not taken: the one before stays in force. Mend it and send SIGHUP again",
                          NULL);
        return;
    }
    settings_swap_dsn(connection->settings, fresh);
    connection->dsn = settings_text(connection->settings, "postgres.dsn");
    log_info("the new postgres.dsn has logged in, and is taken from the next connection on", NULL);
}
