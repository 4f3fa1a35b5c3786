/* transaction_steps.h - the steps of a batch's transaction: which of them a batch needs, what each sends, and what the server's
 * answer to it says.
 *
 * A step is one message. None waits: when one is sent, when its answers are read, and what becomes of the connection is
 * transaction.c's. One thread.
 */
#ifndef TALLYMILL_CONSUMER_TRANSACTION_STEPS_H
#define TALLYMILL_CONSUMER_TRANSACTION_STEPS_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "consumer/failure.h"
#include "consumer/transaction_way.h"

struct batch;

/* In order: a batch passes through them downwards, and leaves out what it does not need. */
enum transaction_step {
    STEP_BEGIN,   /* and the COPY of the rows in the same message, where nothing comes before it */
    STEP_CLAMPED, /* which of the clamped events are stored */
    STEP_STORED,  /* which of the rows are */
    STEP_COPY,
    STEP_INSERT,
    STEP_LOOK_UP, /* which of the rows that the INSERT did not take are there */
    STEP_AT_ONCE, /* what is deferred to COMMIT is done, for it may change rows too */
    STEP_COMPARE, /* whether the rows stand as they were sent, where a trigger may have changed them */
    STEP_DELTA,
    STEP_DEAD_LETTERS,
    STEP_COMMIT, /* the fence, the ledger's rows and COMMIT */
};

/* What the steps of one transaction share. All zero but for `topic` before the first. */
struct transaction_steps {
    const char *topic; /* borrowed, and so are the next two from begin to begin */
    PGconn *conn;
    struct batch *batch;
    enum transaction_way way;
    int64_t batch_id; /* these three are known once STEP_BEGIN is answered */
    int backend_pid;
    bool has_trigger;  /* somebody's, where events are inserted */
    bool is_committed; /* COMMIT was answered with COMMIT */
    int *missing;      /* numbers of the rows that the INSERT did not take; kept from batch to batch */
    int missing_count, compared_count;
    int without_delta;      /* counted down at each begin; none is written while it is above 0, because one could not be */
    struct failure failure; /* the first one: ERROR_NONE while all is well */
};

/* Begins anew with another batch, whose rows and ranges are written to. */
void transaction_steps_begin(struct transaction_steps *steps, PGconn *conn, struct batch *batch, enum transaction_way way);
void transaction_steps_reset(struct transaction_steps *steps); /* frees what it holds */

bool transaction_steps_have_failed(const struct transaction_steps *steps);

/* The first one behind `step` that the batch needs, as far as the answers say by now. */
enum transaction_step transaction_steps_next(const struct transaction_steps *steps, enum transaction_step step);

/* False: libpq cannot send it, or there is no memory: the failure says so, else PQerrorMessage does. */
bool transaction_steps_send(struct transaction_steps *steps, enum transaction_step step);

/* One result of a step: what it answered, or the error that it ended with. */
void transaction_steps_take(struct transaction_steps *steps, enum transaction_step step, const PGresult *result);
void transaction_steps_fail(struct transaction_steps *steps, enum transaction_step step, const PGresult *result);

#endif
