/* transaction.c - see transaction.h.
 *
 *   IDLE -> ASKED <-> COPYING; ASKED -> HELD -> ASKED -> IDLE (committed); ASKED, HELD -> ROLLING_BACK -> IDLE (failed)
 *
 * A step (transaction_steps.h) is one message to the server and its answers. Every message of ours ends in a NULL result; only then
 * does the next go out. A failed step sends ROLLBACK and reports FAILED once the connection is idle again, so that the caller may
 * begin anew on it at once.
 *
 * libpq's pipeline mode would save the wait after COPY, but knows no COPY. Sending "COPY ...; SELECT commit_batch" in one message
 * would have the fence run before the row count was compared.
 */
#include "consumer/transaction.h"

#include <stdlib.h>

#include "common/failpoint.h"
#include "consumer/copy_stream.h"
#include "consumer/transaction_steps.h"

enum { TURNS = 8 /* of one call: rows, their end and what follows are several */ };
/* The ledger merges batches of a quarter of an hour ago, and relies on no batch living longer. */
#define DEADLINE_US (INT64_C(600) * 1000000)

enum state {
    IDLE,
    ASKED,   /* the step is sent, and not all of its answers are in */
    COPYING, /* its COPY is open, and takes data */
    HELD,    /* all is in but the fence */
    ROLLING_BACK
};

struct transaction {
    enum state state;
    enum transaction_step step;
    struct transaction_steps steps;
    struct copy_stream stream;
    bool must_hold; /* before the fence, until it is released */
    bool wants_write;
    bool broken; /* the connection is lost or out of step */
    int64_t begun_us, moved_us;
};

struct transaction *transaction_new(const char *topic, struct error *err)
{
    struct transaction *transaction = calloc(1, sizeof *transaction);
    if (transaction)
        transaction->steps.topic = transaction->stream.topic = topic;
    else
        error_set(err, ERROR_RETRY, "no memory for a transaction");
    return transaction;
}

void transaction_free(struct transaction *transaction)
{
    if (!transaction)
        return;
    copy_stream_reset(&transaction->stream);
    transaction_steps_reset(&transaction->steps);
    free(transaction);
}

bool transaction_wants_write(const struct transaction *transaction)
{
    return transaction->wants_write;
}

int64_t transaction_stalled_since_us(const struct transaction *transaction)
{
    return transaction->moved_us;
}

enum transaction_way transaction_way(const struct transaction *transaction)
{
    return transaction->steps.way;
}

int transaction_backend_pid(const struct transaction *transaction)
{
    return transaction->steps.backend_pid;
}

const struct failure *transaction_failure(const struct transaction *transaction)
{
    return &transaction->steps.failure;
}

static void break_off(struct transaction *transaction, const char *doing)
{
    transaction->broken = true;
    if (!transaction_steps_have_failed(&transaction->steps))
        error_set(&transaction->steps.failure.error, ERROR_RETRY, "%s: %s", doing, PQerrorMessage(transaction->steps.conn));
}

static void send_step(struct transaction *transaction, enum transaction_step step)
{
    transaction->state = ASKED;
    transaction->step = step;
    if (!transaction_steps_send(&transaction->steps, step))
        break_off(transaction, "cannot send to Postgres");
}

static void roll_back(struct transaction *transaction)
{
    transaction->state = ROLLING_BACK;
    if (PQsendQuery(transaction->steps.conn, "ROLLBACK") != 1)
        break_off(transaction, "cannot send to Postgres");
}

static void go_on(struct transaction *transaction)
{
    const enum transaction_step next = transaction_steps_next(&transaction->steps, transaction->step);
    if (transaction->step < STEP_DELTA && next >= STEP_DELTA)
        FAILPOINT("copy_done");
    if (next == STEP_COMMIT && transaction->must_hold)
        transaction->state = HELD;
    else
        send_step(transaction, next);
}

/* True: a COPY has opened and wants data. */
static bool take_result(struct transaction *transaction, const PGresult *result)
{
    if (transaction->state == ROLLING_BACK) /* not the step's any more */
        return false;
    switch (PQresultStatus(result)) {
    case PGRES_COPY_IN:
        if (transaction->step != STEP_DEAD_LETTERS) /* it may have been opened by what began */
            transaction->step = STEP_COPY;
        transaction->state = COPYING;
        return true;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK: transaction_steps_take(&transaction->steps, transaction->step, result); break;
    default: transaction_steps_fail(&transaction->steps, transaction->step, result);
    }
    return false;
}

/* A step's answers are all in: what comes next? */
static enum transaction_outcome end_step(struct transaction *transaction)
{
    if (transaction->state == ROLLING_BACK) {
        transaction->state = IDLE;
        return TRANSACTION_FAILED;
    }
    if (transaction->steps.is_committed) {
        FAILPOINT("commit_replied");
        transaction->state = IDLE;
        return TRANSACTION_COMMITTED;
    }
    if (transaction_steps_have_failed(&transaction->steps))
        roll_back(transaction);
    else if (transaction->state == ASKED && transaction->step != STEP_COMMIT)
        go_on(transaction);
    else
        break_off(transaction, "Postgres ended the transaction without COMMIT"); /* a ROLLBACK tag, say */
    return TRANSACTION_BUSY;
}

static enum transaction_outcome take_answers(struct transaction *transaction, int64_t now_us)
{
    PGconn *conn = transaction->steps.conn;
    if (!PQconsumeInput(conn)) {
        break_off(transaction, "the connection to Postgres is lost");
        return TRANSACTION_UNKNOWN;
    }
    while (!PQisBusy(conn)) { /* ends: a message has as many results as statements */
        PGresult *result = PQgetResult(conn);
        transaction->moved_us = now_us;
        if (!result)
            return end_step(transaction);
        const bool opened = take_result(transaction, result);
        PQclear(result);
        if (PQstatus(conn) == CONNECTION_BAD) {
            break_off(transaction, "the connection to Postgres is lost");
            return TRANSACTION_UNKNOWN;
        }
        if (opened)
            break;
    }
    return TRANSACTION_BUSY;
}

/* Hands over what the socket takes. */
static void stream(struct transaction *transaction, int64_t now_us)
{
    bool has_moved = false;
    transaction->stream.batch_id = transaction->steps.batch_id;
    const enum copy_stream_state state = transaction->step == STEP_COPY
                                             ? copy_stream_rows(&transaction->stream, &has_moved)
                                             : copy_stream_dead_letters(&transaction->stream, &has_moved);
    if (has_moved)
        transaction->moved_us = now_us;
    transaction->wants_write = state == COPY_STREAM_FULL;
    if (state == COPY_STREAM_BROKEN)
        break_off(transaction, transaction->stream.trouble);
    else if (state == COPY_STREAM_ENDED)
        transaction->state = ASKED;
}

void transaction_begin(struct transaction *transaction, PGconn *conn, struct batch *batch, enum transaction_way way, int64_t now_us)
{
    transaction->must_hold = transaction->wants_write = transaction->broken = false;
    transaction->begun_us = transaction->moved_us = now_us;
    transaction_steps_begin(&transaction->steps, conn, batch, way);
    copy_stream_begin(&transaction->stream, conn, batch);
    send_step(transaction, STEP_BEGIN);
}

void transaction_hold(struct transaction *transaction)
{
    transaction->must_hold = true;
}

bool transaction_is_held(const struct transaction *transaction)
{
    return transaction->state == HELD;
}

void transaction_release(struct transaction *transaction)
{
    transaction->must_hold = false;
    if (transaction->state == HELD)
        send_step(transaction, STEP_COMMIT);
}

void transaction_give_up(struct transaction *transaction, const struct error *why)
{
    transaction->steps.failure.error = *why;
    roll_back(transaction);
}

/* What can be done now about the state that it is in. */
static enum transaction_outcome turn_once(struct transaction *transaction, int64_t now_us)
{
    if (transaction->state == HELD)
        transaction->moved_us = now_us; /* it waits for us, not for a lock */
    else if (transaction->state == COPYING)
        stream(transaction, now_us);
    else
        return take_answers(transaction, now_us);
    return TRANSACTION_BUSY;
}

enum transaction_outcome transaction_pump(struct transaction *transaction, int64_t now_us)
{
    enum transaction_outcome outcome = TRANSACTION_BUSY;
    for (int turn = 0; turn < TURNS && outcome == TRANSACTION_BUSY && !transaction->broken; turn++) {
        const int flushed = PQflush(transaction->steps.conn);
        if (flushed < 0)
            break_off(transaction, "the connection to Postgres is lost");
        transaction->wants_write = flushed == 1;
        const enum state state = transaction->state;
        const enum transaction_step step = transaction->step;
        if (transaction->broken || (transaction->wants_write && state == COPYING))
            break;
        outcome = turn_once(transaction, now_us);
        if (transaction->state == state && transaction->step == step)
            break; /* nothing more to do now */
    }
    if (outcome == TRANSACTION_BUSY && !transaction->broken && now_us - transaction->begun_us > DEADLINE_US)
        break_off(transaction, "a batch took longer than its deadline of 10 minutes");
    return transaction->broken ? TRANSACTION_UNKNOWN : outcome;
}
