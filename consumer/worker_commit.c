/* worker_commit.c - a batch under way: begun, moved as far as its socket allows, and looked after while it waits for a lock. What
 * becomes of it: outcome.c. */
#include <string.h>

#include "common/log.h"
#include "consumer/clamped.h"
#include "consumer/outcome.h"
#include "consumer/worker_state.h"

#define STALL_US        INT64_C(1000000)
#define TOLD_STALL_US   INT64_C(3000000)
#define REAPER_PAUSE_US INT64_C(5000000)

/* Its ranges get the epochs and anchors of the claims; topic partitions that are no longer ours, and repeats of clamped events,
 * leave it; then it is sealed. */
static void make_ready(struct worker *worker, struct batch *batch)
{
    for (int i = batch->range_count; i-- > 0;) {
        struct batch_range *range = &batch->ranges[i];
        const struct source_topic_partition *topic_partition = source_find(worker->source, range->topic_partition);
        if (!topic_partition) {
            worker->assignment.resync |= !batch_drop(batch, range->topic_partition);
            continue;
        }
        range->epoch = topic_partition->claim.epoch;
        if (range->anchor_offset < 0 && topic_partition->claim.anchor_offset >= 0) {
            range->anchor_offset = topic_partition->claim.anchor_offset;
            memcpy(range->anchor_hash, topic_partition->claim.anchor_hash, ANCHOR_HASH_BYTES);
        }
    }
    clamped_drop_repeats(batch);
    batch_seal(batch);
}

static enum transaction_way way_of_rows(const struct worker *worker)
{
    if (worker->insert_batches_left == 0)
        return BY_COPY;
    return worker->is_looking_up ? BY_LOOK_UP : BY_INSERT;
}

bool worker_begin(struct worker *worker, int64_t now_us)
{
    const bool is_retry = batches_turn(&worker->batches);
    if (!is_retry) {
        worker->failures = worker->months_made = 0;
        worker_note_record_time(worker, worker->batches.sending, now_us);
    }
    make_ready(worker, worker->batches.sending);
    if (!batch_is_empty(worker->batches.sending) && !worker->assignment.resync) {
        worker->holder[0] = '\0';
        transaction_begin(worker->transaction, worker->connection.conn, worker->batches.sending, way_of_rows(worker), now_us);
        worker->began_us = now_us;
        worker->is_open = true;
        worker_hold(worker, now_us);
    }
    if (!is_retry)
        batches_release(&worker->batches);
    return worker->is_open;
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
    /* While the very first statement waits, the server has not told its process yet; behind a pooler the connection's own number is
     * nobody's. */
    const int told = transaction_backend_pid(worker->transaction), pid = told ? told : PQbackendPID(worker->connection.conn);
    if (worker->reaper && reaper_is_done(worker->reaper)) {
        if (reaper_has_failed(worker->reaper))
            worker->reaper_not_before_us = now_us + REAPER_PAUSE_US;
        end_reaper(worker);
    }
    if (worker->reaper && now_us - transaction_stalled_since_us(worker->transaction) >= TOLD_STALL_US) {
        reaper_holder(worker->reaper, worker->holder);
        worker_trouble_wait(worker, worker->holder, now_us - transaction_stalled_since_us(worker->transaction), now_us);
    }
    if (worker->reaper || now_us < worker->reaper_not_before_us ||
        now_us - transaction_stalled_since_us(worker->transaction) < STALL_US)
        return;
    worker->reaper =
        reaper_start(worker->connection.dsn, pid, PQparameterStatus(worker->connection.conn, "application_name"), &err);
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
        outcome_committed(worker, now_us);
        return true;
    }
    return outcome_failed(worker, outcome != TRANSACTION_FAILED, now_us, err);
}
