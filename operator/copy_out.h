/* copy_out.h - COPY ... TO STDOUT, row by row as it comes: whatever the size of the answer, a row is held at a time. One thread. */
#ifndef TALLYMILL_OPERATOR_COPY_OUT_H
#define TALLYMILL_OPERATOR_COPY_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"

/* Gets one message of COPY, which is one row whatever bytes it holds; the row may be changed in place, and is gone after the call.
 * False with err set: stop. */
typedef bool copy_out_take(void *context, char *row, size_t length, struct error *err);

/* Runs one COPY inside the transaction that is open, and hands over row by row. timeout_us bounds the wait for each next row. Returns false on any failure, where
 * `take` refused or time ran out too: then the connection is in the middle of COPY and must be closed. */
MUST_CHECK bool copy_out(PGconn *conn, const char *sql, int64_t timeout_us, copy_out_take *take, void *context, struct error *err);

#endif
