/* topic.h - a topic as Kafka sees it: which cluster it is on, and from which offset to which its log reaches.
 *
 * Every call has a deadline; a broker that is away is an answer, not a wait. One thread.
 */
#ifndef TALLYMILL_OPERATOR_TOPIC_H
#define TALLYMILL_OPERATOR_TOPIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/kafka.h"

struct settings;

/* The log of one topic partition: offsets [low, high). */
struct topic_log {
    int64_t low, high;
};

enum { TOPIC_CLUSTER_BYTES = 64 };

struct topic {
    char cluster_id[TOPIC_CLUSTER_BYTES]; /* "" when the brokers do not say */
    char id[KAFKA_TOPIC_ID_BYTES];        /* "" where brokers give none (before 2.8) */
    int count;                            /* topic partitions 0 .. count - 1 */
    struct topic_log *logs;               /* owned by the topic */
    bool is_absent;                       /* Kafka answers, and has no topic of that name: all else is empty */
};

/* A handle that asks and creates, and consumes no more than single messages (the simple consumer: without a group). NULL:
 * ERROR_USAGE. */
MUST_CHECK rd_kafka_t *topic_client(const struct settings *settings, struct error *err);

/* Which cluster the client is connected to; "" when the brokers do not say within `timeout_ms`. */
void topic_cluster(rd_kafka_t *client, int timeout_ms, char cluster_id[TOPIC_CLUSTER_BYTES]);

/* Reads which topic it is and the ends of all logs, within `timeout_ms` in all: three questions, whatever the number of topic
 * partitions. False: ERROR_RETRY (no broker answers, or one leader does not), ERROR_USAGE (`is_absent`: no such topic; else a
 * missing right, which tells nothing about the topic). */
MUST_CHECK bool topic_read(rd_kafka_t *client, const char *name, int timeout_ms, struct topic *topic, struct error *err);
void topic_free(struct topic *topic);

/* The value of a topic's setting ("message.timestamp.type") as the brokers hold it, NUL-terminated into `value`. */
MUST_CHECK bool topic_setting(rd_kafka_t *client, const char *name, const char *key, int timeout_ms, char *value, size_t size,
                              struct error *err);

#endif
