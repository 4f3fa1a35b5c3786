/* check_postgres.c - see check_postgres.h.
 *
 * The rights themselves are asked for, not the membership: a role that lost one is found too, and a login that was given each by
 * name (or owns everything) is as good. What belongs to tallymill_admin is its objects' owner's, which is asked for as such.
 * Functions and tables are looked up only where the schema may be used: Postgres refuses to look before.
 */
#include "common/check_postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/postgres.h"

enum { LIST_BYTES = 280 };
#define ASK_US (10 * CLOCK_SECOND_US)

extern const char rights_tsv[], missing_rights_sql[];

/* "INSERT on table public.analytics_events, ... and 3 more" */
static void list(const PGresult *missing, char text[LIST_BYTES])
{
    size_t used = 0;
    const int rows = PQntuples(missing);
    for (int row = 0; row < rows; row++) {
        const char *one = PQgetvalue(missing, row, 0);
        if (used + strlen(one) + sizeof ", ... and 1000 more" > LIST_BYTES) {
            snprintf(text + used, LIST_BYTES - used, " and %d more", rows - row);
            return;
        }
        used += (size_t)snprintf(text + used, LIST_BYTES - used, "%s%s", row > 0 ? ", " : "", one);
    }
}

static bool may(struct check *check, PGconn *conn, const char *role)
{
    struct error err = {0};
    char text[LIST_BYTES] = "";
    const char *values[] = {role, rights_tsv};
    PGresult *missing = postgres_query_params(conn, missing_rights_sql, 2, values, ASK_US, &err);
    const bool is_good = missing != NULL && PQntuples(missing) == 0;
    if (missing == NULL) {
        error_wrap(&err, "asking Postgres for our rights");
        return check_found(check, &err);
    }
    if (!is_good && PQgetvalue(missing, 0, 1)[0] == 't') { /* it has the role: that one has lost them */
        list(missing, text);
        error_set(&err, ERROR_USAGE, "postgres.dsn: the login %.63s has the role %s, which has lost: %s; GRANT them to %s again",
                  PQuser(conn), role, text, role);
    } else if (!is_good) {
        char login[POSTGRES_IDENTIFIER_BYTES];
        list(missing, text);
        error_set(&err, ERROR_USAGE, "postgres.dsn: the login %.63s may not: %s; GRANT %s TO %s", PQuser(conn), text, role,
                  postgres_identifier(login, PQuser(conn)));
    }
    PQclear(missing);
    return is_good || check_found(check, &err);
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
