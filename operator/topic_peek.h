/* topic_peek.h - single messages of a topic, read where they stand: without a group, and without a right to one. One thread. */
#ifndef TALLYMILL_OPERATOR_TOPIC_PEEK_H
#define TALLYMILL_OPERATOR_TOPIC_PEEK_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "common/error.h"

/* Where to read. */
struct topic_place {
    int32_t topic_partition;
    int64_t offset;
    bool is_taken; /* false before the call; its own afterwards */
};

/* What stands at places[place]: the message there, or the first one behind; NULL: there is none. Borrowed for the call. */
typedef void topic_peeked(void *context, int place, const rd_kafka_message_t *message);

/* Calls peeked() once for each place, in the order in which Kafka delivers. Places are sorted by topic partition and offset. False:
 * ERROR_RETRY, where nothing was delivered for timeout_ms; else what Kafka refuses. client: of topic_client(). */
MUST_CHECK bool topic_peek(rd_kafka_t *client, const char *name, struct topic_place *places, int count, int timeout_ms,
                           topic_peeked *peeked, void *context, struct error *err);

#endif
