/* audit.h - what the parts of `tallymill audit` share: the state of one audit, and how a damage is added to it. One thread. */
#ifndef TALLYMILL_AUDIT_H
#define TALLYMILL_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <librdkafka/rdkafka.h>

#include "error.h"
#include "finding.h"

struct settings;
struct snapshot;

struct audit {
    const struct settings *settings;
    struct snapshot *snapshot;
    bool as_json, is_deep, is_without_kafka; /* the options */
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

/* The last message that the ledger knows of a topic partition. Texts are borrowed. */
struct audit_anchor {
    const char *topic;
    int32_t topic_partition;
    int64_t offset;
    const char *hash; /* anchor_hash in hexadecimal digits */
};

/* Reads the message at the anchor again, in a log that begins at `low`: another one there is a damage, none a note. Sets
 * kafka_silence where Kafka does not deliver within 10 s. */
void audit_anchor_compare(struct audit *audit, rd_kafka_t *client, const struct audit_anchor *anchor, int64_t low);

/* Compares the ledger with what Kafka has now; sets kafka_silence where no broker answers. False: the database failed, or the
 * settings are wrong. */
bool audit_kafka(struct audit *audit, struct error *err);

#endif
