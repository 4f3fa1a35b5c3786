/* worker_metrics.h - what a worker shows: counted once a batch, sampled once a second; nothing is done for an event. */
#ifndef TALLYMILL_CONSUMER_WORKER_METRICS_H
#define TALLYMILL_CONSUMER_WORKER_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct worker;

enum worker_metric {
    WORKER_ROWS,
    WORKER_BYTES,
    WORKER_BATCHES,
    WORKER_DUPLICATES,
    WORKER_DEAD_LETTERS,
    WORKER_FLOOD,
    WORKER_SKIPPED,
    WORKER_GAPS,
    WORKER_UNKNOWN_EVENTS,
    WORKER_UNKNOWN_KEYS,
    WORKER_BROKEN_ATTRIBUTES,
    WORKER_RETRIES,
    WORKER_CONNECTIONS,
    WORKER_ASSIGNMENTS,
    WORKER_COMMIT_SECONDS,
    WORKER_LAST_COMMIT,
    WORKER_LAG_OFFSETS,
    WORKER_LAG_SECONDS,
    WORKER_POSITION,
    WORKER_RETENTION,
    WORKER_NEAR_RETENTION,
    WORKER_TOPIC_PARTITIONS,
    WORKER_ASSIGNED,
    WORKER_STOPPED,
    WORKER_PAUSED,
    WORKER_CONNECTED,
    WORKER_BROKERS_UP,
    WORKER_REFUSED,
    WORKER_QUEUE_MESSAGES,
    WORKER_QUEUE_BYTES,
    WORKER_SPILLED,
    WORKER_BUFFER_BYTES,
    WORKER_CLOCK_OFFSET,
    WORKER_RESIDENT_BYTES,
    WORKER_MEMORY_MAX,
    WORKER_METRICS_COUNT,
};

/* Fills worker->metrics and worker->health. */
MUST_CHECK bool worker_metrics_init(struct worker *worker, struct error *err);

/* batches.sending was committed, its transaction begun at worker->began_us. */
void worker_metrics_commit(struct worker *worker, int64_t now_us);

/* A batch or a claim has to go again because of this. */
void worker_metrics_retry(struct worker *worker, const struct error *why);

/* Lag, queue, memory and health, once a second. */
void worker_metrics_sample(struct worker *worker, int64_t now_us);

#endif
