/* kafka.h - librdkafka configured from the settings, its errors as ours, and the topic made where it is missing.
 *
 * librdkafka 2.6.1 up to the current release (kafka_version.h). Plain librdkafka handles underneath.
 */
#ifndef TALLYMILL_COMMON_KAFKA_H
#define TALLYMILL_COMMON_KAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "common/error.h"

struct settings;

/* A librdkafka property that the program must decide itself. One that an operator sets through kafka.* all the same is an error
 * that names it. */
struct kafka_forced {
    const char *name, *value;
};

/* A configuration with, in this order: `defaults` (may be overridden by kafka.*), the kafka.* settings, `forced` (an error if also
 * set). Lists end with a NULL name, or are NULL. client.id is "tallymill" unless set, brokers are not asked to make topics; log
 * lines of librdkafka go to our log. NULL: ERROR_USAGE naming key and reason. Also refuses a missing kafka.bootstrap.servers. Owned
 * by the caller until rd_kafka_new takes it. */
MUST_CHECK rd_kafka_conf_t *kafka_conf(const struct settings *settings, const struct kafka_forced *defaults,
                                       const struct kafka_forced *forced, struct error *err);

/* For a configuration that was made elsewhere: log lines of librdkafka go to our log, and why a broker does not let us in is known.
 */
void kafka_conf_watch(rd_kafka_conf_t *conf);

/* Opens a handle; on failure the conf is destroyed. ERROR_USAGE. */
MUST_CHECK rd_kafka_t *kafka_open(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct error *err);

/* What a Kafka error code asks for: RETRY (transport, leader moving, time-out), USAGE (unknown topic, authorization), FATAL
 * (fenced, data lost). */
enum error_kind kafka_kind(rd_kafka_resp_err_t code);

/* err from a code, with what was being done. Returns false. */
bool kafka_error(struct error *err, rd_kafka_resp_err_t code, const char *doing);

/* The number of topic partitions. ERROR_USAGE when the topic does not exist ("run: tallymill migrate"), ERROR_RETRY when no broker
 * answers. */
MUST_CHECK bool kafka_topic_partitions(rd_kafka_t *handle, const char *topic, int timeout_ms, int *count, struct error *err);

enum { KAFKA_TOPIC_ID_BYTES = 32 };

/* The topic's id (KIP-516) as text, as Kafka's own tools show it; "" where the broker gives none (before 2.8). */
void kafka_topic_id(const rd_kafka_TopicDescription_t *description, char id[KAFKA_TOPIC_ID_BYTES]);

/* Makes the topic unless it exists. `config` ends with a NULL name. *made says which; *count is the number of topic partitions it
 * has (to be used rather than asked for again: the next question may reach a broker that has not heard of a new topic). replication
 * is lowered to the number of brokers, at most 3. */
MUST_CHECK bool kafka_topic_make(rd_kafka_t *handle, const char *topic, int partitions, int replication,
                                 const struct kafka_forced *config, int timeout_ms, bool *made, int *count, struct error *err);

/* The same, but the brokers only judge the request and make nothing. *is_missing: it is not there, and would be made. */
MUST_CHECK bool kafka_topic_try(rd_kafka_t *handle, const char *topic, int partitions, int replication,
                                const struct kafka_forced *config, int timeout_ms, bool *is_missing, int *count, struct error *err);

#endif
