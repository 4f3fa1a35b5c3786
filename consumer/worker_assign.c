/* worker_assign.c - from an assignment of the group to reading at the right place.
 *
 * Order matters: claim first, so that whoever owned these topic partitions can commit no more and the positions read are final;
 * then compare with what Kafka has; only then read. Nothing is taken from the offsets that the group committed.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "failpoint.h"
#include "ledger.h"
#include "log.h"
#include "service.h"
#include "settings.h"
#include "start.h"
#include "worker_state.h"

#define RETRY_AFTER_US INT64_C(10000000)

static bool begin_partition(struct worker *worker, struct source_partition *partition, struct error *err)
{
    struct claim *claim = &partition->claim;
    const char *topic = source_topic(worker->source);
    int64_t low, high;
    service_watchdog(clock_now_us());
    if (!source_watermarks(worker->source, claim->topic_partition, &low, &high, err)) {
        /* No leader, say: the others must not wait for it. */
        log_warn_because(err, "cannot begin this topic partition now", "topic=%s topic_partition=%" PRId32, topic,
                         claim->topic_partition);
        error_clear(err);
        partition->is_stopped = true;
        worker->resync_at_us = clock_now_us() + RETRY_AFTER_US;
        return true;
    }
    const struct start start = start_decide(claim, low, high);
    partition->expected_offset = claim->next_offset;
    partition->verify_anchor = start.kind == START_ANCHOR;
    partition->is_stopped = start.kind == START_TRUNCATED;
    switch (start.kind) {
    case START_TRUNCATED:
        log_error("topic partition ends before what is stored: truncated or recreated; not read until a person has looked",
                  "topic=%s topic_partition=%" PRId32 " next_offset=%" PRId64 " high=%" PRId64, topic, claim->topic_partition,
                  claim->next_offset, high);
        break;
    case START_GAP:
        if (!ledger_record_gap(worker->conn, topic, claim, start.offset, "retention", err))
            return false;
        log_error("events were gone before they were read",
                  "topic=%s topic_partition=%" PRId32 " first_offset=%" PRId64 " next_offset=%" PRId64 " reason=retention", topic,
                  claim->topic_partition, claim->next_offset, start.offset);
        metrics_add(worker->metrics, WORKER_GAPS, 0, start.offset - claim->next_offset);
        claim->next_offset = partition->expected_offset = start.offset;
        break;
    case START_NEXT:
        if (claim->anchor_offset >= 0)
            log_warn("the last stored message is gone from Kafka: its place cannot be verified",
                     "topic=%s topic_partition=%" PRId32 " anchor_offset=%" PRId64 " next_offset=%" PRId64, topic,
                     claim->topic_partition, claim->anchor_offset, claim->next_offset);
        break;
    case START_ANCHOR: break;
    }
    return true;
}

bool worker_assign(struct worker *worker, struct error *err)
{
    int count;
    bool done = false;
    const struct claim *wanted = source_wanted(worker->source, &count);
    if (count == 0 &&
        !worker->assign_wanted) { /* between two assignments: the next one claims, and nothing may be said to the group */
        worker_drop_batches(worker);
        worker->resync = false;
        return true;
    }
    struct claim *claims = calloc((size_t)count + 1, sizeof *claims);
    struct source_partition *partitions = calloc((size_t)count + 1, sizeof *partitions);
    if (!claims || !partitions) {
        error_set(err, ERROR_RETRY, "no memory for %d topic partitions", count);
        goto out;
    }
    worker_drop_batches(worker);
    worker->resync_at_us = 0;
    if (count > 0) {
        memcpy(claims, wanted, (size_t)count * sizeof *claims);
        const char *cluster_id = source_cluster_id(worker->source, err);
        const struct claimant claimant = {source_topic(worker->source), cluster_id,
                                          settings_text(worker->settings, "consumer.group"), worker->owner};
        if (!cluster_id || !ledger_claim(worker->conn, &claimant, claims, count, err))
            goto out;
        FAILPOINT("claimed");
    }
    for (int i = 0; i < count; i++) {
        partitions[i].claim = claims[i];
        if (!begin_partition(worker, &partitions[i], err))
            goto out;
    }
    if (!source_assign(worker->source, partitions, count, err))
        goto out;
    free(worker->claimed);
    worker->claimed = claims;
    worker->claimed_count = count;
    claims = NULL;
    worker->resync = worker->assign_wanted = false;
    metrics_add(worker->metrics, WORKER_ASSIGNMENTS, 0, 1);
    if (count > 0)
        retention_ask(&worker->retention, source_handle(worker->source), source_topic(worker->source));
    if (count > 0)
        log_info("reading", "topic=%s topic_partitions=%d", source_topic(worker->source), count);
    done = true;
out:
    free(partitions);
    free(claims);
    return done;
}

bool worker_note_ends(struct worker *worker, struct error *err)
{
    if (!source_partition_count(worker->source, &worker->end_count, err))
        return false;
    worker->ends = calloc((size_t)worker->end_count, sizeof *worker->ends);
    if (!worker->ends)
        return error_set(err, ERROR_RETRY, "no memory for %d topic partitions", worker->end_count);
    for (int i = 0; i < worker->end_count; i++) {
        int64_t low;
        if (!source_watermarks(worker->source, i, &low, &worker->ends[i], err))
            return false;
    }
    return true;
}

/* A ledger beyond the end of the log is no end reached: the topic was truncated or made anew. Looked up now, since others may store
 * what came after our start. */
static bool find_beyond(struct worker *worker, const int64_t *positions, int *stopped, struct error *err)
{
    for (int i = 0; i < worker->end_count; i++) {
        int64_t low, high;
        if (positions[i] <= worker->ends[i])
            continue;
        if (!source_watermarks(worker->source, i, &low, &high, err))
            return false;
        if (positions[i] > high)
            *stopped = i;
    }
    return true;
}

/* Whoever stored it: the ledger is asked, not our own progress. What was stopped is never read to its end: ERROR_FATAL once all
 * else is. */
bool worker_check_ends(struct worker *worker, int64_t now_us, struct error *err)
{
    if (now_us < worker->next_end_check_us)
        return true;
    worker->next_end_check_us = now_us + 200000;
    int64_t *positions = calloc((size_t)worker->end_count, sizeof *positions);
    if (!positions)
        return error_set(err, ERROR_RETRY, "no memory for %d positions", worker->end_count);
    const bool known = ledger_positions(worker->conn, source_topic(worker->source), positions, worker->end_count, err);
    bool reached = known;
    int stopped = -1;
    for (int i = 0; i < worker->end_count; i++) {
        const struct source_partition *partition = source_find(worker->source, i);
        if (partition && partition->is_stopped)
            stopped = i;
        else
            reached = reached && positions[i] >= worker->ends[i];
    }
    const bool looked = !reached || stopped >= 0 || find_beyond(worker, positions, &stopped, err);
    free(positions);
    if (!looked)
        return false;
    if (reached && stopped >= 0)
        return error_set(
            err, ERROR_FATAL,
            "topic %s: topic partition %d is not read until a person has looked (see the log above); all others are stored",
            source_topic(worker->source), stopped);
    worker->done = reached;
    return known;
}
