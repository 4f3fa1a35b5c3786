/* worker_status.c - what an operator reads of a worker without asking it: the status line of its unit, what it reads, and what it
 * leaves behind.
 *
 * Nothing here decides anything. Lag is what the metrics sampled a moment ago; rows a second are those of the time since the last
 * status line.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/service.h"
#include "consumer/worker_state.h"

#define EVERY_US (5 * CLOCK_SECOND_US)

static const char *lag_text(const struct worker *worker, char *text, size_t size)
{
    if (worker->lag_offsets == 0)
        return "no lag";
    snprintf(text, size, "lag %" PRId64 " offsets (%" PRId64 " s)", worker->lag_offsets, worker->lag_us / CLOCK_SECOND_US);
    return text;
}

void worker_status(struct worker *worker, int64_t now_us)
{
    char lag[64], refused[ERROR_TEXT_BYTES + 64];
    int count;
    const int64_t passed_us = now_us - worker->last_status_us;
    if (passed_us < EVERY_US)
        return;
    const int64_t rate = (worker->rows - worker->status_rows) * CLOCK_SECOND_US / passed_us;
    const bool is_first = worker->last_status_us == 0;
    worker->last_status_us = now_us;
    worker->status_rows = worker->rows;
    source_topic_partitions(worker->source, &count);
    const char *postgres = worker->connection.conn ? "" : "Postgres is away; ";
    const char *kafka = worker->kafka_outage.since_us != 0 ? "Kafka is away; " : "";
    if (worker_is_refused(worker)) { /* without its topic partitions there is no lag that it could know */
        service_status("%s%s%s (%" PRId64 " rows in %" PRId64 " batches, %" PRId64 " dead letters)", postgres, kafka,
                       worker_refusal_text(worker, refused, sizeof refused), worker->rows, worker->commits, worker->dead_letters);
        return;
    }
    service_status("%s%s%d topic partitions, %" PRId64 " rows/s, %s, %" PRId64 " rows in %" PRId64 " batches, %" PRId64
                   " dead letters",
                   postgres, kafka, count, is_first ? 0 : rate, lag_text(worker, lag, sizeof lag), worker->rows, worker->commits,
                   worker->dead_letters);
}

/* "0-3,7", or with their positions "0:120 1:98"; what does not fit is cut, and said to be. */
static const char *list(struct worker *worker, bool with_positions, char text[LOG_TEXT_BYTES])
{
    int count;
    const struct source_topic_partition *topic_partitions = source_topic_partitions(worker->source, &count);
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        const int first = i;
        int written;
        while (!with_positions && i + 1 < count &&
               topic_partitions[i + 1].claim.topic_partition == topic_partitions[i].claim.topic_partition + 1)
            i++;
        const int32_t from = topic_partitions[first].claim.topic_partition, to = topic_partitions[i].claim.topic_partition;
        if (LOG_TEXT_BYTES - used < 48) {
            snprintf(text + used, LOG_TEXT_BYTES - used, " and more");
            break;
        }
        if (with_positions)
            written = snprintf(text + used, LOG_TEXT_BYTES - used, "%s%" PRId32 ":%" PRId64, used ? " " : "", from,
                               topic_partitions[i].claim.next_offset);
        else if (from == to)
            written = snprintf(text + used, LOG_TEXT_BYTES - used, "%s%" PRId32, used ? "," : "", from);
        else
            written = snprintf(text + used, LOG_TEXT_BYTES - used, "%s%" PRId32 "-%" PRId32, used ? "," : "", from, to);
        used += (size_t)written;
    }
    return text;
}

void worker_log_reading(struct worker *worker)
{
    char text[LOG_TEXT_BYTES];
    int count;
    source_topic_partitions(worker->source, &count);
    log_info("reading", "topic=%s count=%d topic_partitions=\"%s\"", source_topic(worker->source), count,
             list(worker, false, text));
}

void worker_log_end(struct worker *worker)
{
    char text[LOG_TEXT_BYTES];
    log_info("no more is stored", "topic=%s rows=%" PRId64 " dead_letters=%" PRId64 " committed_to=\"%s\"",
             source_topic(worker->source), worker->rows, worker->dead_letters, list(worker, true, text));
}
