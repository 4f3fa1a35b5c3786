/* check_postgres.h - what --check asks Postgres, in every program that uses it: login, schema, and the rights of the role that the
 * program runs with. Nothing is changed. Main thread. */
#ifndef TALLYMILL_COMMON_CHECK_POSTGRES_H
#define TALLYMILL_COMMON_CHECK_POSTGRES_H

#include <stdbool.h>

#include <libpq-fe.h>

struct check;

/* Tells all that is wrong. True: nothing is. role: "tallymill_ingest", "tallymill_aggregate" (which has the rights of
 * tallymill_read too), "tallymill_read", "tallymill_admin"; schemas/rights.tsv lists what each may do. *conn, where one is wanted,
 * gets the connection when the schema can be read, whatever rights are missing (PQfinish), else NULL. */
bool check_postgres(struct check *check, const char *dsn, const char *role, PGconn **conn);

#endif
