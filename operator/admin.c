/* admin.c - see admin.h. */
#include "operator/admin.h"

#include <poll.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/postgres_error.h"

enum { ATTEMPTS = 5, PAUSE_MS = 300 };

#define SHORT_US (30 * CLOCK_SECOND_US)

static bool may_pass(const PGconn *conn, const struct error *err)
{
    return PQstatus(conn) == CONNECTION_OK && err->kind == ERROR_RETRY && !postgres_is(err, POSTGRES_MONTH_DETACHED);
}

PGresult *admin_ask(PGconn *conn, const char *sql, int count, const char *const *values, int64_t timeout_us, struct error *err)
{
    for (int failures = 0;; failures++) {
        error_clear(err);
        PGresult *result = NULL;
        if (postgres_exec(conn, POSTGRES_BEGIN("READ COMMITTED") "; SET LOCAL ROLE tallymill_admin", SHORT_US, err))
            result = count > 0 ? postgres_query_params(conn, sql, count, values, timeout_us, err)
                               : postgres_query(conn, sql, timeout_us, err);
        if (result && postgres_exec(conn, "COMMIT", SHORT_US, err))
            return result;
        PQclear(result);
        struct error ignored = {0};
        error_ignore(postgres_exec(conn, "ROLLBACK", SHORT_US, &ignored));
        if (failures + 1 == ATTEMPTS || !may_pass(conn, err))
            return NULL;
        poll(NULL, 0, PAUSE_MS * (failures + 1));
    }
}

bool admin_do(PGconn *conn, const char *sql, int count, const char *const *values, int64_t timeout_us, struct error *err)
{
    PGresult *result = admin_ask(conn, sql, count, values, timeout_us, err);
    PQclear(result);
    return result != NULL;
}
