/* kafka_rights.h - what our login may do in Kafka, asked before it is needed.
 *
 * Brokers tell it with the description of a topic or a group (KIP-430), and whoever may do anything may ask: nothing is read,
 * written or joined. A broker that does not tell (older than 2.3) is taken to allow it.
 */
#ifndef TALLYMILL_COMMON_KAFKA_RIGHTS_H
#define TALLYMILL_COMMON_KAFKA_RIGHTS_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

#include "common/error.h"

/* Whether our login may do `operation` with the topic, or with the consumer group. ERROR_USAGE names login, operation and the
 * command that grants it; ERROR_RETRY when nobody answers in time. A topic that does not exist may be used. A group's
 * coordinator that loads, or is not there yet, is asked again until the time is up; what it said then is told to pass by itself. */
MUST_CHECK bool kafka_rights_topic(rd_kafka_t *handle, const char *topic, rd_kafka_AclOperation_t operation, int timeout_ms,
                                   struct error *err);
MUST_CHECK bool kafka_rights_group(rd_kafka_t *handle, const char *group, rd_kafka_AclOperation_t operation, int timeout_ms,
                                   struct error *err);

/* The same error for a request that was refused. resource is "topic" or "group". Returns false. */
bool kafka_rights_error(rd_kafka_t *handle, const char *resource, const char *name, rd_kafka_AclOperation_t operation,
                        struct error *err);

#endif
