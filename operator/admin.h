/* admin.h - statements that a command runs as tallymill_admin, whatever the login is called. One thread. */
#ifndef TALLYMILL_OPERATOR_ADMIN_H
#define TALLYMILL_OPERATOR_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"

/* One statement in a transaction of its own, tried again where what failed may pass (a lock, a deadlock); text parameters. The
 * caller frees the result (PQclear). */
PGresult *admin_ask(PGconn *conn, const char *sql, int count, const char *const *values, int64_t timeout_us, struct error *err);
MUST_CHECK bool admin_do(PGconn *conn, const char *sql, int count, const char *const *values, int64_t timeout_us,
                         struct error *err); /* result not wanted */

#endif
