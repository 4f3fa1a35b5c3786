/* channel.h - messages to one topic through librdkafka: over the death of its idempotent producer, while rights are missing, and in
 * batches that the topic takes; and what is known of why they do not arrive.
 *
 * One thread (the courier's) sends and serves; every callback comes in its calls. channel_check, channel_is_up and channel_reason
 * may come from any thread.
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_CHANNEL_H
#define TALLYMILL_PRODUCER_LIBRARY_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include <tallymill/producer.h>

#include "common/error.h"
#include "producer/library/channel_hooks.h"
#include "producer/library/event.h"

struct channel;

/* Takes conf (which the caller has filled from options.c) whatever the outcome. NULL: *err. */
MUST_CHECK struct channel *channel_open(rd_kafka_conf_t *conf, const char *topic, channel_delivered *delivered, channel_log *log,
                                        void *context, struct tally_error *err);

/* A tag is any number below 2^56. Headers travel as the message's extra says; its tag does not. */

/* Queues copies of the first messages, in order, and returns how many; fewer than `count` (at most CHANNEL_BATCH) when there is no
 * room now, or while what came back waits to be sent again. tags may be NULL: all 0. Never waits. */
size_t channel_send(struct channel *channel, const struct event_message *messages, const uint64_t *tags, size_t count);

/* Messages that have not come back yet. */
size_t channel_pending(const struct channel *channel);

/* Waits up to timeout_ms for deliveries, replaces a handle that is of no use any more, and asks Kafka what is wrong when nothing
 * arrives. */
void channel_serve(struct channel *channel, int timeout_ms);

/* Before channel_open: the application brings the tokens of SASL's OAUTHBEARER. */
void channel_ask_for_tokens(rd_kafka_conf_t *conf);
/* Right behind it: who is asked for them. */
void channel_tell_token(struct channel *channel, channel_token_asked *asked);
/* Any thread; see tally_oauth_token. False: OAUTHBEARER is not in use. */
MUST_CHECK enum tally_code channel_token(struct channel *channel, const char *token, int64_t expires_us, const char *principal,
                                         const struct tally_setting *extensions, struct tally_error *err);
bool channel_token_failed(struct channel *channel, const char *reason);

/* From the delivery callback: leave what else came back for the next channel_serve. */
void channel_yield(struct channel *channel);

/* The number of the topic's topic partitions; see tally_check. */
MUST_CHECK enum tally_code channel_check(struct channel *channel, int timeout_ms, int *topic_partitions, struct tally_error *err);

/* Does Kafka take messages, as far as is known? */
bool channel_is_up(struct channel *channel);
/* Why messages do not arrive, as one line ("" when nothing is known to be wrong). Returns `text`. */
const char *channel_reason(struct channel *channel, char text[CHANNEL_REASON_BYTES]);

/* Gives up what is still queued or in flight, tells it to the callback, and frees. */
void channel_close(struct channel *channel);

/* For tests: the handle in use now, and how often it was replaced. */
rd_kafka_t *channel_handle(struct channel *channel);
unsigned channel_replacements(const struct channel *channel);

#endif
