/* postgres.c - see postgres.h. */
#include "common/postgres.h"

#include "common/lock_watch.h"
#include "common/statement.h"

bool postgres_exec_alone(PGconn *conn, const char *sql, int64_t timeout_us, struct error *err)
{
    assert(PQtransactionStatus(conn) == PQTRANS_IDLE);
    return order(conn, sql, timeout_us, clock_now_us() + timeout_us, err);
}

/* As it is inside a transaction, or when it begins one; else in a transaction of its own, with the settings that all have. */
static PGresult *run(PGconn *conn, const char *sql, int count, const char *const *values, int64_t timeout_us, struct error *err)
{
    struct lock_watch watch;
    struct statement_wait wait = statement_wait_for(timeout_us);
    wait.watch = &lock_watch_statements;
    wait.context = &watch;
    wait.is_cancelled_late = true;
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
