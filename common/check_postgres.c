/* check_postgres.c - see check_postgres.h.
 *
 * The rights themselves are asked for, not the membership: a role that lost one is found too, and a login that was given each by
 * name (or owns everything) is as good. What belongs to tallymill_admin is its objects' owner's, which is asked for as such.
 */
#include "common/check_postgres.h"

#include "common/check.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/postgres.h"
#include "common/rights.h"

#define ASK_US (10 * CLOCK_SECOND_US)

static bool may(struct check *check, PGconn *conn, const char *role)
{
    struct error err = {0};
    struct rights rights;
    if (!rights_ask(conn, role, &rights, &err)) {
        error_wrap(&err, "asking Postgres for our rights");
        return check_found(check, &err);
    }
    if (rights.missing == 0)
        return true;
    if (rights.is_of_login)
        error_set(&err, ERROR_USAGE, "postgres.dsn: the login %.63s may not: %.150s; %s", PQuser(conn), rights.what, rights.grants);
    else
        error_set(&err, ERROR_USAGE, "postgres.dsn: the login %.63s has the role %s, which has lost: %.150s; %s", PQuser(conn),
                  role, rights.what, rights.grants);
    return check_found(check, &err);
}

bool check_postgres(struct check *check, const char *dsn, const char *role, PGconn **conn)
{
    struct error err = {0};
    PGconn *opened = postgres_open(dsn, check->program, ASK_US, &err);
    const bool is_ours = opened != NULL && postgres_check_schema(opened, &err);
    bool is_good = is_ours;
    if (!is_ours &&
        !postgres_is(&err, POSTGRES_NO_RIGHT)) /* a right that is missing for the look itself is reported with the others */
        check_found(check, &err);
    else
        is_good = may(check, opened, role) && is_good;
    if (conn != NULL)
        *conn = is_ours ? opened : NULL;
    if (conn == NULL || !is_ours)
        PQfinish(opened);
    return is_good;
}
