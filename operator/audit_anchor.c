/* audit_anchor.c - whether a log is the one that was stored: the anchor, the last message that the ledger knows of a topic
 * partition, is read again and must be the same message.
 *
 * Offsets alone do not tell. A log that was truncated, or a topic made anew, is another log as soon as it has grown past the old
 * position: the worker has stopped there, and an audit by offsets would say that nothing is lost. Kafka's leader epochs would tell,
 * but librdkafka 2.0.2 does not hand them out with a message. One message a topic partition is read, one after the other, by the
 * simple consumer: it needs no group, and so no right to one.
 */
#include "audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "anchor.h"
#include "clock.h"
#include "kafka.h"

enum { KAFKA_TIMEOUT_MS = 10000 };

/* Whether the code says that the log has no message there or behind it. */
static bool is_nothing_there(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__PARTITION_EOF || code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
           code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
}

/* The message at the offset, or the first behind it. NULL: there is none, or Kafka does not deliver (err says so). */
static rd_kafka_message_t *read_at(rd_kafka_topic_t *topic, int32_t topic_partition, int64_t offset, struct error *err)
{
    static const char doing[] = "reading the last stored message again";
    const int64_t deadline_us = clock_now_us() + KAFKA_TIMEOUT_MS * INT64_C(1000);
    if (rd_kafka_consume_start(topic, topic_partition, offset) != 0) {
        kafka_error(err, rd_kafka_last_error(), doing);
        return NULL;
    }
    rd_kafka_message_t *message;
    while (true) {
        const int64_t left_us = deadline_us - clock_now_us();
        message = left_us > 0 ? rd_kafka_consume(topic, topic_partition, (int)(left_us / 1000) + 1) : NULL;
        if (!message) {
            error_set(err, ERROR_RETRY, "%s: Kafka did not deliver offset %" PRId64 " within %d ms", doing, offset,
                      KAFKA_TIMEOUT_MS);
            break;
        }
        const rd_kafka_resp_err_t code = message->err;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            break;
        }
        rd_kafka_message_destroy(message);
        message = NULL;
        if (is_nothing_there(code)) {
            break;
        }
        if (kafka_kind(code) != ERROR_RETRY) { /* else a broker that comes back is waited for */
            kafka_error(err, code, doing);
            break;
        }
    }
    rd_kafka_consume_stop(topic, topic_partition);
    return message;
}

static void judge(struct audit *audit, const struct audit_anchor *anchor, const rd_kafka_message_t *message)
{
    if (!message || message->offset != anchor->offset) {
        audit_note(audit,
                   "topic %s, topic partition %" PRId32 ": the last stored message, at offset %" PRId64
                   ", is gone from Kafka: whether the log is the same cannot be told",
                   anchor->topic, anchor->topic_partition, anchor->offset);
        return;
    }
    uint8_t hash[ANCHOR_HASH_BYTES];
    char digits[2 * ANCHOR_HASH_BYTES + 1];
    anchor_hash(hash, message->payload, message->len);
    for (int byte = 0; byte < ANCHOR_HASH_BYTES; byte++) {
        snprintf(digits + 2 * byte, 3, "%02x", hash[byte]);
    }
    if (strcmp(digits, anchor->hash) != 0) {
        struct finding finding =
            finding_make("other log", "another message stands where the last stored one was: the log was truncated and has "
                                      "grown again, or the topic was made anew; it is not read on");
        finding.topic = anchor->topic;
        finding.topic_partition = anchor->topic_partition;
        finding.first_offset = anchor->offset;
        finding.next_offset = anchor->offset + 1;
        audit_damage(audit, &finding);
    }
}

void audit_anchor_compare(struct audit *audit, rd_kafka_t *client, const struct audit_anchor *anchor, int64_t low)
{
    struct error err = {0};
    if (anchor->offset < low) {
        judge(audit, anchor, NULL);
        return;
    }
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, anchor->topic, NULL);
    if (!topic) {
        kafka_error(&err, rd_kafka_last_error(), "opening the topic");
    } else {
        rd_kafka_message_t *message = read_at(topic, anchor->topic_partition, anchor->offset, &err);
        if (err.kind == ERROR_NONE) {
            judge(audit, anchor, message);
        }
        if (message) {
            rd_kafka_message_destroy(message);
        }
        rd_kafka_topic_destroy(topic);
    }
    if (err.kind != ERROR_NONE) {
        error_wrap(&err, "topic %s, topic partition %" PRId32, anchor->topic, anchor->topic_partition);
        snprintf(audit->kafka_silence, sizeof audit->kafka_silence, "%s", err.text);
    }
}
