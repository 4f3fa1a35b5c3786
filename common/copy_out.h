/* copy_out.h - COPY ... TO STDOUT, row by row as it comes: whatever the size of the answer, a row is held at a time. One thread. */
#ifndef TALLYMILL_COMMON_COPY_OUT_H
#define TALLYMILL_COMMON_COPY_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include <libpq-fe.h>

#include "common/error.h"

struct statement_wait;

/* Gets one message of COPY: in text and csv a row, whatever bytes it holds. The row may be changed in place, and is gone after the
 * call. False with err set: stop. */
typedef bool copy_out_take(void *context, char *row, size_t length, struct error *err);

/* Runs COPY in any format, perhaps behind statements whose rows are not wanted ("BEGIN; SELECT ...; COPY ..."), and hands over row
 * by row. wait->timeout_us bounds the wait for each next row. False on any failure, where `take` refused or time ran out too: then
 * the connection is in the middle of COPY and must be closed. */
MUST_CHECK bool copy_out(PGconn *conn, const char *sql, struct statement_wait *wait, copy_out_take *take, void *context,
                         struct error *err);

#endif
