/* snapshot.c - see snapshot.h.
 *
 * Workers and the aggregator go on while a proof is read; without one snapshot, a batch that commits between two questions would
 * look like damage. The statement time-out that a provider may have set would end a count of all rows: our own deadline stands in
 * for it, long enough for the largest tables and still an end.
 */
#include "operator/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/lock_watch.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/settings.h"
#include "common/statement.h"

#define OPEN_US  (10 * CLOCK_SECOND_US)
#define SHORT_US (30 * CLOCK_SECOND_US)
#define QUERY_US (12 * 3600 * CLOCK_SECOND_US)

enum { ATTEMPTS = 3 };

struct snapshot {
    PGconn *conn;
};

/* Partition by partition, an aggregate over all events sorts a month at a time; compiling queries that run once costs more than it
 * saves. */
static const char session_sql[] = "SET LOCAL enable_partitionwise_aggregate = on; SET LOCAL jit = off";

/* True where there is nothing to check, and it need not be. */
static bool check_schema(PGconn *conn, bool is_any, struct error *err)
{
    PGresult *found =
        is_any ? postgres_query(conn, "SELECT count(*) AS schemas FROM pg_namespace WHERE nspname = 'tallymill'", SHORT_US, err)
               : NULL;
    const bool is_checked = !is_any || (found && strcmp(PQgetvalue(found, 0, 0), "0") != 0);
    const bool is_asked = !is_any || found;
    PQclear(found);
    return is_checked ? postgres_check_schema(conn, err) : is_asked;
}

static bool begin(PGconn *conn, bool is_any, struct error *err)
{
    return check_schema(conn, is_any, err) &&
           /* The first query, which pins the settings, takes the snapshot. */
           postgres_exec(conn, POSTGRES_BEGIN("REPEATABLE READ READ ONLY"), SHORT_US, err) &&
           postgres_exec(conn, session_sql, SHORT_US, err);
}

static struct snapshot *open_snapshot(const struct settings *settings, const char *application_name, bool is_any, struct error *err)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot) {
        error_set(err, ERROR_RETRY, "out of memory");
        return NULL;
    }
    snapshot->conn = postgres_open(settings_text(settings, "postgres.dsn"), application_name, OPEN_US, err);
    if (!snapshot->conn || !begin(snapshot->conn, is_any, err)) {
        snapshot_close(snapshot);
        return NULL;
    }
    return snapshot;
}

struct snapshot *snapshot_open(const struct settings *settings, const char *application_name, struct error *err)
{
    return open_snapshot(settings, application_name, false, err);
}

struct snapshot *snapshot_open_any(const struct settings *settings, const char *application_name, struct error *err)
{
    return open_snapshot(settings, application_name, true, err);
}

/* Nothing was read yet, so nothing that was printed has to be taken back. */
struct snapshot *snapshot_open_whole(const struct settings *settings, const char *application_name, struct error *err)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        struct snapshot *snapshot = snapshot_open(settings, application_name, err);
        FAILPOINT("snapshot_taken");
        PGresult *held = snapshot ? snapshot_ask(snapshot, "SELECT tallymill.hold_months()", err) : NULL;
        const bool is_whole = held && PQgetvalue(held, 0, 0)[0] == 't', is_failed = !held;
        PQclear(held);
        if (is_whole)
            return snapshot;
        snapshot_close(snapshot);
        if (is_failed)
            return NULL;
    }
    error_set(err, ERROR_RETRY, "a month left analytics_events each time that it was looked at, %d times: run it again", ATTEMPTS);
    return NULL;
}

void snapshot_close(struct snapshot *snapshot)
{
    if (snapshot) {
        PQfinish(snapshot->conn); /* a read-only transaction has nothing to commit */
        free(snapshot);
    }
}

PGconn *snapshot_conn(struct snapshot *snapshot)
{
    return snapshot->conn;
}

PGresult *snapshot_ask(struct snapshot *snapshot, const char *sql, struct error *err)
{
    return postgres_query(snapshot->conn, sql, QUERY_US, err);
}

bool snapshot_mark(struct snapshot *snapshot, struct error *err)
{
    return postgres_exec(snapshot->conn, "SAVEPOINT tallymill", SHORT_US, err);
}

bool snapshot_back(struct snapshot *snapshot)
{
    struct error err = {0};
    return PQstatus(snapshot->conn) == CONNECTION_OK &&
           postgres_exec(snapshot->conn, "ROLLBACK TO SAVEPOINT tallymill", SHORT_US, &err);
}

bool snapshot_set(struct snapshot *snapshot, const char *name, const char *value, struct error *err)
{
    const char *const values[] = {name, value};
    PGresult *result =
        postgres_query_params(snapshot->conn, "SELECT set_config('tallymill.' || $1, $2, true)", 2, values, SHORT_US, err);
    PQclear(result);
    return result != NULL;
}

bool snapshot_copy(struct snapshot *snapshot, const char *sql, copy_out_take *take, void *context, struct error *err)
{
    struct lock_watch watch;
    struct statement_wait wait = statement_wait_for(QUERY_US);
    wait.watch = &lock_watch_statements;
    wait.context = &watch;
    return copy_out(snapshot->conn, sql, &wait, take, context, err);
}

static char *quoted(char *text, const char *given, struct error *err)
{
    if (!text) {
        error_set(err, ERROR_USAGE, "%.100s: Postgres cannot take this text, it is no UTF-8", given);
    }
    return text;
}

char *snapshot_quote_text(struct snapshot *snapshot, const char *text, struct error *err)
{
    return quoted(PQescapeLiteral(snapshot->conn, text, strlen(text)), text, err);
}

char *snapshot_quote_name(struct snapshot *snapshot, const char *name, struct error *err)
{
    return quoted(PQescapeIdentifier(snapshot->conn, name, strlen(name)), name, err);
}
