/* transaction.c - see transaction.h.
 *
 * One step is one message to the server and its answers. Every message of ours ends in a NULL result; only then does the next go
 * out. A failed step sends ROLLBACK and reports FAILED once the connection is idle again, so that the caller may begin anew on it
 * at once.
 *
 * libpq's pipeline mode would save the wait after COPY, but knows no COPY. Sending "COPY ...; SELECT commit_batch" in one message
 * would have the fence run before the row count was compared.
 */
#include "consumer/transaction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/postgres_begin.h"
#include "common/tuple.h"
#include "consumer/batch.h"
#include "consumer/clamped.h"
#include "consumer/insert.h"
#include "consumer/copy_stream.h"
#include "consumer/dead_letter.h"
#include "consumer/failure.h"
#include "consumer/ledger.h"

/* The pinned lock_timeout is the backstop behind the reaper. Deadline: the ledger merges batches of a quarter of an hour ago and
 * relies on no batch living longer. */
static const char begin_sql[] =
    POSTGRES_BEGIN_BATCH("READ COMMITTED") "; SELECT pg_catalog.nextval('tallymill.batch_ids'::pg_catalog.regclass), "
                                           "pg_catalog.pg_backend_pid(), tallymill.has_insert_trigger()";
static const char copy_sql[] = "; COPY public.analytics_events (" TUPLE_COLUMN_NAMES ") FROM STDIN (FORMAT binary)";
static const char dead_sql[] = "COPY tallymill.dead_letters (" DEAD_LETTER_COLUMNS ") FROM STDIN (FORMAT binary)";

enum { BATCHES_WITHOUT_DELTA = 100, TURNS = 8 /* of one call: rows, their end and what follows are several */ };
#define DEADLINE_US (INT64_C(600) * 1000000)

/* In order: a batch passes through them downwards, and leaves out what it does not need. */
enum step {
    STEP_IDLE,
    STEP_BEGIN,
    STEP_CLAMPED, /* which of the clamped events are stored */
    STEP_STORED,  /* which of the rows are */
    STEP_COPY_BEGIN,
    STEP_COPY,
    STEP_COPY_END,
    STEP_INSERT,
    STEP_LOOK_UP, /* which of the rows that the INSERT did not take are there */
    STEP_AT_ONCE, /* what is deferred to COMMIT is done, for it may change rows too */
    STEP_COMPARE, /* whether the rows stand as they were sent, where a trigger may have changed them */
    STEP_DELTA,
    STEP_DEAD_BEGIN,
    STEP_DEAD,
    STEP_DEAD_END,
    STEP_HELD, /* all is in but the fence */
    STEP_COMMIT,
    STEP_ROLLBACK
};

struct transaction {
    const char *topic;
    PGconn *conn;
    struct batch *batch;
    enum step step;
    enum transaction_way way;
    bool is_looked_up; /* the rows that were stored have left the batch */
    bool has_trigger; /* somebody's, where events are inserted */
    bool is_at_once;  /* nothing is deferred to COMMIT any more */
    bool is_compared; /* the rows were compared with what was sent */
    bool must_hold;   /* before the fence, until it is released */
    bool wants_write;
    bool committed;    /* COMMIT was answered with COMMIT */
    bool broken;       /* the connection is lost or out of step */
    int without_delta; /* counted down at each begin; none is written while it is above 0, because one could not be */
    int64_t batch_id;
    int backend_pid;
    struct copy_stream stream;
    int64_t begun_us, moved_us;
    int *missing; /* rows that the INSERT did not take */
    int missing_count, compared_count;
    struct failure failure; /* the first one: ERROR_NONE while all is well */
};

struct transaction *transaction_new(const char *topic, struct error *err)
{
    struct transaction *transaction = calloc(1, sizeof *transaction);
    if (transaction)
        transaction->topic = transaction->stream.topic = topic;
    else
        error_set(err, ERROR_RETRY, "no memory for a transaction");
    return transaction;
}

void transaction_free(struct transaction *transaction)
{
    if (!transaction)
        return;
    copy_stream_reset(&transaction->stream);
    free(transaction->missing);
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
    return transaction->way;
}

int transaction_backend_pid(const struct transaction *transaction)
{
    return transaction->backend_pid;
}

const struct failure *transaction_failure(const struct transaction *transaction)
{
    return &transaction->failure;
}

static bool has_failed(const struct transaction *transaction)
{
    return transaction->failure.error.kind != ERROR_NONE;
}

static enum failure_step failed_step(const struct transaction *transaction)
{
    const enum step step = transaction->step;
    if (step >= STEP_COPY_BEGIN && step <= STEP_COMPARE)
        return FAILURE_ROWS;
    if (step >= STEP_DEAD_BEGIN && step <= STEP_DEAD_END)
        return FAILURE_DEAD_LETTERS;
    return step == STEP_DELTA ? FAILURE_DELTA : step == STEP_COMMIT ? FAILURE_COMMIT : FAILURE_BEGIN;
}

static void fail(struct transaction *transaction, const PGresult *result)
{
    if (has_failed(transaction))
        return;
    failure_read(&transaction->failure, transaction->conn, result, failed_step(transaction));
    if (transaction->step == STEP_DELTA)
        transaction->without_delta = BATCHES_WITHOUT_DELTA;
}

static void break_off(struct transaction *transaction, const char *doing)
{
    transaction->broken = true;
    if (!has_failed(transaction))
        error_set(&transaction->failure.error, ERROR_RETRY, "%s: %s", doing, PQerrorMessage(transaction->conn));
}

/* What belongs to the step was sent, or could not be. */
static void enter(struct transaction *transaction, enum step step, bool is_sent)
{
    transaction->step = step;
    if (!is_sent)
        break_off(transaction, "cannot send to Postgres");
}

static void send_query(struct transaction *transaction, enum step step, const char *sql)
{
    enter(transaction, step, PQsendQuery(transaction->conn, sql) == 1);
}

static void send_commit(struct transaction *transaction)
{
    if (transaction->must_hold) {
        transaction->step = STEP_HELD;
        return;
    }
    char *sql = ledger_commit_sql(transaction->topic, transaction->batch_id, transaction->batch);
    FAILPOINT("before_fence");
    if (sql)
        send_query(transaction, STEP_COMMIT, sql);
    else
        break_off(transaction, "no memory for the commit");
    free(sql);
    PQflush(transaction->conn);
    FAILPOINT("commit_sent");
}

static void go_on_after_delta(struct transaction *transaction)
{
    if (transaction->batch->dead_count > 0)
        send_query(transaction, STEP_DEAD_BEGIN, dead_sql);
    else
        send_commit(transaction);
}

/* Asks for the rows that this transaction stored. */
static void compare_rows(struct transaction *transaction)
{
    const struct batch *batch = transaction->batch;
    if (!transaction->is_at_once) { /* first all triggers fire */
        send_query(transaction, STEP_AT_ONCE, "SET CONSTRAINTS ALL IMMEDIATE");
        return;
    }
    int *rows = malloc((size_t)batch->row_count * sizeof *rows);
    if (rows)
        transaction->compared_count = insert_taken(0, batch->row_count, transaction->missing, transaction->missing_count, rows);
    enter(transaction, STEP_COMPARE, rows && insert_send_compare(transaction->conn, batch, rows, transaction->compared_count));
    free(rows);
}

static void go_on_after_rows(struct transaction *transaction)
{
    if (transaction->has_trigger && !transaction->is_compared && transaction->batch->row_count > 0) {
        compare_rows(transaction);
        return;
    }
    FAILPOINT("copy_done");
    size_t length;
    const uint8_t *delta = batch_delta(transaction->batch, &length);
    if (!delta || transaction->without_delta > 0) {
        go_on_after_delta(transaction);
        return;
    }
    enter(transaction, STEP_DELTA, ledger_send_delta(transaction->conn, transaction->batch_id, delta, length));
}

static void go_on_after_insert(struct transaction *transaction)
{
    if (transaction->missing_count == 0) {
        go_on_after_rows(transaction);
        return;
    }
    enter(transaction, STEP_LOOK_UP,
          insert_send_look_up(transaction->conn, transaction->batch, transaction->missing, transaction->missing_count));
}

/* Room for the numbers of all rows. */
static bool reserve_missing(struct transaction *transaction)
{
    int *missing = realloc(transaction->missing, (size_t)transaction->batch->row_count * sizeof *missing);
    if (missing)
        transaction->missing = missing;
    else
        error_set(&transaction->failure.error, ERROR_RETRY, "no memory for the rows of a batch");
    return missing != NULL;
}

/* Asks which of all rows are stored. */
static void look_up_rows(struct transaction *transaction)
{
    const struct batch *batch = transaction->batch;
    const bool has_room = reserve_missing(transaction);
    for (int row = 0; has_room && row < batch->row_count; row++)
        transaction->missing[row] = row;
    enter(transaction, STEP_STORED,
          has_room && insert_send_look_up(transaction->conn, batch, transaction->missing, batch->row_count));
}

/* Behind a BEGIN that did not open the COPY itself. */
static void begin_rows(struct transaction *transaction)
{
    struct batch *batch = transaction->batch;
    if (batch->row_count == 0) {
        go_on_after_rows(transaction);
        return;
    }
    if (transaction->way == BY_LOOK_UP && !transaction->is_looked_up) {
        look_up_rows(transaction);
        return;
    }
    if (transaction->way != BY_INSERT) {
        send_query(transaction, STEP_COPY_BEGIN, copy_sql + strlen("; "));
        return;
    }
    batch_set_id(batch, 0, batch->used, transaction->batch_id);
    enter(transaction, STEP_INSERT, insert_send(transaction->conn, batch, 0, batch->row_count));
}

static void go_on_after_begin(struct transaction *transaction)
{
    if (transaction->batch->clamped_count == 0) {
        begin_rows(transaction);
        return;
    }
    enter(transaction, STEP_CLAMPED, clamped_send_look_up(transaction->conn, transaction->batch));
}

/* Hands over what the socket takes; once all of it is sent, the step is `next`. */
static void send_through(struct transaction *transaction, enum copy_stream_state (*send)(struct copy_stream *, bool *),
                         enum step next, int64_t now_us)
{
    bool has_moved = false;
    transaction->stream.batch_id = transaction->batch_id;
    const enum copy_stream_state state = send(&transaction->stream, &has_moved);
    if (has_moved)
        transaction->moved_us = now_us;
    transaction->wants_write = state == COPY_STREAM_FULL;
    if (state == COPY_STREAM_BROKEN)
        break_off(transaction, transaction->stream.trouble);
    else if (state == COPY_STREAM_ENDED)
        transaction->step = next;
}

static void fail_by_bug(struct transaction *transaction, const char *what, long stored, long wanted)
{
    if (!has_failed(transaction))
        error_set(&transaction->failure.error, ERROR_FATAL, "%s (%ld for a batch of %ld): this is a bug, nothing was committed",
                  what, stored, wanted);
}

/* The count in a COPY's command tag must be what we sent: binary COPY without its end marker is accepted by the server. */
static void check_row_count(struct transaction *transaction, const PGresult *result, int wanted)
{
    const long stored = strtol(PQcmdTuples((PGresult *)result), NULL, 10);
    if (stored == wanted || has_failed(transaction))
        return;
    if (stored > wanted)
        fail_by_bug(transaction, "Postgres stored more rows than were sent", stored, wanted);
    else
        failure_kept_out(&transaction->failure, failed_step(transaction), stored, wanted);
}

/* What the INSERT did not take was there before, or a trigger keeps it out: the next step asks. */
static void take_inserted(struct transaction *transaction, const PGresult *result)
{
    struct batch *batch = transaction->batch;
    if (!reserve_missing(transaction))
        return;
    int *missing = transaction->missing;
    transaction->missing_count = insert_missing(batch, 0, batch->row_count, result, transaction->has_trigger, missing);
    if (transaction->missing_count < 0)
        fail_by_bug(transaction, "Postgres returned rows that were not sent: a trigger changes id or created_at, or",
                    PQntuples(result), batch->row_count);
    for (int i = 0; i < transaction->missing_count; i++)
        batch->ranges[batch->rows[missing[i]].range].conflicts++;
}

static void take_tuples(struct transaction *transaction, const PGresult *result)
{
    if (transaction->step == STEP_CLAMPED) {
        clamped_take_look_up(transaction->batch, result);
    } else if (transaction->step == STEP_BEGIN && PQnfields(result) == 3 && PQntuples(result) == 1) { /* the pins are one column */
        transaction->batch_id = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        transaction->backend_pid = (int)strtol(PQgetvalue(result, 0, 1), NULL, 10);
        transaction->has_trigger = PQgetvalue(result, 0, 2)[0] == 't';
    } else if (transaction->step == STEP_INSERT) {
        take_inserted(transaction, result);
    } else if (transaction->step == STEP_STORED) {
        insert_take_stored(transaction->batch, result, transaction->missing);
    } else if (transaction->step == STEP_LOOK_UP && PQntuples(result) < transaction->missing_count && !has_failed(transaction)) {
        failure_kept_out(&transaction->failure, FAILURE_ROWS,
                         transaction->batch->row_count - transaction->missing_count + PQntuples(result),
                         transaction->batch->row_count);
    } else if (transaction->step == STEP_COMPARE && PQntuples(result) < transaction->compared_count && !has_failed(transaction)) {
        failure_changed(&transaction->failure, PQntuples(result), transaction->compared_count);
    }
}

static void take_command(struct transaction *transaction, const PGresult *result)
{
    if (transaction->step == STEP_COPY_END)
        check_row_count(transaction, result, transaction->batch->row_count);
    else if (transaction->step == STEP_DEAD_END)
        check_row_count(transaction, result, transaction->batch->dead_count);
    else if (transaction->step == STEP_COMMIT && strcmp(PQcmdStatus((PGresult *)result), "COMMIT") == 0)
        transaction->committed = true;
}

/* True: a COPY has opened and wants data. */
static bool take_result(struct transaction *transaction, const PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_COPY_IN:
        transaction->step = transaction->step == STEP_DEAD_BEGIN ? STEP_DEAD : STEP_COPY;
        return true;
    case PGRES_TUPLES_OK: take_tuples(transaction, result); break;
    case PGRES_COMMAND_OK: take_command(transaction, result); break;
    default: fail(transaction, result);
    }
    return false;
}

/* A step's answers are all in: what comes next? */
static enum transaction_outcome end_step(struct transaction *transaction)
{
    if (transaction->step == STEP_ROLLBACK) {
        transaction->step = STEP_IDLE;
        return TRANSACTION_FAILED;
    }
    if (transaction->committed) {
        FAILPOINT("commit_replied");
        transaction->step = STEP_IDLE;
        return TRANSACTION_COMMITTED;
    }
    if (has_failed(transaction)) {
        send_query(transaction, STEP_ROLLBACK, "ROLLBACK");
        return TRANSACTION_BUSY;
    }
    switch (transaction->step) {
    case STEP_BEGIN: go_on_after_begin(transaction); break;
    case STEP_CLAMPED: begin_rows(transaction); break;
    case STEP_STORED:
        transaction->is_looked_up = true;
        begin_rows(transaction);
        break;
    case STEP_INSERT: go_on_after_insert(transaction); break;
    case STEP_COPY_END:
    case STEP_LOOK_UP: go_on_after_rows(transaction); break;
    case STEP_AT_ONCE:
        transaction->is_at_once = true;
        compare_rows(transaction);
        break;
    case STEP_COMPARE:
        transaction->is_compared = true;
        go_on_after_rows(transaction);
        break;
    case STEP_DELTA: go_on_after_delta(transaction); break;
    case STEP_DEAD_END: send_commit(transaction); break;
    default: break_off(transaction, "Postgres ended the transaction without COMMIT"); /* a ROLLBACK tag, say */
    }
    return TRANSACTION_BUSY;
}

static enum transaction_outcome take_answers(struct transaction *transaction, int64_t now_us)
{
    if (!PQconsumeInput(transaction->conn)) {
        break_off(transaction, "the connection to Postgres is lost");
        return TRANSACTION_UNKNOWN;
    }
    while (!PQisBusy(transaction->conn)) {
        PGresult *result = PQgetResult(transaction->conn);
        transaction->moved_us = now_us;
        if (!result)
            return end_step(transaction);
        const bool opened = take_result(transaction, result);
        PQclear(result);
        if (PQstatus(transaction->conn) == CONNECTION_BAD) {
            break_off(transaction, "the connection to Postgres is lost");
            return TRANSACTION_UNKNOWN;
        }
        if (opened)
            break;
    }
    return TRANSACTION_BUSY;
}

static bool is_sending(const struct transaction *transaction)
{
    return transaction->step == STEP_COPY || transaction->step == STEP_DEAD;
}

/* Locks first, in a statement of their own: the look-up's snapshot is taken once nobody else stores these events. */
static void begin_clamped(struct transaction *transaction)
{
    char *sql = clamped_lock_sql(transaction->batch, begin_sql);
    if (sql)
        send_query(transaction, STEP_BEGIN, sql);
    else
        break_off(transaction, "no memory to begin a transaction");
    free(sql);
}

void transaction_begin(struct transaction *transaction, PGconn *conn, struct batch *batch, enum transaction_way way, int64_t now_us)
{
    transaction->conn = conn;
    transaction->batch = batch;
    transaction->way = way;
    transaction->must_hold = transaction->has_trigger = transaction->is_compared = false;
    transaction->is_at_once = transaction->is_looked_up = false;
    transaction->missing_count = 0;
    transaction->committed = transaction->broken = transaction->wants_write = false;
    transaction->batch_id = transaction->backend_pid = 0;
    copy_stream_begin(&transaction->stream, conn, batch);
    transaction->begun_us = transaction->moved_us = now_us;
    failure_clear(&transaction->failure);
    if (transaction->without_delta > 0)
        transaction->without_delta--;
    for (int i = 0; i < batch->range_count; i++)
        batch->ranges[i].conflicts = 0;
    if (batch->clamped_count > 0) {
        begin_clamped(transaction);
        return;
    }
    char sql[sizeof begin_sql + sizeof copy_sql];
    const bool copies = batch->row_count > 0 && way == BY_COPY;
    snprintf(sql, sizeof sql, "%s%s", begin_sql, copies ? copy_sql : "");
    send_query(transaction, STEP_BEGIN, sql);
}

void transaction_hold(struct transaction *transaction)
{
    transaction->must_hold = true;
}

bool transaction_is_held(const struct transaction *transaction)
{
    return transaction->step == STEP_HELD;
}

void transaction_release(struct transaction *transaction)
{
    transaction->must_hold = false;
    if (transaction->step == STEP_HELD)
        send_commit(transaction);
}

void transaction_give_up(struct transaction *transaction, const struct error *why)
{
    transaction->failure.error = *why;
    send_query(transaction, STEP_ROLLBACK, "ROLLBACK");
}

enum transaction_outcome transaction_pump(struct transaction *transaction, int64_t now_us)
{
    enum transaction_outcome outcome = TRANSACTION_BUSY;
    for (int turn = 0; turn < TURNS && outcome == TRANSACTION_BUSY && !transaction->broken; turn++) {
        const int flushed = PQflush(transaction->conn);
        if (flushed < 0)
            break_off(transaction, "the connection to Postgres is lost");
        transaction->wants_write = flushed == 1;
        const enum step step = transaction->step;
        if (transaction->broken || (transaction->wants_write && is_sending(transaction)))
            break;
        if (step == STEP_HELD)
            transaction->moved_us = now_us; /* it waits for us, not for a lock */
        else if (step == STEP_COPY)
            send_through(transaction, copy_stream_rows, STEP_COPY_END, now_us);
        else if (step == STEP_DEAD)
            send_through(transaction, copy_stream_dead_letters, STEP_DEAD_END, now_us);
        else
            outcome = take_answers(transaction, now_us);
        if (transaction->step == step)
            break; /* nothing more to do now */
    }
    if (outcome == TRANSACTION_BUSY && !transaction->broken && now_us - transaction->begun_us > DEADLINE_US)
        break_off(transaction, "a batch took longer than its deadline of 10 minutes");
    return transaction->broken ? TRANSACTION_UNKNOWN : outcome;
}
