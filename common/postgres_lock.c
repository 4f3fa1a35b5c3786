/* postgres_lock.c - who holds the lock that was waited for in vain. See postgres.h.
 *
 * Asked after the failed transaction was rolled back: whoever held a lock for all of our time-out mostly holds it still. Asked by
 * tallymill.lock_holders(), or, where the schema is not that far yet, not at all.
 */
#include "postgres.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"

bool postgres_is_lock_timeout(const struct error *err)
{
    return strcmp(err->sqlstate, "55P03") == 0;
}

bool postgres_explain_lock(PGconn *conn, struct error *err)
{
    if (!postgres_is_lock_timeout(err) || PQstatus(conn) != CONNECTION_OK || PQtransactionStatus(conn) != PQTRANS_IDLE)
        return false;
    struct error ignored = {0};
    char said[ERROR_TEXT_BYTES], sqlstate[6];
    snprintf(said, sizeof said, "%s", err->text);
    memcpy(sqlstate, err->sqlstate, sizeof sqlstate);
    PGresult *holders = postgres_query(conn, "SELECT string_agg(h, '; ') FROM tallymill.lock_holders() AS h", 10 * CLOCK_SECOND_US, &ignored);
    if (holders && !PQgetisnull(holders, 0, 0)) {
        error_set(err, err->kind, "%.120s: %s", said, PQgetvalue(holders, 0, 0));
        memcpy(err->sqlstate, sqlstate, sizeof sqlstate);
    }
    PQclear(holders);
    return false;
}
