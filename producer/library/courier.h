/* courier.h - the thread between an application's calls and librdkafka: it carries messages from the ring to Kafka, by way of the
 * spool if there is one, and tells what became of each.
 *
 * courier_put, courier_count, courier_flush, courier_stop, courier_poll and courier_check: any thread. The hooks are called from
 * the courier's thread (in courier_stop: from the caller's, once that thread has ended); with hooks.is_polled inside courier_poll,
 * courier_flush and courier_stop only.
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_COURIER_H
#define TALLYMILL_PRODUCER_LIBRARY_COURIER_H

#include <stdbool.h>

#include <tallymill/producer.h>

#include "common/error.h"
#include "producer/library/event.h"
#include "producer/library/options.h"

struct courier;

/* Takes what it wants of options (conf: whatever the outcome). False: *err. *courier is set before the first hook is called, which
 * may be given `producer`. */
MUST_CHECK bool courier_open(struct courier **courier, struct options *options, const struct tally_hooks *hooks,
                             struct tally_producer *producer, struct tally_error *err);

/* Hands a message over; see tally_publish. */
MUST_CHECK enum tally_code courier_put(struct courier *courier, const struct event_message *message, struct tally_error *err);

/* Is this a call from one of its hooks? There nothing waits. */
bool courier_is_inside(const struct courier *courier);

void courier_count(const struct courier *courier, struct tally_counts *counts);
/* See tally_oauth_token and tally_oauth_failed. */
MUST_CHECK enum tally_code courier_token(struct courier *courier, const char *token, int64_t expires_us, const char *principal,
                                         const struct tally_setting *extensions, struct tally_error *err);
void courier_token_failed(struct courier *courier, const char *reason);

/* A line for the log hook. */
void courier_warn(struct courier *courier, const char *text);

/* See tally_poll and tally_poll_fd. */
int courier_poll(struct courier *courier);
int courier_poll_fd(const struct courier *courier);
bool courier_flush(struct courier *courier, int timeout_ms);
MUST_CHECK enum tally_code courier_check(struct courier *courier, int timeout_ms, int *topic_partitions, struct tally_error *err);

/* Refuses new messages, flushes for up to timeout_ms, and gives up what is left (without a spool). Once; later calls do nothing.
 * Not from a hook. */
void courier_stop(struct courier *courier, int timeout_ms);

/* Frees it, stopped or not. */
void courier_close(struct courier *courier);

#endif
