/* audit_anchor.c - whether a log is the one that was stored: anchors, messages that the ledger knows, are read again and must be
 * the same messages. The last of each topic partition always; older ones too where the topic's id does not tell.
 *
 * Offsets alone do not tell. A log that was truncated, or a topic made anew, is another log as soon as it has grown past the old
 * position: the worker has stopped there, and an audit by offsets would say that nothing is lost.
 */
#include "operator/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/anchor.h"
#include "operator/topic_peek.h"

enum { KAFKA_TIMEOUT_MS = 10000 };

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
        struct finding finding = finding_make(
            "other log", anchor->is_last ? "another message stands where the last stored one was: the log was truncated and has "
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

/* The anchors of one topic, place by place. */
struct compared {
    struct audit *audit;
    const struct audit_anchor *anchors;
};

static void compare(void *context, int place, const rd_kafka_message_t *message)
{
    const struct compared *compared = context;
    judge(compared->audit, &compared->anchors[place], message);
}

void audit_anchors_compare(struct audit *audit, rd_kafka_t *client, const char *name, const struct audit_anchor *anchors, int count)
{
    struct error err = {0};
    struct compared compared = {audit, anchors};
    struct topic_place *places = calloc((size_t)count + 1, sizeof *places);
    if (!places) {
        error_set(&err, ERROR_RETRY, "out of memory");
    }
    for (int i = 0; places && i < count; i++) {
        places[i] = (struct topic_place){.topic_partition = anchors[i].topic_partition, .offset = anchors[i].offset};
    }
    if (!places || !topic_peek(client, name, places, count, KAFKA_TIMEOUT_MS, compare, &compared, &err)) {
        snprintf(audit->kafka_silence, sizeof audit->kafka_silence, "%s", err.text);
    }
    free(places);
}
