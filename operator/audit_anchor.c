/* audit_anchor.c - whether a log is the one that was stored: anchors, messages that the ledger knows, are read again and must be the
 * same messages. The last of each topic partition always; older ones too where the topic's id does not tell.
 *
 * Offsets alone do not tell. A log that was truncated, or a topic made anew, is another log as soon as it has grown past the old
 * position: the worker has stopped there, and an audit by offsets would say that nothing is lost. One message of each of many topic
 * partitions is read at a time, side by side over one queue, by the simple consumer: it needs no group, and so no right to one.
 */
#include "operator/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/anchor.h"
#include "common/clock.h"
#include "common/kafka.h"

enum { KAFKA_TIMEOUT_MS = 10000, SIDE_BY_SIDE = 200 };

static const char doing[] = "reading a stored message again";

/* Those that are read now: each of another topic partition. */
struct window {
    struct audit_anchor *anchors[SIDE_BY_SIDE]; /* NULL: it was read */
    int count, left;
};

/* Whether the code says that the log has no message there or behind it. */
static bool is_nothing_there(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__PARTITION_EOF || code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
           code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
}

static void note_gone(struct audit *audit, const struct audit_anchor *anchor)
{
    if (anchor->is_last) {
        audit_note(audit,
                   "topic %s, topic partition %" PRId32 ": the last stored message, at offset %" PRId64
                   ", is gone from Kafka: whether the log is the same cannot be told",
                   anchor->topic, anchor->topic_partition, anchor->offset);
    }
}

static void judge(struct audit *audit, const struct audit_anchor *anchor, const rd_kafka_message_t *message)
{
    if (!message || message->offset != anchor->offset) {
        note_gone(audit, anchor);
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
            finding_make("other log", anchor->is_last ? "another message stands where the last stored one was: the log was truncated and has "
                                                        "grown again, or the topic was made anew; it is not read on"
                                                      : "another message stands where a stored one was: the topic was made anew, and what "
                                                        "the new one holds below the ledger's position is not stored");
        finding.topic = anchor->topic;
        finding.topic_partition = anchor->topic_partition;
        finding.first_offset = anchor->offset;
        finding.next_offset = anchor->offset + 1;
        audit_damage(audit, &finding);
    }
}

/* Its place in the window; -1: not of it, or read before. */
static int place_of(const struct window *window, int32_t topic_partition)
{
    for (int i = 0; i < window->count; i++) {
        if (window->anchors[i] && window->anchors[i]->topic_partition == topic_partition) {
            return i;
        }
    }
    return -1;
}

static void close_place(struct window *window, rd_kafka_topic_t *topic, int place)
{
    rd_kafka_consume_stop(topic, window->anchors[place]->topic_partition);
    window->anchors[place] = NULL;
    window->left--;
}

/* One answer: a message, an end, an error. False: Kafka does not deliver. */
static bool take(struct audit *audit, struct window *window, rd_kafka_topic_t *topic, const rd_kafka_message_t *message, struct error *err)
{
    const int place = place_of(window, message->partition);
    const rd_kafka_resp_err_t code = message->err;
    if (place < 0 || (code != RD_KAFKA_RESP_ERR_NO_ERROR && !is_nothing_there(code) && kafka_kind(code) == ERROR_RETRY)) {
        return true; /* a broker that comes back is waited for */
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !is_nothing_there(code)) {
        return kafka_error(err, code, doing);
    }
    const struct audit_anchor *anchor = window->anchors[place];
    close_place(window, topic, place);
    judge(audit, anchor, code == RD_KAFKA_RESP_ERR_NO_ERROR ? message : NULL);
    return true;
}

static bool read_window(struct audit *audit, struct window *window, rd_kafka_t *client, rd_kafka_topic_t *topic, struct error *err)
{
    bool is_read = true;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    window->left = window->count;
    for (int i = 0; i < window->count; i++) {
        if (rd_kafka_consume_start_queue(topic, window->anchors[i]->topic_partition, window->anchors[i]->offset, queue) != 0) {
            is_read = kafka_error(err, rd_kafka_last_error(), doing);
            window->count = i;
        }
    }
    int64_t deadline_us = clock_now_us() + KAFKA_TIMEOUT_MS * INT64_C(1000);
    for (int left = window->left; is_read && window->left > 0;) {
        const int64_t left_us = deadline_us - clock_now_us();
        rd_kafka_message_t *message = left_us > 0 ? rd_kafka_consume_queue(queue, (int)(left_us / 1000) + 1) : NULL;
        is_read = message ? take(audit, window, topic, message, err)
                          : error_set(err, ERROR_RETRY, "%s: Kafka did not deliver within %d ms", doing, KAFKA_TIMEOUT_MS);
        if (message) {
            rd_kafka_message_destroy(message);
        }
        if (window->left < left) { /* it moves */
            left = window->left;
            deadline_us = clock_now_us() + KAFKA_TIMEOUT_MS * INT64_C(1000);
        }
    }
    for (int i = 0; i < window->count; i++) {
        if (window->anchors[i]) {
            close_place(window, topic, i);
        }
    }
    rd_kafka_queue_destroy(queue);
    return is_read;
}

/* The next anchors, one of each topic partition at most, from those that were not taken yet. */
static void fill_window(struct window *window, struct audit_anchor *anchors, int count)
{
    window->count = 0;
    int32_t topic_partition = -1;
    for (int i = 0; i < count && window->count < SIDE_BY_SIDE; i++) {
        if (!anchors[i].is_taken && anchors[i].topic_partition != topic_partition) {
            anchors[i].is_taken = true;
            topic_partition = anchors[i].topic_partition;
            window->anchors[window->count++] = &anchors[i];
        }
    }
}

void audit_anchors_compare(struct audit *audit, rd_kafka_t *client, const char *name, struct audit_anchor *anchors, int count)
{
    struct error err = {0};
    struct window window;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    if (!topic) {
        kafka_error(&err, rd_kafka_last_error(), "opening the topic");
    }
    for (fill_window(&window, anchors, count); topic && window.count > 0 && err.kind == ERROR_NONE;
         fill_window(&window, anchors, count)) {
        read_window(audit, &window, client, topic, &err);
    }
    if (topic) {
        rd_kafka_topic_destroy(topic);
    }
    if (err.kind != ERROR_NONE) {
        error_wrap(&err, "topic %s", name);
        snprintf(audit->kafka_silence, sizeof audit->kafka_silence, "%s", err.text);
    }
}
