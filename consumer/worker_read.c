/* worker_read.c - from Kafka's queue into the batch that is being filled, each message at the offset that is expected next.
 *
 * Rejected: to pause whenever the batch is full. What lies in the queue is thrown away by a pause, and is fetched again.
 */
#include "common/failpoint.h"
#include "common/log.h"
#include "consumer/worker_state.h"

enum { MESSAGES_A_TURN = 1000 };
#define PAUSE_AFTER_US INT64_C(2000000)

/* Takes the message over. False without memory. */
static bool take_message(struct worker *worker, struct source_topic_partition *topic_partition, rd_kafka_message_t *message,
                         struct error *err)
{
    const int64_t offset = message->offset;
    if ((source_is_proving(topic_partition) && worker_meet_anchor(worker, topic_partition, message)) ||
        topic_partition->is_stopped || offset < topic_partition->expected_offset) {
        rd_kafka_message_destroy(message);
        return true;
    }
    if (!batch_add(worker->batches.filling, worker->transcoder, message, topic_partition->expected_offset, err))
        return false;
    topic_partition->expected_offset = offset + 1;
    return true;
}

static bool take_end(struct worker *worker, struct source_topic_partition *topic_partition, int64_t end_offset, struct error *err)
{
    if (source_is_proving(topic_partition)) /* read to the end and met no message */
        worker_miss_anchors(worker, topic_partition);
    if (end_offset <= topic_partition->expected_offset)
        return true;
    if (!batch_skip(worker->batches.filling, topic_partition->claim.topic_partition, topic_partition->expected_offset, end_offset,
                    err))
        return false;
    topic_partition->expected_offset = end_offset;
    return true;
}

static bool take_left_over(struct worker *worker, struct error *err)
{
    rd_kafka_message_t *message = batches_take_left_over(&worker->batches);
    struct source_topic_partition *topic_partition = message ? source_find(worker->source, message->partition) : NULL;
    if (topic_partition)
        return take_message(worker, topic_partition, message, err);
    if (message)
        rd_kafka_message_destroy(message);
    return true;
}

static bool take_event(struct worker *worker, int64_t now_us, struct error *err)
{
    rd_kafka_message_t *message;
    struct source_topic_partition *topic_partition;
    int64_t end_offset;
    switch (source_poll(worker->source, &message, &topic_partition, &end_offset, err)) {
    case SOURCE_NOTHING: worker->queue_is_dry = true; return true;
    case SOURCE_MESSAGE:
        FAILPOINT("after_poll");
        if (worker->assignment.resync || worker->batches.left_over) {
            rd_kafka_message_destroy(message); /* it comes again, from the ledger's position */
            worker->assignment.resync = true;
        } else if (batch_is_full(worker->batches.filling)) {
            worker->batches.left_over = message;
        } else {
            return take_message(worker, topic_partition, message, err);
        }
        return true;
    case SOURCE_END:
        if (worker->batches.left_over && worker->batches.left_over->partition == topic_partition->claim.topic_partition)
            worker->assignment.resync = true; /* the end lies behind that message, which is not in a batch yet */
        return worker->assignment.resync || take_end(worker, topic_partition, end_offset, err);
    case SOURCE_ASSIGN:
        worker_refusal_joined(worker, now_us);
        worker->queue_is_dry = worker->assignment.is_wanted = true;
        return true;
    case SOURCE_REVOKE:
        if (!worker->assignment.is_revoked)
            worker->assignment.revoked_since_us = now_us;
        worker->queue_is_dry = worker->assignment.is_revoked = true;
        worker->assignment.is_wanted = false;
        return true;
    case SOURCE_RESYNC:
        log_warn("Kafka does not have the offset that was asked for: reading the ledger again", "topic=%s",
                 source_topic(worker->source));
        worker->assignment.resync = true;
        connection_back_off(&worker->connection, now_us);
        return true;
    case SOURCE_FATAL: worker->kafka_is_fatal = true; return false;
    }
    return true;
}

bool worker_read(struct worker *worker, int64_t now_us, struct error *err)
{
    if (!take_left_over(worker, err))
        return false;
    const bool is_full = !batches_have_room(&worker->batches);
    if (!is_full)
        worker->full_since_us = 0;
    else if (worker->full_since_us == 0)
        worker->full_since_us = now_us;
    if (is_full && now_us - worker->full_since_us < PAUSE_AFTER_US)
        return true;
    const bool is_paused = is_full || !worker->connection.conn || worker->clock_is_wrong;
    source_pause(worker->source, is_paused);
    if (!is_paused)
        worker->read_us = now_us;
    source_clear_wakeup(worker->source);
    worker->queue_is_dry = false;
    for (int i = 0; i < MESSAGES_A_TURN && !worker->queue_is_dry; i++) {
        if (!take_event(worker, now_us, err))
            return false;
        if (!is_full && batch_is_full(worker->batches.filling))
            break;
    }
    return true;
}
