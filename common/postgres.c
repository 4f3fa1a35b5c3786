/* postgres.c - see postgres.h. */
#include "common/postgres.h"

#include <assert.h>

#include "common/lock_watch.h"
#include "common/statement.h"

static struct statement_wait wait_for(int64_t timeout_us, struct lock_watch *watch)
{
    struct statement_wait wait = statement_wait_for(timeout_us);
    wait.watch = &lock_watch_statements;
    wait.context = watch;
    wait.is_cancelled_late = true;
    return wait;
}

bool postgres_exec_alone(PGconn *conn, const char *sql, int64_t timeout_us, struct error *err)
{
    struct lock_watch watch;
    struct statement_wait wait = wait_for(timeout_us, &watch);
    assert(PQtransactionStatus(conn) == PQTRANS_IDLE);
    PGresult *result = statement_ask(conn, sql, 0, NULL, &wait, err);
    PQclear(result);
    return result != NULL;
}

/* As it is inside a transaction, or when it begins one; else in a transaction of its own, with the settings that all have. */
static PGresult *run(PGconn *conn, const char *sql, int count, const char *const *values, int64_t timeout_us, struct error *err)
{
    struct lock_watch watch;
    struct statement_wait wait = wait_for(timeout_us, &watch);
    return statement_run(conn, sql, count, values, &wait, err);
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
