/* transaction.h - the transaction of one batch, as a state machine over a non-blocking connection.
 *
 *   BEGIN; nextval; COPY analytics_events (or INSERT ... ON CONFLICT; or SELECT, and COPY of what is not stored)
 *   [; SELECT add_delta(...)] [; COPY dead_letters] ; SELECT commit_batch(...); COMMIT
 *
 * Never waits: transaction_pump() does what can be done now, and the caller polls the socket between calls. Rules it keeps: the
 * fence comes last; the rows that COPY reports must be as many as the batch has, and what an INSERT does not take must be there;
 * any answer to the last message but COMMIT or an error report, and a connection lost after it was sent, is UNKNOWN: the ledger
 * decides. One thread.
 */
#ifndef TALLYMILL_CONSUMER_TRANSACTION_H
#define TALLYMILL_CONSUMER_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "consumer/transaction_way.h"

struct batch;
struct failure;

enum transaction_outcome {
    TRANSACTION_BUSY,
    TRANSACTION_COMMITTED,
    TRANSACTION_FAILED,  /* rolled back; the connection is idle again; transaction_failure() says why */
    TRANSACTION_UNKNOWN, /* the connection is lost or out of step: close it, claim again, read the ledger */
};

struct transaction;

/* For the worker's life: each transaction_begin() names the connection. topic is borrowed. NULL and ERROR_RETRY without memory. */
MUST_CHECK struct transaction *transaction_new(const char *topic, struct error *err);
void transaction_free(struct transaction *transaction);

/* Starts, on a connection that is idle. The batch's ranges carry their epochs and are sorted. The caller must not touch it until
 * the outcome, for it is written to: rows get the batch's id, clamped events that are stored already leave it. BY_INSERT counts
 * rows stored before in the ranges' conflicts; BY_LOOK_UP takes them out of the batch, as duplicates. */
void transaction_begin(struct transaction *transaction, PGconn *conn, struct batch *batch, enum transaction_way way,
                       int64_t now_us);

/* To be called behind transaction_begin(): before its last message the transaction waits for transaction_release(), or for
 * transaction_give_up(), which rolls it back for the reason that is given. */
void transaction_hold(struct transaction *transaction);
bool transaction_is_held(const struct transaction *transaction); /* all else is done, and it waits */
void transaction_release(struct transaction *transaction);
void transaction_give_up(struct transaction *transaction, const struct error *why);

/* Goes on as far as the socket allows. */
enum transaction_outcome transaction_pump(struct transaction *transaction, int64_t now_us);

/* Whether the socket must also be polled for writing. */
bool transaction_wants_write(const struct transaction *transaction);

/* Since when nothing has moved (for lock waits), and the server process that works for us (0: not known yet). */
int64_t transaction_stalled_since_us(const struct transaction *transaction);
int transaction_backend_pid(const struct transaction *transaction);

/* Which way its rows went. */
enum transaction_way transaction_way(const struct transaction *transaction);

/* After FAILED or UNKNOWN: why. Valid until the next begins. */
const struct failure *transaction_failure(const struct transaction *transaction);

#endif
