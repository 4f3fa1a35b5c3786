/* conflict.h - a batch as parameters of INSERT ... SELECT FROM unnest(...) ON CONFLICT DO NOTHING: the way for events that may be
 * stored already.
 *
 * COPY has no ON CONFLICT. A temporary table would: it costs catalogue writes a batch and does not survive a pooler. Arrays need
 * neither, and the elements of a binary array are the very bytes of a COPY column.
 */
#ifndef TALLYMILL_CONFLICT_H
#define TALLYMILL_CONFLICT_H

#include <stdbool.h>

#include <libpq-fe.h>

struct batch;

/* Sends the statement for rows [first, end); false when libpq cannot (PQerrorMessage says why) or without memory. The batch id must
 * be in the tuples. */
bool conflict_send_insert(PGconn *conn, const struct batch *batch, int first, int end);

/* Takes the statement's result (binary id and created_at of the rows it inserted) and sets conflicts of every range. False when it
 * names a row that the batch does not have, or has too many. */
bool conflict_take_result(struct batch *batch, const PGresult *result);

#endif
