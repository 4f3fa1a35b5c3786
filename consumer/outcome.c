/* outcome.c - see outcome.h.
 *
 * Invariant: a batch that failed was rolled back whole, so trying it again repeats nothing; a batch whose fate is unknown is
 * forgotten, and reading starts again from the ledger. There is no third way, and none that guesses. What to do is decided by
 * failure_plan(); here it is done.
 */
#include "consumer/outcome.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/lock_watch.h"
#include "common/log.h"
#include "common/postgres.h"
#include "common/rights.h"
#include "consumer/failure.h"
#include "consumer/months.h"
#include "consumer/bisect.h"
#include "consumer/worker_metrics.h"
#include "consumer/worker_state.h"

enum { INSERT_BATCHES = 100, MOST_GUESSES = 3, RECENT_ROWS = 1000 };

static void log_dead_letters(const struct worker *worker, const struct batch *batch)
{
    if (batch->dead_count == 0)
        return;
    const struct batch_dead *first = &batch->dead[0];
    log_warn("dead letters", "topic=%s count=%d first_topic_partition=%" PRId32 " first_offset=%" PRId64 " first_reason=%s",
             source_topic(worker->source), batch->dead_count, first->original.topic_partition, first->original.offset,
             reason_name(first->reason));
}

/* The claims of its ranges stand at its end now, but where they are another's meanwhile. */
static void move_claims(struct worker *worker, const struct batch *batch)
{
    for (int i = 0; i < batch->range_count; i++) {
        const struct batch_range *range = &batch->ranges[i];
        struct source_topic_partition *topic_partition = source_find(worker->source, range->topic_partition);
        if (!topic_partition || topic_partition->claim.epoch != range->epoch)
            continue;
        topic_partition->claim.next_offset = range->next_offset;
        topic_partition->claim.anchor_offset = range->anchor_offset;
        memcpy(topic_partition->claim.anchor_hash, range->anchor_hash, ANCHOR_HASH_BYTES);
    }
}

static void count(struct worker *worker, const struct batch *batch, const struct batch_totals *totals)
{
    worker->rows += totals->stored;
    worker->duplicates += totals->duplicates;
    worker->dead_letters += totals->dead_letters;
    worker->skipped += totals->skipped;
    worker->unknown_events += batch->unknown_events;
    worker->unknown_keys += batch->unknown_keys;
    worker->broken_attributes += batch->broken_attributes;
    worker->commits++;
    worker->recent_rows += batch->row_count;
    while (worker->recent_rows > RECENT_ROWS) {
        worker->recent_rows /= 2;
        worker->recent_refused /= 2;
    }
}

void outcome_committed(struct worker *worker, int64_t now_us)
{
    const struct batch *batch = worker->batches.sending;
    const struct batch_totals totals = batch_totals(batch);
    const struct flood_rules rules = flood_rules(worker->settings);
    flood_add(&worker->flood, &rules, source_topic(worker->source), totals.stored + totals.duplicates + totals.dead_letters,
              batch->dead_count, now_us);
    worker_metrics_commit(worker, now_us);
    move_claims(worker, batch);
    count(worker, batch, &totals);
    log_dead_letters(worker, batch);
    log_debug("batch committed", "rows=%d dead_letters=%d topic_partitions=%d", batch->row_count, batch->dead_count,
              batch->range_count);
    if (worker->insert_batches_left > 0 && --worker->insert_batches_left == 0)
        worker->is_looking_up = false;
    worker->last_commit_us = now_us;
    connection_settle(&worker->connection);
    worker->taken_offsets = worker->guesses = 0;
    worker->setbacks = worker->claim_setbacks = 0;
    worker_trouble_over(worker);
    worker->reports_due = true;
}

/* TM001: "3/epoch 5/position". A stale claim costs that topic partition its rows; a position that is not ours means that memory and
 * ledger differ. */
static void leave_fenced(struct worker *worker, const struct failure *why, int64_t now_us)
{
    const char *detail = why->detail;
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
            const bool sending_is_whole = batch_drop(worker->batches.sending, topic_partition);
            const bool filling_is_whole = batch_drop(worker->batches.filling, topic_partition);
            worker->assignment.resync |= !sending_is_whole || !filling_is_whole;
            source_forget(worker->source, topic_partition);
            worker->assignment.rejoin = true;
        } else {
            worker->assignment.resync = true;
        }
        detail = reason + strcspn(reason, " ");
        detail += strspn(detail, " ");
    }
    worker->batches.retry_sending = !worker->assignment.resync && !batch_is_empty(worker->batches.sending);
    connection_back_off(&worker->connection, now_us); /* or two that think alike would claim from each other at full speed */
}

/* True: some were found, and have left. False: err says why not; ERROR_NONE where the server takes all rows this way. */
static bool find_refused(struct worker *worker, const struct failure *why, struct error *err)
{
    const int most = failure_most_refused(worker->recent_rows, worker->recent_refused, worker->batches.sending->row_count);
    int refused = 0;
    error_clear(err);
    const bool done = months_prepare(worker->connection.conn, worker->batches.sending, err) &&
                      bisect_refused(worker->connection.conn, worker->batches.sending, why, ++worker->guesses <= MOST_GUESSES,
                                     worker->failures, most, &refused, err);
    worker->recent_refused += refused;
    if (refused > 0)
        log_warn("Postgres refused rows: kept as dead letters", "topic=%s rows=%d", source_topic(worker->source), refused);
    if (done)
        error_clear(err);
    return done && refused > 0;
}

/* The books hold this offset already: somebody else stored it, or put a row there by hand. */
static void ask_for_resync(struct worker *worker, const struct failure *why, int64_t now_us)
{
    worker->taken_offsets++;
    log_warn_because(&why->error, "this offset is in the books already: reading the ledger again", "topic=%s table=%s",
                     source_topic(worker->source), why->table);
    worker->assignment.resync = true;
    connection_back_off(&worker->connection, now_us);
}

/* The connection went, and with it the answer. */
static void forget(struct worker *worker, const struct failure *why, int64_t now_us)
{
    log_warn_because(&why->error, "lost the connection during a batch: the ledger will tell what became of it", "topic=%s",
                     source_topic(worker->source));
    worker_drop_connection(worker, now_us);
}

/* A pause before the same batch goes again, and a line in the log. `shown`: without words that may quote a row. */
static void try_again_later(struct worker *worker, const struct failure *why, const struct error *shown, bool reconnect,
                            int64_t now_us)
{
    char constraint[LOG_TEXT_BYTES], table[LOG_TEXT_BYTES];
    log_warn_because(shown, "batch not stored, trying again",
                     "topic=%s rows=%d dead_letters=%d tries=%d table=\"%s\" constraint=\"%s\"", source_topic(worker->source),
                     worker->batches.sending->row_count, worker->batches.sending->dead_count, worker->failures,
                     log_text(table, why->table), log_text(constraint, why->constraint));
    worker_trouble(worker, TROUBLE_OF_BATCH, shown, now_us);
    connection_back_off(&worker->connection, now_us);
    if (reconnect || !connection_is_idle(&worker->connection))
        worker_drop_connection(worker, now_us);
}

static void go_by_insert(struct worker *worker)
{
    log_info("events are stored already: this batch and the next go by INSERT ... ON CONFLICT", "topic=%s batches=%d",
             source_topic(worker->source), INSERT_BATCHES);
    worker->insert_batches_left = INSERT_BATCHES;
}

static void go_by_look_up(struct worker *worker, const struct error *shown)
{
    log_warn_because(shown,
                     "table analytics_events takes no INSERT ... ON CONFLICT: which events are stored is looked up, the others go "
                     "by COPY",
                     "topic=%s batches=%d", source_topic(worker->source), INSERT_BATCHES);
    worker->insert_batches_left = INSERT_BATCHES;
    worker->is_looking_up = true;
}

/* The months of the batch. However often they could not be made they are tried again, for nobody else may make them. True, false:
 * as mend(). */
static bool make_months(struct worker *worker, enum failure_plan *plan, struct error *shown)
{
    struct error err = {0};
    if (!months_prepare(worker->connection.conn, worker->batches.sending, &err)) {
        *shown = err;
        *plan = failure_plan_then(shown);
        return false;
    }
    worker->months_made++;
    log_info("the month of a row was missing: trying again", "topic=%s tries=%d", source_topic(worker->source), worker->failures);
    if (*plan == PLAN_MAKE_MONTHS)
        return true;
    *plan = PLAN_AGAIN;
    return false;
}

/* Months are made, or refused rows searched. True: the batch goes again at once. False: *plan is what to do instead, *shown why. */
static bool mend(struct worker *worker, const struct failure *why, enum failure_plan *plan, struct error *shown)
{
    if (*plan != PLAN_SEARCH)
        return make_months(worker, plan, shown);
    if (find_refused(worker, why, shown))
        return true;
    *plan = failure_plan_then(shown);
    if (shown->kind == ERROR_NONE) { /* the very statement that took them all is the one to go by */
        failure_hide(why, shown);
        error_wrap(shown, "no row by itself is refused");
        if (worker->insert_batches_left == 0) /* a key of the events that is named otherwise: more of the kind follow */
            worker->insert_batches_left = postgres_is(&why->error, POSTGRES_UNIQUE) ? INSERT_BATCHES : 1;
    }
    return false;
}

/* An error as the log and /health may show it. */
static void show(const struct worker *worker, const struct failure *why, struct error *shown)
{
    failure_hide(why, shown);
    if (lock_watch_is_timeout(shown))
        lock_watch_append(shown, worker->holder);
}

static bool stop(const struct worker *worker, const struct failure *why, enum failure_plan plan, const struct error *shown,
                 struct error *err)
{
    *err = plan == PLAN_DISAGREE ? why->error : *shown;
    if (plan != PLAN_DISAGREE) {
        if (worker->connection.conn)
            rights_explain(worker->connection.conn, err);
        return false;
    }
    err->kind = ERROR_FATAL;
    return error_wrap(err, "table %s holds an offset beyond the ledger's position (see tallymill audit)", why->table);
}

/* The plan; and that the next batches go by INSERT, where the failure asks for it. */
static enum failure_plan take_plan(struct worker *worker, const struct failure *why, bool is_lost)
{
    const enum transaction_way way = transaction_way(worker->transaction);
    struct failure_facts facts = failure_facts(why, way == BY_INSERT, worker->failures);
    facts.by_look_up = way == BY_LOOK_UP;
    facts.is_lost = is_lost;
    facts.months_made = worker->months_made;
    facts.taken_offsets = worker->taken_offsets;
    if (failure_wants_insert(&facts))
        worker->insert_batches_left = INSERT_BATCHES;
    return failure_plan(&facts);
}

bool outcome_failed(struct worker *worker, bool is_lost, int64_t now_us, struct error *err)
{
    const struct failure *why = transaction_failure(worker->transaction);
    struct error shown;
    worker->batches.retry_sending = !is_lost;
    worker->failures += !is_lost;
    worker->setbacks += !is_lost;
    worker_metrics_retry(worker, &why->error);
    enum failure_plan plan = take_plan(worker, why, is_lost);
    show(worker, why, &shown);
    if ((plan == PLAN_MAKE_MONTHS || plan == PLAN_MONTHS_AGAIN || plan == PLAN_SEARCH) && mend(worker, why, &plan, &shown))
        return true;
    switch (plan) {
    case PLAN_FORGET: forget(worker, why, now_us); return true;
    case PLAN_FENCED: leave_fenced(worker, why, now_us); return true;
    case PLAN_READ_LEDGER: ask_for_resync(worker, why, now_us); return true;
    case PLAN_BY_INSERT: go_by_insert(worker); return true;
    case PLAN_BY_LOOK_UP: go_by_look_up(worker, &shown); return true;
    case PLAN_DISAGREE:
    case PLAN_STOP: return stop(worker, why, plan, &shown, err);
    default: try_again_later(worker, why, &shown, plan == PLAN_RECONNECT, now_us); return true;
    }
}
