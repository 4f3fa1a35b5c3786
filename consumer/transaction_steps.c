/* transaction_steps.c - see transaction_steps.h.
 *
 * Each step is a row of the table at the end: when it is needed, its message, its answer. The order of the rows is the promise:
 * what somebody's trigger may change is compared after all of it has fired, and the fence comes last, so that no lock on the books
 * is held while a batch streams.
 *
 * Rejected: functions that call the next one. Whoever added a step had to find each place from which it could be reached, and flags
 * said what had been done already.
 */
#include "consumer/transaction_steps.h"

#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/tuple.h"
#include "consumer/batch.h"
#include "consumer/clamped.h"
#include "consumer/dead_letter.h"
#include "consumer/insert.h"
#include "consumer/ledger.h"

/* The pinned lock_timeout is the backstop behind the reaper. */
#define BEGIN_SQL                                                                                                                  \
    POSTGRES_BEGIN_BATCH("READ COMMITTED")                                                                                         \
    "; SELECT pg_catalog.nextval('tallymill.batch_ids'::pg_catalog.regclass), "                                                    \
    "pg_catalog.pg_backend_pid(), tallymill.has_insert_trigger(), "                                                                \
    "pg_catalog.row_security_active('public.analytics_events'::pg_catalog.regclass), "                                             \
    "pg_catalog.row_security_active('tallymill.dead_letters'::pg_catalog.regclass)"
#define COPY_SQL "COPY public.analytics_events (" TUPLE_COLUMN_NAMES ") FROM STDIN (FORMAT binary)"
#define DEAD_SQL "COPY tallymill.dead_letters (" DEAD_LETTER_COLUMNS ") FROM STDIN (FORMAT binary)"

enum { BATCHES_WITHOUT_DELTA = 100 };

static bool no_memory(struct transaction_steps *steps, const char *what)
{
    return error_set(&steps->failure.error, ERROR_RETRY, "no memory for %s", what);
}

static bool send_query(struct transaction_steps *steps, const char *sql)
{
    return PQsendQuery(steps->conn, sql) == 1;
}

static void fail_by_bug(struct transaction_steps *steps, const char *what, long stored, long wanted)
{
    if (!transaction_steps_have_failed(steps))
        error_set(&steps->failure.error, ERROR_FATAL, "%s (%ld for a batch of %ld): this is a bug, nothing was committed", what,
                  stored, wanted);
}

/* ---- BEGIN ---- */

/* Locks first, in a statement of their own: the look-up's snapshot is taken once nobody else stores these events. */
static bool begin_clamped(struct transaction_steps *steps)
{
    char *sql = clamped_lock_sql(steps->batch, BEGIN_SQL);
    const bool is_sent = sql ? send_query(steps, sql) : no_memory(steps, "the begin of a transaction");
    free(sql);
    return is_sent;
}

static bool send_begin(struct transaction_steps *steps)
{
    if (steps->batch->clamped_count > 0)
        return begin_clamped(steps);
    const bool copies = steps->batch->row_count > 0 && steps->way == BY_COPY;
    return send_query(steps, copies ? BEGIN_SQL "; " COPY_SQL : BEGIN_SQL);
}

/* Rows that a policy hides would pass for rows that a trigger kept out. */
static void fail_by_row_security(struct transaction_steps *steps, const char *table)
{
    if (!transaction_steps_have_failed(steps))
        postgres_row_security(&steps->failure.error, steps->conn, table);
}

static void take_begun(struct transaction_steps *steps, const PGresult *result)
{
    if (PQnfields(result) != 5 || PQntuples(result) != 1) /* BEGIN itself, the pins, the locks */
        return;
    steps->batch_id = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    steps->backend_pid = (int)strtol(PQgetvalue(result, 0, 1), NULL, 10);
    steps->has_trigger = PQgetvalue(result, 0, 2)[0] == 't';
    if (PQgetvalue(result, 0, 3)[0] == 't')
        fail_by_row_security(steps, "analytics_events");
    if (PQgetvalue(result, 0, 4)[0] == 't' && steps->batch->dead_count > 0)
        fail_by_row_security(steps, "dead_letters");
}

/* ---- what is stored already ---- */

static bool has_clamped(const struct transaction_steps *steps)
{
    return steps->batch->clamped_count > 0;
}

static bool send_clamped(struct transaction_steps *steps)
{
    return clamped_send_look_up(steps->conn, steps->batch, &steps->failure.error);
}

static void take_clamped(struct transaction_steps *steps, const PGresult *result)
{
    error_ignore(!transaction_steps_have_failed(steps) && clamped_take_look_up(steps->batch, result, &steps->failure.error));
}

/* Room for the numbers of all rows. */
static bool reserve_missing(struct transaction_steps *steps)
{
    int *missing = realloc(steps->missing, (size_t)steps->batch->row_count * sizeof *missing);
    if (!missing)
        return no_memory(steps, "the rows of a batch");
    steps->missing = missing;
    return true;
}

static bool looks_up_first(const struct transaction_steps *steps)
{
    return steps->way == BY_LOOK_UP && steps->batch->row_count > 0;
}

static bool send_stored(struct transaction_steps *steps)
{
    const int count = steps->batch->row_count;
    if (!reserve_missing(steps))
        return false;
    for (int row = 0; row < count; row++)
        steps->missing[row] = row;
    return insert_send_look_up(steps->conn, steps->batch, steps->missing, count, &steps->failure.error);
}

static void take_stored(struct transaction_steps *steps, const PGresult *result)
{
    insert_take_stored(steps->batch, result, steps->missing);
}

/* ---- rows ---- */

static bool copies(const struct transaction_steps *steps)
{
    return steps->way != BY_INSERT && steps->batch->row_count > 0;
}

static bool send_copy(struct transaction_steps *steps)
{
    return send_query(steps, COPY_SQL);
}

/* The count in a COPY's command tag must be what we sent: binary COPY without its end marker is accepted by the server. */
static void check_row_count(struct transaction_steps *steps, enum failure_step part, const PGresult *result, int wanted)
{
    const long stored = strtol(PQcmdTuples((PGresult *)result), NULL, 10);
    if (stored == wanted || transaction_steps_have_failed(steps))
        return;
    if (stored > wanted)
        fail_by_bug(steps, "Postgres stored more rows than were sent", stored, wanted);
    else
        failure_kept_out(&steps->failure, part, stored, wanted);
}

static void take_copied(struct transaction_steps *steps, const PGresult *result)
{
    check_row_count(steps, FAILURE_ROWS, result, steps->batch->row_count);
}

static bool inserts(const struct transaction_steps *steps)
{
    return steps->way == BY_INSERT && steps->batch->row_count > 0;
}

static bool send_insert(struct transaction_steps *steps)
{
    batch_set_id(steps->batch, 0, steps->batch->used, steps->batch_id);
    return insert_send(steps->conn, steps->batch, 0, steps->batch->row_count, &steps->failure.error);
}

/* What the INSERT did not take was there before, or a trigger keeps it out: the next step asks. */
static void take_inserted(struct transaction_steps *steps, const PGresult *result)
{
    struct batch *batch = steps->batch;
    if (transaction_steps_have_failed(steps) || !reserve_missing(steps))
        return;
    steps->missing_count =
        insert_missing(batch, 0, batch->row_count, result, steps->has_trigger, steps->missing, &steps->failure.error);
    for (int i = 0; i < steps->missing_count; i++)
        batch->ranges[batch->rows[steps->missing[i]].range].conflicts++;
}

static bool has_missing(const struct transaction_steps *steps)
{
    return steps->missing_count > 0;
}

static bool send_look_up(struct transaction_steps *steps)
{
    return insert_send_look_up(steps->conn, steps->batch, steps->missing, steps->missing_count, &steps->failure.error);
}

static void take_looked_up(struct transaction_steps *steps, const PGresult *result)
{
    const int absent = steps->missing_count - PQntuples(result), count = steps->batch->row_count;
    if (absent > 0 && !transaction_steps_have_failed(steps))
        failure_kept_out(&steps->failure, FAILURE_ROWS, count - absent, count);
}

/* ---- what somebody's trigger may have made of them ---- */

static bool may_be_changed(const struct transaction_steps *steps)
{
    return steps->has_trigger && steps->batch->row_count > 0;
}

static bool send_at_once(struct transaction_steps *steps)
{
    return send_query(steps, "SET CONSTRAINTS ALL IMMEDIATE");
}

/* Asks for the rows that this transaction stored. */
static bool send_compare(struct transaction_steps *steps)
{
    const int count = steps->batch->row_count;
    int *rows = malloc((size_t)count * sizeof *rows);
    if (!rows)
        return no_memory(steps, "the rows of a batch");
    steps->compared_count = insert_taken(0, count, steps->missing, steps->missing_count, rows);
    const bool is_sent = insert_send_compare(steps->conn, steps->batch, rows, steps->compared_count, &steps->failure.error);
    free(rows);
    return is_sent;
}

static void take_compared(struct transaction_steps *steps, const PGresult *result)
{
    if (PQntuples(result) < steps->compared_count && !transaction_steps_have_failed(steps))
        failure_changed(&steps->failure, PQntuples(result), steps->compared_count);
}

/* ---- what goes with the rows ---- */

static bool has_delta(const struct transaction_steps *steps)
{
    size_t length;
    return steps->without_delta == 0 && batch_delta(steps->batch, &length) != NULL;
}

static bool send_delta(struct transaction_steps *steps)
{
    size_t length;
    const uint8_t *delta = batch_delta(steps->batch, &length);
    return ledger_send_delta(steps->conn, steps->batch_id, delta, length);
}

static bool has_dead(const struct transaction_steps *steps)
{
    return steps->batch->dead_count > 0;
}

static bool send_dead(struct transaction_steps *steps)
{
    return send_query(steps, DEAD_SQL);
}

static void take_dead(struct transaction_steps *steps, const PGresult *result)
{
    check_row_count(steps, FAILURE_DEAD_LETTERS, result, steps->batch->dead_count);
}

/* ---- COMMIT ---- */

static bool always(const struct transaction_steps *steps)
{
    (void)steps;
    return true;
}

static bool send_commit(struct transaction_steps *steps)
{
    char *sql = ledger_commit_sql(steps->topic, steps->batch_id, steps->batch);
    FAILPOINT("before_fence");
    const bool is_sent = sql ? send_query(steps, sql) : no_memory(steps, "the commit of a batch");
    free(sql);
    PQflush(steps->conn);
    FAILPOINT("commit_sent");
    return is_sent;
}

static void take_commit(struct transaction_steps *steps, const PGresult *result)
{
    if (strcmp(PQcmdStatus((PGresult *)result), "COMMIT") == 0)
        steps->is_committed = true;
}

static const struct step {
    bool (*is_needed)(const struct transaction_steps *steps);
    bool (*send)(struct transaction_steps *steps);
    void (*take)(struct transaction_steps *steps, const PGresult *result); /* NULL: its answer says nothing but that it is done */
    enum failure_step part;                                                /* of the transaction that is refused where it fails */
} table[] = {
    [STEP_BEGIN] = {always, send_begin, take_begun, FAILURE_BEGIN},
    [STEP_CLAMPED] = {has_clamped, send_clamped, take_clamped, FAILURE_BEGIN},
    [STEP_STORED] = {looks_up_first, send_stored, take_stored, FAILURE_BEGIN},
    [STEP_COPY] = {copies, send_copy, take_copied, FAILURE_ROWS},
    [STEP_INSERT] = {inserts, send_insert, take_inserted, FAILURE_ROWS},
    [STEP_LOOK_UP] = {has_missing, send_look_up, take_looked_up, FAILURE_ROWS},
    [STEP_AT_ONCE] = {may_be_changed, send_at_once, NULL, FAILURE_ROWS},
    [STEP_COMPARE] = {may_be_changed, send_compare, take_compared, FAILURE_ROWS},
    [STEP_DELTA] = {has_delta, send_delta, NULL, FAILURE_DELTA},
    [STEP_DEAD_LETTERS] = {has_dead, send_dead, take_dead, FAILURE_DEAD_LETTERS},
    [STEP_COMMIT] = {always, send_commit, take_commit, FAILURE_COMMIT},
};

bool transaction_steps_have_failed(const struct transaction_steps *steps)
{
    return steps->failure.error.kind != ERROR_NONE;
}

void transaction_steps_begin(struct transaction_steps *steps, PGconn *conn, struct batch *batch, enum transaction_way way)
{
    steps->conn = conn;
    steps->batch = batch;
    steps->way = way;
    steps->has_trigger = steps->is_committed = false;
    steps->batch_id = steps->backend_pid = 0;
    steps->missing_count = steps->compared_count = 0;
    failure_clear(&steps->failure);
    if (steps->without_delta > 0)
        steps->without_delta--;
    for (int i = 0; i < batch->range_count; i++)
        batch->ranges[i].conflicts = 0;
}

void transaction_steps_reset(struct transaction_steps *steps)
{
    free(steps->missing);
    steps->missing = NULL;
}

enum transaction_step transaction_steps_next(const struct transaction_steps *steps, enum transaction_step step)
{
    do
        step++;
    while (!table[step].is_needed(steps)); /* ends: STEP_COMMIT is always */
    return step;
}

bool transaction_steps_send(struct transaction_steps *steps, enum transaction_step step)
{
    return table[step].send(steps);
}

void transaction_steps_take(struct transaction_steps *steps, enum transaction_step step, const PGresult *result)
{
    if (table[step].take)
        table[step].take(steps, result);
}

void transaction_steps_fail(struct transaction_steps *steps, enum transaction_step step, const PGresult *result)
{
    if (transaction_steps_have_failed(steps))
        return;
    failure_read(&steps->failure, steps->conn, result, table[step].part);
    if (step == STEP_DELTA)
        steps->without_delta = BATCHES_WITHOUT_DELTA;
}
