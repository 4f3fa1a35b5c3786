/* worker_commit.c - what becomes of a batch: committed, tried again, smaller, or given up for the ledger's word.
 *
 * Invariant: a batch that failed was rolled back whole, so trying it again repeats nothing; a batch whose fate is unknown is
 * forgotten, and reading starts again from the ledger. There is no third way, and none that guesses.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/settings.h"
#include "consumer/clamped.h"
#include "consumer/failure.h"
#include "consumer/months.h"
#include "consumer/refused.h"
#include "consumer/worker_metrics.h"
#include "consumer/worker_state.h"

enum {
    CONFLICT_BATCHES = 100,
    REFUSED_ROWS = 50,
    REFUSED_PERCENT = 5,
    MOST_TAKEN_OFFSETS = 10,
    MOST_GUESSES = 3
};
#define STALL_US       INT64_C(1000000)
#define TOLD_STALL_US  INT64_C(3000000)
#define REAPER_PAUSE_US INT64_C(5000000)

/* Epochs and anchors of the claims; topic partitions that are no longer ours leave the batch. */
static void stamp_ranges(struct worker *worker, struct batch *batch)
{
    for (int i = batch->range_count; i-- > 0;) {
        struct batch_range *range = &batch->ranges[i];
        const struct source_partition *partition = source_find(worker->source, range->topic_partition);
        if (!partition) {
            worker->resync |= !batch_drop(batch, range->topic_partition);
            continue;
        }
        range->epoch = partition->claim.epoch;
        if (range->anchor_offset < 0 && partition->claim.anchor_offset >= 0) {
            range->anchor_offset = partition->claim.anchor_offset;
            memcpy(range->anchor_hash, partition->claim.anchor_hash, ANCHOR_HASH_BYTES);
        }
    }
    clamped_drop_repeats(batch);
    batch_seal(batch);
}

bool worker_begin(struct worker *worker, int64_t now_us)
{
    const bool is_retry = worker->retry_sending;
    if (!is_retry) {
        worker->failures = 0;
        worker_note_record_time(worker, worker->filling, now_us);
        struct batch *batch = worker->filling;
        worker->filling = worker->sending;
        worker->sending = batch;
    }
    worker->retry_sending = false;
    stamp_ranges(worker, worker->sending);
    if (!batch_is_empty(worker->sending) && !worker->resync) {
        worker->holder[0] = '\0';
        transaction_begin(worker->transaction, worker->conn, worker->sending, worker->conflict_batches_left > 0, now_us);
        worker->began_us = now_us;
        worker->is_open = true;
        worker_hold(worker, now_us);
    }
    if (!is_retry) {
        batch_reset(worker->filling); /* the one that was committed: freed only now, so that the backend does not wait for it */
        worker_resize_filling(worker);
    }
    return worker->is_open;
}

static void log_dead_letters(const struct worker *worker, const struct batch *batch)
{
    if (batch->dead_count == 0)
        return;
    const struct batch_dead *first = &batch->dead[0];
    log_warn("dead letters", "topic=%s count=%d first_topic_partition=%" PRId32 " first_offset=%" PRId64 " first_reason=%s",
             source_topic(worker->source), batch->dead_count, first->original.topic_partition, first->original.offset,
             reason_name(first->reason));
}

static void take_commit(struct worker *worker, int64_t now_us)
{
    struct batch *batch = worker->sending;
    worker_metrics_commit(worker, now_us);
    for (int i = 0; i < batch->range_count; i++) {
        const struct batch_range *range = &batch->ranges[i];
        struct source_partition *partition = source_find(worker->source, range->topic_partition);
        worker->rows += range->stored - range->conflicts;
        worker->duplicates += range->duplicates + range->conflicts;
        worker->dead_letters += range->dead_letters;
        worker->skipped += range->skipped;
        if (!partition || partition->claim.epoch != range->epoch)
            continue;
        partition->claim.next_offset = range->next_offset;
        partition->claim.anchor_offset = range->anchor_offset;
        memcpy(partition->claim.anchor_hash, range->anchor_hash, ANCHOR_HASH_BYTES);
    }
    worker->unknown_events += batch->unknown_events;
    worker->unknown_keys += batch->unknown_keys;
    worker->broken_attributes += batch->broken_attributes;
    log_dead_letters(worker, batch);
    log_debug("batch committed", "rows=%d dead_letters=%d topic_partitions=%d", batch->row_count, batch->dead_count,
              batch->range_count);
    worker->recent_rows += batch->row_count;
    while (worker->recent_rows > 1000) {
        worker->recent_rows /= 2;
        worker->recent_refused /= 2;
    }
    worker->batches++;
    if (worker->conflict_batches_left > 0)
        worker->conflict_batches_left--;
    worker->last_commit_us = now_us;
    worker->backoff_us = 0;
    worker->taken_offsets = worker->guesses = 0;
    worker->setbacks = worker->claim_setbacks = 0;
    worker_trouble_over(worker);
    worker->reports_due = true;
}

/* TM001: "3/epoch 5/position". A stale claim costs that topic partition its rows; a position that is not ours means that memory and
 * ledger differ. */
static void take_fence(struct worker *worker, int64_t now_us)
{
    const char *detail = transaction_failure(worker->transaction)->detail;
    while (*detail) {
        char *reason;
        const int32_t topic_partition = (int32_t)strtol(detail, &reason, 10);
        if (reason == detail)
            break;
        const bool stale = strncmp(reason, "/epoch", 6) == 0;
        log_warn(stale ? "another worker has claimed this topic partition" : "the ledger stands elsewhere: reading it again",
                 "topic=%s topic_partition=%" PRId32, source_topic(worker->source), topic_partition);
        if (stale) {
            /* Both, whatever the first says. */
            const bool sending_is_whole = batch_drop(worker->sending, topic_partition);
            const bool filling_is_whole = batch_drop(worker->filling, topic_partition);
            worker->resync |= !sending_is_whole || !filling_is_whole;
            source_forget(worker->source, topic_partition);
            worker->rejoin = true;
        } else {
            worker->resync = true;
        }
        detail = reason + strcspn(reason, " ");
        detail += strspn(detail, " ");
    }
    worker->retry_sending = !worker->resync && !batch_is_empty(worker->sending);
    worker_back_off(worker, now_us); /* or two that think alike would claim from each other at full speed */
}

/* True: some were found, and have left. False: err says why not; ERROR_NONE where the server takes all rows this way. */
static bool find_refused(struct worker *worker, const struct failure *why, struct error *err)
{
    const int64_t rows = worker->recent_rows + worker->sending->row_count;
    int64_t most = (rows < 1000 ? 1000 : rows) * REFUSED_PERCENT / 100 - worker->recent_refused;
    if (most < REFUSED_ROWS - worker->recent_refused)
        most = REFUSED_ROWS - worker->recent_refused;
    int refused = 0;
    error_clear(err);
    const bool done = months_prepare(worker->conn, worker->sending, err) &&
                      refused_find(worker->conn, worker->sending, why, ++worker->guesses <= MOST_GUESSES, worker->failures,
                                   most < 0 ? 0 : (int)most, &refused, err);
    worker->recent_refused += refused;
    if (refused > 0)
        log_warn("Postgres refused rows: kept as dead letters", "topic=%s rows=%d", source_topic(worker->source), refused);
    if (done)
        error_clear(err);
    return done && refused > 0;
}

/* The books hold this offset already: somebody else stored it, or put a row there by hand. The ledger's word is asked again, but
 * not for ever. */
static bool take_taken_offset(struct worker *worker, const struct failure *why, int64_t now_us, struct error *err)
{
    if (++worker->taken_offsets > MOST_TAKEN_OFFSETS) {
        *err = why->error;
        err->kind = ERROR_FATAL;
        return error_wrap(err, "table %s holds an offset beyond the ledger's position (see tallymill audit)", why->table);
    }
    log_warn_because(&why->error, "this offset is in the books already: reading the ledger again", "topic=%s table=%s",
                     source_topic(worker->source), why->table);
    worker->resync = true;
    worker_back_off(worker, now_us);
    return true;
}

/* A pause before the same batch goes again, and a line in the log. `shown`: without words that may quote a row. */
static void try_again_later(struct worker *worker, const struct failure *why, const struct error *shown, bool reconnect, int64_t now_us)
{
    char constraint[LOG_TEXT_BYTES], table[LOG_TEXT_BYTES];
    log_warn_because(shown, "batch not stored, trying again", "topic=%s rows=%d dead_letters=%d tries=%d table=\"%s\" constraint=\"%s\"",
                     source_topic(worker->source), worker->sending->row_count, worker->sending->dead_count, worker->failures,
                     log_text(table, why->table), log_text(constraint, why->constraint));
    worker_trouble(worker, TROUBLE_OF_BATCH, shown, now_us);
    worker_back_off(worker, now_us);
    if (reconnect || !worker_connection_is_idle(worker))
        worker_drop_connection(worker, now_us);
}

/* By the plan; what it asks for may fail in turn. True: go on at once. False: *err says why not, and *plan what to do about it; ERROR_NONE: a search found
 * nothing. */
static bool carry_out(struct worker *worker, const struct failure *why, enum failure_plan *plan, struct error *err)
{
    failure_hide(why, err);
    if (lock_watch_is_timeout(err))
        lock_watch_append(err, worker->holder);
    switch (*plan) {
    case FAILURE_BY_INSERT:
        log_info("events are stored already: this batch and the next go by INSERT ... ON CONFLICT", "topic=%s batches=%d",
                 source_topic(worker->source), CONFLICT_BATCHES);
        worker->conflict_batches_left = CONFLICT_BATCHES;
        return true;
    case FAILURE_MAKE_MONTHS:
        if (months_prepare(worker->conn, worker->sending, err)) {
            log_info("the month of a row was missing: trying again", "topic=%s tries=%d", source_topic(worker->source), worker->failures);
            return true;
        }
        break;
    case FAILURE_SEARCH:
        if (find_refused(worker, why, err))
            return true;
        if (err->kind == ERROR_NONE) { /* the very statement that took them all is the one to go by */
            failure_hide(why, err);
            error_wrap(err, "no row by itself is refused");
            if (worker->conflict_batches_left == 0)
                worker->conflict_batches_left = 1;
            *plan = FAILURE_AGAIN;
            return false;
        }
        break;
    default: return false;
    }
    *plan = err->kind == ERROR_FATAL || strcmp(err->sqlstate, "42501") == 0 ? FAILURE_STOP
            : err->kind == ERROR_USAGE || strcmp(err->sqlstate, "25006") == 0 ? FAILURE_RECONNECT
                                                                              : FAILURE_AGAIN;
    return false;
}

/* Rolled back. True: go on (retry_sending or resync says how); false: err ends the worker. */
static bool take_failure(struct worker *worker, int64_t now_us, struct error *err)
{
    const struct failure *why = transaction_failure(worker->transaction);
    struct error shown;
    worker->retry_sending = true;
    worker->failures++;
    worker->setbacks++;
    worker_metrics_retry(worker, &why->error);
    enum failure_plan plan = failure_decide(why, transaction_was_by_insert(worker->transaction), worker->failures);
    if (plan == FAILURE_FENCED) {
        take_fence(worker, now_us);
        return true;
    }
    if (plan == FAILURE_READ_LEDGER)
        return take_taken_offset(worker, why, now_us, err);
    if (strcmp(why->error.sqlstate, "40P01") == 0)
        worker->conflict_batches_left = CONFLICT_BATCHES; /* crossing duplicates: that way takes the keys in order */
    if (carry_out(worker, why, &plan, &shown))
        return true;
    if (plan == FAILURE_STOP) {
        *err = shown;
        return false;
    }
    try_again_later(worker, why, &shown, plan == FAILURE_RECONNECT, now_us);
    return true;
}

static void end_reaper(struct worker *worker)
{
    if (!worker->reaper)
        return;
    reaper_holder(worker->reaper, worker->holder);
    reaper_stop(worker->reaper);
    worker->reaper = NULL;
}

/* Something holds a lock that we wait for, perhaps a frozen worker. */
static void watch_stall(struct worker *worker, int64_t now_us)
{
    struct error err;
    /* While the very first statement waits, the server has not told its process yet; behind a pooler the connection's own number is nobody's. */
    const int told = transaction_backend_pid(worker->transaction), pid = told ? told : PQbackendPID(worker->conn);
    if (worker->reaper && reaper_is_done(worker->reaper)) {
        if (reaper_has_failed(worker->reaper))
            worker->reaper_not_before_us = now_us + REAPER_PAUSE_US;
        end_reaper(worker);
    }
    if (worker->reaper && now_us - transaction_stalled_since_us(worker->transaction) >= TOLD_STALL_US) {
        reaper_holder(worker->reaper, worker->holder);
        worker_trouble_wait(worker, worker->holder, now_us);
    }
    if (worker->reaper || now_us < worker->reaper_not_before_us || now_us - transaction_stalled_since_us(worker->transaction) < STALL_US)
        return;
    worker->reaper = reaper_start(worker->dsn, pid, PQparameterStatus(worker->conn, "application_name"), &err);
    if (!worker->reaper) {
        worker->reaper_not_before_us = now_us + REAPER_PAUSE_US;
        log_warn_because(&err, "cannot look for what blocks this batch", NULL);
    }
}

bool worker_pump(struct worker *worker, int64_t now_us, struct error *err)
{
    worker_prove(worker, now_us);
    const enum transaction_outcome outcome = transaction_pump(worker->transaction, now_us);
    if (outcome == TRANSACTION_BUSY) {
        watch_stall(worker, now_us);
        return true;
    }
    worker->is_open = false;
    worker->proof_since_us = 0;
    end_reaper(worker);
    if (outcome == TRANSACTION_COMMITTED) {
        take_commit(worker, now_us);
        return true;
    }
    if (outcome == TRANSACTION_FAILED)
        return take_failure(worker, now_us, err);
    const struct error *lost = &transaction_failure(worker->transaction)->error;
    worker_metrics_retry(worker, lost);
    log_warn_because(lost,
                     "lost the connection during a batch: the ledger will tell what became of it", "topic=%s",
                     source_topic(worker->source));
    worker_drop_connection(worker, now_us);
    return true;
}
