/* audit.h - what the parts of `tallymill audit` share: the state of one audit, and how a damage is added to it. One thread. */
#ifndef TALLYMILL_OPERATOR_AUDIT_H
#define TALLYMILL_OPERATOR_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <librdkafka/rdkafka.h>

#include "common/error.h"
#include "operator/finding.h"

struct settings;
struct snapshot;

struct audit {
    const struct settings *settings;
    struct snapshot *snapshot;
    bool as_json, is_deep, is_without_kafka; /* the options */
    const char *metrics_path;                /* --metrics, or NULL */
    const char *own_topic;                   /* that of --topic, else topics.events */
    bool is_one_topic;                       /* --topic: the others are left aside */
    bool is_known, is_retired;               /* own_topic: the books know it; they are closed */
    int64_t damages;                         /* of all checks */
    int64_t check_damages;                   /* of the check at hand */
    int64_t consumed, unread;                /* offsets of all topics */
    int64_t gaps, skipped;
    int64_t rows_counted;
    char kafka_silence[ERROR_TEXT_BYTES]; /* why Kafka was not compared; "" when it was */
    json_t *json;                         /* topics, checks, damages: filled with as_json */
};

/* Counts a damage, and prints it or keeps it for the JSON. */
void audit_damage(struct audit *audit, const struct finding *finding);

/* Says something that is no damage, under the check at hand. */
void audit_note(struct audit *audit, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A message that the ledger knows of a topic partition. Texts are borrowed. */
struct audit_anchor {
    const char *topic;
    int32_t topic_partition;
    int64_t offset;
    const char *hash; /* anchor_hash in hexadecimal digits */
    bool is_last;     /* of its topic partition */
};

/* Reads the messages at these anchors of one topic again, sorted by topic partition and offset, none before the begin of its log:
 * another one there is a damage, none a note. Sets kafka_silence where Kafka does not deliver for 10 s. */
void audit_anchors_compare(struct audit *audit, rd_kafka_t *client, const char *name, const struct audit_anchor *anchors,
                           int count);

/* Compares the ledger with what Kafka has now; sets kafka_silence where no broker answers. False: the database failed, or the
 * settings are wrong. */
MUST_CHECK bool audit_kafka(struct audit *audit, struct error *err);

#endif
