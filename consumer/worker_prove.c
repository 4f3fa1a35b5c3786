/* worker_prove.c - whether the log that is read is the one that the ledger is about.
 *
 * A topic can be deleted and made anew under its name while it is read. librdkafka goes on at the old offset then, without a word,
 * as soon as the new log has grown past it. So a batch commits only once Kafka has answered a question that was sent after its last
 * message had been fetched (or so shortly before that no new log can have grown past the batch's begin meanwhile), with the id that
 * the claim compared: ids never come back, so all of it is of that log. The question goes out when the batch begins and is answered
 * while its rows are sent; nothing waits for it as a rule. Where brokers give no ids, messages that the ledger knows are read again
 * at each claim; what happens between two claims they cannot show.
 *
 * Rejected: to compare once a minute only (one batch of the new log is enough to move the anchor into it); Kafka's leader epochs
 * (a new topic begins with the number that most old ones have).
 */
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/kafka_trouble.h"
#include "common/log.h"
#include "consumer/ledger.h"
#include "consumer/start.h"
#include "consumer/worker_state.h"

#define WATCH_US      INT64_C(60000000)
#define LOST_US       INT64_C(500000)
#define MOST_SLACK_US INT64_C(1000000)
#define EVENTS_A_US   2 /* some ten times what a disk and a network take of the smallest messages */

/* ---- messages that the ledger knows ---- */

static void log_anchor_gone(const struct worker *worker, const struct source_topic_partition *topic_partition)
{
    log_warn("a stored message is gone from Kafka: its place cannot be verified",
             "topic=%s topic_partition=%" PRId32 " anchor_offset=%" PRId64, source_topic(worker->source),
             topic_partition->claim.topic_partition, topic_partition->anchors[topic_partition->anchors_met].offset);
}

bool worker_meet_anchor(struct worker *worker, struct source_topic_partition *topic_partition, const rd_kafka_message_t *message)
{
    uint8_t hash[ANCHOR_HASH_BYTES];
    anchor_hash(hash, message->payload, message->len);
    switch (anchor_judge(&topic_partition->anchors[topic_partition->anchors_met], message->offset, hash)) {
    case ANCHOR_MATCHES: topic_partition->has_matched = true; break;
    case ANCHOR_UNVERIFIABLE: log_anchor_gone(worker, topic_partition); break;
    case ANCHOR_DIFFERS:
        log_error("another message stands where a stored one was: the topic was truncated or recreated; not read until a "
                  "person has looked",
                  "topic=%s topic_partition=%" PRId32 " offset=%" PRId64, source_topic(worker->source), message->partition,
                  message->offset);
        source_stop(worker->source, topic_partition,
                    "another message stands where a stored one was: its log was truncated and has grown again, or the topic was "
                    "made anew; tallymill audit names the place");
        return true;
    }
    topic_partition->anchors_met++;
    if (!source_is_proving(topic_partition))
        return message->offset < topic_partition->expected_offset; /* the anchor itself, mostly */
    source_seek(worker->source, topic_partition);
    return true;
}

void worker_miss_anchors(struct worker *worker, struct source_topic_partition *topic_partition)
{
    log_anchor_gone(worker, topic_partition);
    topic_partition->anchors_met = topic_partition->anchor_count;
}

bool worker_name_topic(struct worker *worker, struct error *err)
{
    int count;
    bool has_matched = false;
    const struct source_topic_partition *topic_partitions = source_topic_partitions(worker->source, &count);
    for (int i = 0; worker->assignment.name_wanted && i < count; i++) {
        if (topic_partitions[i].is_waiting || topic_partitions[i].is_stopped || source_is_proving(&topic_partitions[i]))
            return true;
        has_matched |= topic_partitions[i].has_matched;
    }
    if (!worker->assignment.name_wanted || !has_matched)
        return true;
    worker->assignment.name_wanted = false;
    return ledger_name_topic(worker->connection.conn, source_topic(worker->source), worker->assignment.topic_id, err);
}

/* ---- the topic's id ---- */

static bool is_same(const struct worker *worker)
{
    return worker->identity.state == IDENTITY_KNOWN && strcmp(worker->identity.topic_id, worker->assignment.topic_id) == 0 &&
           strcmp(worker->identity.cluster_id, worker->assignment.cluster_id) == 0;
}

/* Whatever is behind the name now: the next claim finds out, and says so. */
static void note_another(struct worker *worker)
{
    const struct identity *identity = &worker->identity;
    log_error("this is not the topic that is stored any more: looking which one it is",
              "topic=%s topic_id=%s cluster_id=%s now_topic_id=%s now_cluster_id=%s", source_topic(worker->source),
              worker->assignment.topic_id, worker->assignment.cluster_id,
              identity->state == IDENTITY_GONE ? "(gone)" : identity->topic_id, identity->cluster_id);
    worker->assignment.resync = true;
}

/* How old an answer may be: a topic made anew since is no danger before its log has grown past the batch's begin, and nobody fills
 * one topic partition faster than EVENTS_A_US. So a log of millions is asked about once a second, and a young one for each batch.
 */
static int64_t slack_us(const struct batch *batch)
{
    int64_t slack_us = MOST_SLACK_US;
    for (int i = 0; i < batch->range_count; i++)
        if (batch->ranges[i].first_offset / EVENTS_A_US < slack_us)
            slack_us = batch->ranges[i].first_offset / EVENTS_A_US;
    return slack_us;
}

void worker_hold(struct worker *worker, int64_t now_us)
{
    if (worker->assignment.topic_id[0] == '\0' && worker->lost_us == 0)
        return;
    worker->proof_since_us = worker->lost_us != 0 ? now_us : now_us - slack_us(worker->batches.sending);
    if (worker->proof_since_us < 1)
        worker->proof_since_us = 1;
    transaction_hold(worker->transaction);
    worker_prove(worker, now_us);
}

void worker_prove(struct worker *worker, int64_t now_us)
{
    struct identity *identity = &worker->identity;
    struct error why;
    if (worker->proof_since_us == 0)
        return;
    identity_look(identity, source_handle(worker->source));
    if (identity->told_us >= worker->proof_since_us && is_same(worker)) {
        worker->proof_since_us = 0;
        transaction_release(worker->transaction);
        return;
    }
    const bool is_other = identity->told_us >= worker->proof_since_us, has_failed = identity->failed_us >= worker->proof_since_us;
    if (!is_other && !has_failed) {
        identity_ask(identity, source_handle(worker->source), source_topic(worker->source), worker->answers_fd, now_us);
        return;
    }
    if (!transaction_is_held(worker->transaction)) { /* it can be given up only there */
        identity->failed_us = 0;
        return;
    }
    worker->proof_since_us = 0;
    if (is_other) {
        note_another(worker);
        error_set(&why, ERROR_RETRY, "its events may be of another topic of that name");
    } else {
        error_set(&why, ERROR_RETRY, "Kafka does not say whether this is still the same topic: %s", identity->error.text);
    }
    transaction_give_up(worker->transaction, &why);
}

void worker_watch_topic(struct worker *worker, int64_t now_us)
{
    struct identity *identity = &worker->identity;
    int count;
    source_topic_partitions(worker->source, &count);
    if (source_take_lost(worker->source))
        worker->lost_us = now_us;
    if (worker->lost_us != 0)
        outage_note(&worker->kafka_outage, NULL, now_us);
    if (assignment_is_due(&worker->assignment) || worker->assignment.is_revoked || worker->proof_since_us != 0)
        return;
    if (identity_look(identity, source_handle(worker->source))) /* librdkafka says so once, or not at all */
        worker_refusal_of_topic(worker, &identity->error, now_us);
    if (identity->told_us > worker->watched_us) {
        worker->watched_us = identity->told_us;
        worker->lost_us = identity->told_us > worker->lost_us ? 0 : worker->lost_us;
        if (worker->lost_us == 0 && worker->kafka_outage.since_us != 0)
            kafka_trouble_over();
        if (worker->lost_us == 0)
            outage_over(&worker->kafka_outage, now_us);
        if (count > 0 && !is_same(worker)) {
            note_another(worker);
            return;
        }
    }
    const int64_t last_us = identity->told_us > identity->failed_us ? identity->told_us : identity->failed_us;
    if (now_us - last_us >= (worker->lost_us != 0 ? LOST_US : WATCH_US))
        identity_ask(identity, source_handle(worker->source), source_topic(worker->source), worker->answers_fd, now_us);
}
