/* kafka_reach.h - whether the leader of every topic partition can be reached from here: the part of Kafka that only shows with the
 * second connection, because brokers say themselves under which names they are found. */
#ifndef TALLYMILL_COMMON_KAFKA_REACH_H
#define TALLYMILL_COMMON_KAFKA_REACH_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

struct error;

/* Asks each leader for an offset, all side by side, in at most timeout_ms. found() is called for each broker that does not answer,
 * with its topic partitions and what is known of the reason, and for topic partitions without a leader. True when it was never
 * called. */
typedef void kafka_reach_found(void *context, const struct error *err);
bool kafka_reach(rd_kafka_t *handle, const char *topic, int timeout_ms, kafka_reach_found *found, void *context);

#endif
