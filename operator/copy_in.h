/* copy_in.h - COPY ... FROM STDIN, in pieces: a row at a time, or any part of the stream. Every wait has a deadline. One thread.
 *
 * After a failure the connection may stand in the middle of the COPY: close it.
 */
#ifndef TALLYMILL_OPERATOR_COPY_IN_H
#define TALLYMILL_OPERATOR_COPY_IN_H

#include <stdbool.h>
#include <stddef.h>

#include <libpq-fe.h>

#include "common/error.h"

/* Begins one inside the transaction that is open. */
MUST_CHECK bool copy_in_begin(PGconn *conn, const char *sql, struct error *err);
MUST_CHECK bool copy_in_put(PGconn *conn, const char *bytes, size_t length, struct error *err);

/* The end answers for what Postgres says of all rows. */
MUST_CHECK bool copy_in_end(PGconn *conn, struct error *err);

#endif
