/* insert.h - a batch as parameters of INSERT ... SELECT FROM unnest(...) ON CONFLICT DO NOTHING: the way for events that may be
 * stored already.
 *
 * COPY has no ON CONFLICT. A temporary table would: it costs catalogue writes a batch and does not survive a pooler. Arrays need
 * neither, and the elements of a binary array are the very bytes of a COPY column.
 */
#ifndef TALLYMILL_CONSUMER_INSERT_H
#define TALLYMILL_CONSUMER_INSERT_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "common/error.h"

struct batch;

/* Sends the statement for rows [first, end). False: libpq cannot send it, or there is no memory (ERROR_RETRY). The batch id must be
 * in the tuples. */
MUST_CHECK bool insert_send(PGconn *conn, const struct batch *batch, int first, int end, struct error *err);

/* From that statement's result (binary id and created_at of the rows it inserted): the rows of [first, end) that it did not insert,
 * into missing, in order, which has room for all of them. How many; -1: ERROR_FATAL, it names a row that was not sent, or
 * ERROR_RETRY, there is no memory. has_trigger: such a row is one that somebody's trigger made of ours, which is missing then. */
MUST_CHECK int insert_missing(const struct batch *batch, int first, int end, const PGresult *result, bool has_trigger, int *missing,
                              struct error *err);

/* The others of [first, end), into `taken`, in order; how many. */
int insert_taken(int first, int end, const int *missing, int missing_count, int *taken);

/* Asks which of these rows are in the table; false as above. */
MUST_CHECK bool insert_send_look_up(PGconn *conn, const struct batch *batch, const int *rows, int count, struct error *err);

/* From that answer about all rows of the batch (rows: their numbers): those that are stored leave the batch, as duplicates. They
 * were committed before, and so are it however often the batch goes. */
void insert_take_stored(struct batch *batch, const PGresult *result, int *rows);

/* Asks which of these rows stand in the table as they were sent: with their id, created_at and batch id (which must be in the
 * tuples). */
MUST_CHECK bool insert_send_compare(PGconn *conn, const struct batch *batch, const int *rows, int count, struct error *err);

/* Takes the rows that this answer names (its only column, binary: places in `rows`, from 1) out of `rows`; how many are left. */
int insert_take_look_up(const PGresult *result, int *rows, int count);

#endif
