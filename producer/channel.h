/* channel.h - messages to one topic through librdkafka, over the death of its idempotent producer.
 *
 * channel_send may be called from any thread; channel_serve, and with it every callback, from one thread only.
 */
#ifndef TALLYMILL_CHANNEL_H
#define TALLYMILL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include <librdkafka/rdkafka.h>

#include <tallymill/producer.h>

#include "event.h"

struct channel;

/* Each message that was sent comes back once, acknowledged or given up. Called inside channel_serve and channel_close. */
typedef void channel_delivered(void *context, const rd_kafka_message_t *message);
/* May come from threads of librdkafka. */
typedef void channel_log(void *context, int level, const char *text);

/* Takes conf (which the caller has filled from options.c) whatever the outcome. NULL: *err. */
struct channel *channel_open(rd_kafka_conf_t *conf, const char *topic, channel_delivered *delivered, channel_log *log,
                             void *context, struct tally_error *err);

/* Queues a copy. RD_KAFKA_RESP_ERR__QUEUE_FULL: no room now (also while a dead handle is being replaced). Never waits. */
rd_kafka_resp_err_t channel_send(struct channel *channel, const struct event_message *message);

/* Waits up to timeout_ms for deliveries, and replaces a handle that librdkafka declared dead. */
void channel_serve(struct channel *channel, int timeout_ms);

/* The number of the topic's topic partitions; see tally_check. */
enum tally_code channel_check(struct channel *channel, int timeout_ms, int *topic_partitions, struct tally_error *err);

/* Gives up what is still queued or in flight, tells it to the callback, and frees. */
void channel_close(struct channel *channel);

/* For tests: the handle in use now, and how often it was replaced. */
rd_kafka_t *channel_handle(struct channel *channel);
unsigned channel_replacements(const struct channel *channel);

#endif
