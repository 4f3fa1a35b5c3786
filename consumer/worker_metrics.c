/* worker_metrics.c - see worker_metrics.h.
 *
 * Lag in offsets is the high watermark that came with the last fetch, less the ledger's position: no question is asked. Lag in
 * seconds is the age of the last event stored, but no more than the time since the topic partition was last seen without lag: after
 * a quiet hour the next event is not an hour late. While reading is paused no fetch brings a new watermark; the lag in offsets is
 * then what was last known, and a topic partition that is not caught up goes on ageing.
 *
 * What is shown is looked at, and nothing here decides: no flow of the worker depends on a metric.
 */
#include "consumer/worker_metrics.h"

#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/service.h"
#include "common/settings.h"
#include "consumer/source_statistics.h"
#include "consumer/spill.h"
#include "consumer/worker_state.h"

#define RETENTION_TOLD_EVERY_US (600 * CLOCK_SECOND_US)

enum { MOST_TOPIC_PARTITIONS = 10000 };

static const char *const sqlstate_classes[] = {"none", "08", "22", "23", "25", "28", "40",    "42",
                                               "53",   "55", "57", "58", "TM", "XX", "other", NULL};

static const struct metric table[WORKER_METRICS_COUNT] = {
    [WORKER_ROWS] = {.name = "rows_total", .help = "events stored as new rows", .kind = METRIC_COUNTER},
    [WORKER_BYTES] = {.name = "bytes_total", .help = "bytes of the Kafka messages of committed batches", .kind = METRIC_COUNTER},
    [WORKER_BATCHES] = {.name = "batches_total", .help = "transactions committed", .kind = METRIC_COUNTER},
    [WORKER_DUPLICATES] = {.name = "duplicates_total", .help = "events that were stored before", .kind = METRIC_COUNTER},
    [WORKER_DEAD_LETTERS] = {.name = "dead_letters_total",
                             .help = "events kept as dead letters",
                             .kind = METRIC_COUNTER,
                             .label = "reason",
                             .names = reason_names + 1},
    [WORKER_FLOOD] = {.name = "dead_letter_flood",
                      .help = "1 while the share of dead letters is above dead_letters.max_share",
                      .kind = METRIC_GAUGE},
    [WORKER_SKIPPED] = {.name = "skipped_total", .help = "offsets at which Kafka has no message", .kind = METRIC_COUNTER},
    [WORKER_GAPS] = {.name = "gaps_total",
                     .help = "offsets whose messages were gone before they were read",
                     .kind = METRIC_COUNTER},
    [WORKER_UNKNOWN_EVENTS] = {.name = "unknown_events_total",
                               .help = "events of stored batches that the catalogue does not know, as they were read",
                               .kind = METRIC_COUNTER},
    [WORKER_UNKNOWN_KEYS] = {.name = "unknown_keys_total",
                             .help = "likewise with keys that the wire format does not know",
                             .kind = METRIC_COUNTER},
    [WORKER_BROKEN_ATTRIBUTES] = {.name = "broken_attributes_total",
                                  .help = "likewise with attributes against the catalogue",
                                  .kind = METRIC_COUNTER},
    [WORKER_RETRIES] = {.name = "retries_total",
                        .help = "batches and claims that had to go again, by SQLSTATE class",
                        .kind = METRIC_COUNTER,
                        .label = "class",
                        .names = sqlstate_classes},
    [WORKER_CONNECTIONS] = {.name = "postgres_connections_total", .help = "connections made to Postgres", .kind = METRIC_COUNTER},
    [WORKER_ASSIGNMENTS] = {.name = "assignments_total",
                            .help = "times that reading began: rebalances and new claims",
                            .kind = METRIC_COUNTER},
    [WORKER_COMMIT_SECONDS] = {.name = "commit_seconds",
                               .help = "from BEGIN to the answer to COMMIT, of committed batches",
                               .kind = METRIC_HISTOGRAM},
    [WORKER_LAST_COMMIT] = {.name = "last_commit_age_seconds", .help = "since the last commit", .kind = METRIC_AGE},
    [WORKER_LAG_OFFSETS] = {.name = "lag_offsets",
                            .help = "offsets not stored yet",
                            .kind = METRIC_GAUGE,
                            .label = "topic_partition",
                            .series = MOST_TOPIC_PARTITIONS},
    [WORKER_LAG_SECONDS] = {.name = "lag_seconds",
                            .help = "age of what is to be stored next, 0 without lag",
                            .kind = METRIC_GAUGE,
                            .unit = METRIC_SECONDS,
                            .label = "topic_partition",
                            .series = MOST_TOPIC_PARTITIONS},
    [WORKER_POSITION] = {.name = "position",
                         .help = "the next offset to be stored",
                         .kind = METRIC_GAUGE,
                         .label = "topic_partition",
                         .series = MOST_TOPIC_PARTITIONS},
    [WORKER_RETENTION] = {.name = "retention_seconds",
                          .help = "how long the topic keeps events, where that is limited and known",
                          .kind = METRIC_GAUGE,
                          .unit = METRIC_SECONDS},
    [WORKER_NEAR_RETENTION] = {.name = "topic_partitions_near_retention",
                               .help = "topic partitions with a lag above half of the topic's retention",
                               .kind = METRIC_GAUGE},
    [WORKER_TOPIC_PARTITIONS] = {.name = "topic_partitions",
                                 .help = "topic partitions that the topic has, whoever reads them",
                                 .kind = METRIC_GAUGE},
    [WORKER_ASSIGNED] = {.name = "topic_partitions_assigned",
                         .help = "topic partitions that this worker owns",
                         .kind = METRIC_GAUGE},
    [WORKER_STOPPED] = {.name = "topic_partitions_stopped",
                        .help = "of these, not read: no leader, its end not known yet, or a person must look",
                        .kind = METRIC_GAUGE},
    [WORKER_PAUSED] = {.name = "reading_paused",
                       .help = "1 while Postgres keeps a full batch waiting or is away, or the clock is wrong",
                       .kind = METRIC_GAUGE},
    [WORKER_CONNECTED] = {.name = "postgres_connected", .help = "1 while connected to Postgres", .kind = METRIC_GAUGE},
    [WORKER_BROKERS_UP] = {.name = "kafka_brokers_up", .help = "brokers that are connected", .kind = METRIC_GAUGE},
    [WORKER_REFUSED] = {.name = "kafka_refused",
                        .help = "1 while Kafka does not let this worker read the topic or into the consumer group",
                        .kind = METRIC_GAUGE},
    [WORKER_QUEUE_MESSAGES] = {.name = "queue_messages", .help = "messages fetched and not yet taken", .kind = METRIC_GAUGE},
    [WORKER_QUEUE_BYTES] = {.name = "queue_bytes", .help = "their bytes", .kind = METRIC_GAUGE},
    [WORKER_SPILLED] = {.name = "spilled_bytes_total",
                        .help = "bytes that Kafka's batches unpacked to beyond memory.max and that lay in a file meanwhile",
                        .kind = METRIC_COUNTER},
    [WORKER_BUFFER_BYTES] = {.name = "buffer_bytes",
                             .help = "bytes of the two batches: tuples and the messages they hold",
                             .kind = METRIC_GAUGE},
    [WORKER_CLOCK_OFFSET] = {.name = "clock_offset_seconds",
                             .help = "how far the clock of this host is ahead of Postgres's, below 0 behind it",
                             .kind = METRIC_GAUGE,
                             .unit = METRIC_SECONDS},
    [WORKER_RESIDENT_BYTES] = {.name = "resident_bytes", .help = "memory of the process", .kind = METRIC_GAUGE},
    [WORKER_MEMORY_MAX] = {.name = "memory_max_bytes", .help = "the setting memory.max", .kind = METRIC_GAUGE},
};

bool worker_metrics_init(struct worker *worker, struct error *err)
{
    worker->metrics = metrics_new("tallymill_consumer", table, WORKER_METRICS_COUNT, err);
    if (!worker->metrics)
        return false;
    const char *const shown[] = {"topics.events", "consumer.group", "consumer.instance"};
    const char *const labels[] = {"topic", "group", "instance_name"};
    for (int i = 0; i < 3; i++)
        metrics_add_info(worker->metrics, labels[i], settings_text(worker->settings, shown[i]));
    metrics_set(worker->metrics, WORKER_MEMORY_MAX, 0, settings_int(worker->settings, "memory.max"));
    health_init(&worker->health, "starting", settings_int(worker->settings, "metrics.stalled_after"), clock_now_us());
    return true;
}

/* ---- once a batch ---- */

/* When the last stored event of each topic partition was written to Kafka; now and then, for it walks the batch. */
static void note_times(struct worker *worker, int64_t now_us)
{
    const struct batch *batch = worker->batches.sending;
    if (now_us - worker->last_times_us < CLOCK_SECOND_US / 2)
        return;
    worker->last_times_us = now_us;
    for (int i = 0; i < batch->row_count; i++) {
        struct source_topic_partition *topic_partition;
        if (i + 1 < batch->row_count && batch->rows[i + 1].range == batch->rows[i].range)
            continue;
        const struct original original = batch_original(batch, i);
        if ((topic_partition = source_find(worker->source, original.topic_partition)))
            topic_partition->stored_time_us = original.message_ms * 1000;
    }
}

void worker_metrics_commit(struct worker *worker, int64_t now_us)
{
    const struct batch *batch = worker->batches.sending;
    struct metrics *metrics = worker->metrics;
    const struct batch_totals totals = batch_totals(batch);
    metrics_add(metrics, WORKER_ROWS, 0, totals.stored);
    metrics_add(metrics, WORKER_BYTES, 0, (int64_t)batch->message_bytes);
    metrics_add(metrics, WORKER_BATCHES, 0, 1);
    metrics_add(metrics, WORKER_DUPLICATES, 0, totals.duplicates);
    metrics_add(metrics, WORKER_SKIPPED, 0, totals.skipped);
    metrics_add(metrics, WORKER_UNKNOWN_EVENTS, 0, batch->unknown_events);
    metrics_add(metrics, WORKER_UNKNOWN_KEYS, 0, batch->unknown_keys);
    metrics_add(metrics, WORKER_BROKEN_ATTRIBUTES, 0, batch->broken_attributes);
    for (int i = 0; i < batch->dead_count; i++)
        metrics_add(metrics, WORKER_DEAD_LETTERS, (int)batch->dead[i].reason - 1, 1);
    metrics_observe(metrics, WORKER_COMMIT_SECONDS, now_us - worker->began_us);
    metrics_set(metrics, WORKER_LAST_COMMIT, 0, now_us);
    note_times(worker, now_us);
    health_set_work(&worker->health, true, true, now_us);
    metrics_set(metrics, WORKER_FLOOD, 0, worker->flood.is_on);
}

void worker_metrics_retry(struct worker *worker, const struct error *why)
{
    int number = 0;
    while (why->sqlstate[0] && sqlstate_classes[number + 1] && strncmp(sqlstate_classes[number], why->sqlstate, 2) != 0)
        number++; /* ends at "other", the last */
    metrics_add(worker->metrics, WORKER_RETRIES, number, 1);
    service_trouble(why);
}

/* ---- once a second ---- */

/* -1: not known yet. */
static int64_t lag_us(struct source_topic_partition *topic_partition, int64_t lag, int64_t wall_us)
{
    if (lag <= 0) {
        topic_partition->caught_up_us = wall_us;
        return 0;
    }
    const int64_t since_us = topic_partition->stored_time_us > topic_partition->caught_up_us ? topic_partition->stored_time_us
                                                                                             : topic_partition->caught_up_us;
    if (since_us == 0)
        return -1;
    return wall_us > since_us ? wall_us - since_us : 0;
}

static void warn_of_retention(struct worker *worker, int near, int64_t now_us)
{
    if (near == 0) {
        worker->near_retention_at_us = 0;
        return;
    }
    if (worker->near_retention_at_us != 0 && now_us < worker->near_retention_at_us)
        return;
    worker->near_retention_at_us = now_us + RETENTION_TOLD_EVERY_US;
    log_warn(
        "the lag is above half of what the topic keeps: events will be lost unless workers catch up, or retention.ms is raised",
        "topic=%s topic_partitions=%d retention_s=%" PRId64, source_topic(worker->source), near,
        worker->retention.keeps_us / CLOCK_SECOND_US);
}

/* Whether there is any lag. */
static bool sample_lag(struct worker *worker, int64_t now_us)
{
    const int64_t wall_us = clock_wall_us();
    int count, stopped = 0, near = 0;
    bool lags = false;
    worker->lag_offsets = worker->lag_us = 0;
    struct source_topic_partition *topic_partitions = source_topic_partitions(worker->source, &count);
    metrics_drop(worker->metrics, WORKER_LAG_OFFSETS);
    metrics_drop(worker->metrics, WORKER_LAG_SECONDS);
    metrics_drop(worker->metrics, WORKER_POSITION);
    for (int i = 0; i < count; i++) {
        struct source_topic_partition *topic_partition = &topic_partitions[i];
        stopped += topic_partition->is_stopped || topic_partition->is_waiting;
        metrics_set(worker->metrics, WORKER_POSITION, topic_partition->claim.topic_partition, topic_partition->claim.next_offset);
        const int64_t high = source_last_high(worker->source, topic_partition->claim.topic_partition);
        if (high < 0)
            continue;
        const int64_t lag = high > topic_partition->claim.next_offset ? high - topic_partition->claim.next_offset : 0;
        const int64_t late_us = lag_us(topic_partition, lag, wall_us);
        metrics_set(worker->metrics, WORKER_LAG_OFFSETS, topic_partition->claim.topic_partition, lag);
        if (late_us >= 0)
            metrics_set(worker->metrics, WORKER_LAG_SECONDS, topic_partition->claim.topic_partition, late_us);
        lags |= lag > 0;
        worker->lag_offsets += lag;
        worker->lag_us = late_us > worker->lag_us ? late_us : worker->lag_us;
        near += worker->retention.keeps_us > 0 && late_us > worker->retention.keeps_us / 2;
    }
    metrics_set(worker->metrics, WORKER_ASSIGNED, 0, count);
    metrics_set(worker->metrics, WORKER_STOPPED, 0, stopped);
    metrics_set(worker->metrics, WORKER_NEAR_RETENTION, 0, near);
    warn_of_retention(worker, near, now_us);
    return lags;
}

static void sample_memory(struct worker *worker)
{
    struct metrics *metrics = worker->metrics;
    const struct source_statistics *statistics = source_statistics(worker->source);
    if (statistics->is_known) {
        metrics_set(metrics, WORKER_QUEUE_MESSAGES, 0, statistics->queue_messages);
        metrics_set(metrics, WORKER_QUEUE_BYTES, 0, statistics->queue_bytes);
        metrics_set(metrics, WORKER_BROKERS_UP, 0, statistics->brokers_up);
        metrics_set(metrics, WORKER_TOPIC_PARTITIONS, 0, statistics->topic_partitions);
    }
    metrics_set(metrics, WORKER_BUFFER_BYTES, 0,
                (int64_t)(worker->batches.filling->capacity + worker->batches.sending->capacity +
                          worker->batches.filling->kept_used + worker->batches.filling->held_bytes +
                          worker->batches.sending->kept_used + worker->batches.sending->held_bytes));
    metrics_set(metrics, WORKER_SPILLED, 0, spill_total_bytes());
    metrics_set(metrics, WORKER_RESIDENT_BYTES, 0, metrics_resident_bytes());
    metrics_set(metrics, WORKER_PAUSED, 0, source_is_paused(worker->source));
    metrics_set(metrics, WORKER_CONNECTED, 0, worker->connection.conn != NULL);
}

static const char *what_is_wrong(const struct worker *worker)
{
    int count;
    const struct source_topic_partition *topic_partitions = source_topic_partitions(worker->source, &count);
    const struct source_statistics *statistics = source_statistics(worker->source);
    if (!worker->connection.conn)
        return "Postgres is away";
    if (worker->clock_is_wrong)
        return "the clock of this host is wrong: see the log";
    if (statistics->is_known && statistics->brokers_up == 0)
        return "Kafka is away";
    if (worker_is_refused(worker)) /* in words of its own */
        return NULL;
    for (int i = 0; i < count; i++)
        if (topic_partitions[i].is_stopped || (topic_partitions[i].is_waiting && worker->assignment.warned_us != 0))
            return "a topic partition is not read: see the log";
    return NULL;
}

void worker_metrics_sample(struct worker *worker, int64_t now_us)
{
    if (now_us - worker->last_sample_us < CLOCK_SECOND_US)
        return;
    worker->last_sample_us = now_us;
    if (worker->retention.keeps_us > 0)
        metrics_set(worker->metrics, WORKER_RETENTION, 0, worker->retention.keeps_us);
    const bool lags = sample_lag(worker, now_us);
    sample_memory(worker);
    metrics_set(worker->metrics, WORKER_FLOOD, 0, worker->flood.is_on);
    char refused[HEALTH_TEXT_BYTES];
    int count;
    source_topic_partitions(worker->source, &count);
    health_set_state(&worker->health, count > 0 ? "reading" : "no topic partition is assigned");
    const char *wrong = what_is_wrong(worker);
    metrics_set(worker->metrics, WORKER_REFUSED, 0, worker_is_refused(worker));
    if (!wrong && worker_is_refused(worker))
        health_set_reason_text(&worker->health, worker_refusal_text(worker, refused, sizeof refused), now_us);
    else if (wrong || worker->trouble == TROUBLE_OF_NOTHING)
        health_set_reason(&worker->health, wrong, now_us);
    health_set_work(&worker->health,
                    lags || worker->is_open || worker->batches.retry_sending || !batch_is_empty(worker->batches.filling), false,
                    now_us);
}
