/* postgres.h - questions to Postgres with deadlines; with it come opening a connection, and what an error asks for.
 *
 * Plain libpq underneath: callers use PGconn and PGresult. Every wait has a deadline, because a server that vanished without a FIN
 * would otherwise hold us for two hours. What the server says beside its answers goes to the log, at level debug. A connection
 * belongs to one thread.
 */
#ifndef TALLYMILL_COMMON_POSTGRES_H
#define TALLYMILL_COMMON_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "common/postgres_error.h"
#include "common/postgres_open.h"

/* Runs one command (several, separated by ';', without parameters: the last result comes back) and waits up to timeout_us; past it
 * the query is cancelled and the connection must be closed (ERROR_RETRY). Outside of a transaction it gets one of its own, begun as
 * postgres_begin.h says; a text that begins one itself uses POSTGRES_BEGIN(). Text results. NULL on any failure, with kind and
 * sqlstate set; where a lock was waited for, it names who holds it (lock_watch.h). The caller frees the result with PQclear. */
MUST_CHECK PGresult *postgres_query(PGconn *conn, const char *sql, int64_t timeout_us, struct error *err);
MUST_CHECK PGresult *postgres_query_params(PGconn *conn, const char *sql, int count, const char *const *values, int64_t timeout_us,
                                           struct error *err);
MUST_CHECK bool postgres_exec(PGconn *conn, const char *sql, int64_t timeout_us, struct error *err); /* result not wanted */

/* One statement that Postgres takes outside of a transaction only (CREATE INDEX CONCURRENTLY): no transaction may be open. It runs
 * with the settings of the login, so it names every schema, and holds nothing that a setting could make another thing. */
MUST_CHECK bool postgres_exec_alone(PGconn *conn, const char *sql, int64_t timeout_us, struct error *err);

/* Compares the database's tables, functions and views with those that this program carries (migrations.h). ERROR_USAGE and what to
 * run when the schema is missing or older, was made before 0.1.0, or asks for a newer program. */
MUST_CHECK bool postgres_check_schema(PGconn *conn, struct error *err);

#endif
