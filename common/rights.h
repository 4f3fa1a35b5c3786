/* rights.h - which right is missing where Postgres refuses, and the statement that grants it.
 *
 * What a role may do stands in schemas/rights.tsv. A login lacks a right because it has not been given the role, or because the
 * role has lost it: two statements, of which the wrong one changes nothing. So the server is asked, by --check, by doctor, and by
 * whoever is refused (42501). One thread each.
 */
#ifndef TALLYMILL_COMMON_RIGHTS_H
#define TALLYMILL_COMMON_RIGHTS_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "common/error.h"

enum { RIGHTS_TEXT_BYTES = 280 };

/* What a login lacks of a role's rights. */
struct rights {
    int missing;                    /* rights, each object once; 0: it has them all */
    bool is_of_login;               /* it has not been given the role; else the role has lost them */
    char what[RIGHTS_TEXT_BYTES];   /* "INSERT, UPDATE on table public.analytics_daily_stats, ... and 3 more" */
    char grants[RIGHTS_TEXT_BYTES]; /* statements, parted by "; ": run in this order they give what is missing */
};

/* Asks, over a connection that works, what its login lacks of a role's rights; roles as check_postgres.h has them. */
MUST_CHECK bool rights_ask(PGconn *conn, const char *role, struct rights *rights, struct error *err);

/* The role that a program runs with, by the name that it gives its connections; NULL: it depends on what it is asked to do. */
const char *rights_role(const char *program);

/* Puts what is missing and the statement behind an error for want of a right (42501; any other stays as it is). It is asked for
 * over a connection of its own, made as `conn` was, whose transaction has failed: some milliseconds, 4 s at most. */
void rights_explain(PGconn *conn, struct error *err);

#endif
