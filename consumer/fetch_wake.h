/* fetch_wake.h - fetching goes on as soon as there is room again.
 *
 * librdkafka sends no fetch while its queue is full, and the thread that would send the next one looks again only when something
 * happens to it: with nothing under way, after a second, in which a worker takes 80,000 events. Measured with a queue of 37,000: it ran
 * dry for 130 to 210 ms after every eighth batch of a drain, 13 % of its time; the queue of prefetch.h is half as long. Releases from 2.2.0 on have a
 * property for it (fetch.queue.backoff.ms). For older ones a request is sent that nobody needs the answer of: it passes through the
 * same thread, which then fetches. Once per quarter of a queue taken without a pause, some twenty a second in a drain. When the queue
 * runs dry before that, it was not full for long.
 *
 * The request goes to the leaders. With kafka.client.rack and an old release the followers' threads are not woken: then the queue should be
 * larger (kafka.queued.max.messages.kbytes), or librdkafka newer.
 *
 * Rejected: pausing and resuming topic partitions (throws away what is fetched); a queue of its own for each (their number is not
 * known when librdkafka wants to be told the limit of one).
 *
 * One thread.
 */
#ifndef TALLYMILL_FETCH_WAKE_H
#define TALLYMILL_FETCH_WAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

/* Milliseconds, as the property's value: how long a release that has it waits before it looks again. */
#define FETCH_WAKE_PROPERTY "fetch.queue.backoff.ms"
#define FETCH_WAKE_MS       "10"

struct fetch_wake {
    bool is_needed;
    int64_t every_bytes, every_messages; /* a quarter of what makes the queue full */
    int64_t bytes, messages;             /* taken since the last request, or since the queue was dry */
};

/* True when this release has the property. */
bool fetch_wake_has_property(void);

/* The limits are those of the finished configuration, an operator's own among them. */
void fetch_wake_init(struct fetch_wake *wake, const rd_kafka_conf_t *conf);

/* Another message of so many bytes was taken. True: time for fetch_wake_send. */
bool fetch_wake_is_due(struct fetch_wake *wake, size_t bytes);

/* There was nothing to take. */
void fetch_wake_dry(struct fetch_wake *wake);

/* Sends a request to the leaders of these topic partitions. Waits for nothing, and a failure means nothing. */
void fetch_wake_send(struct fetch_wake *wake, rd_kafka_t *handle, rd_kafka_topic_partition_list_t *partitions);

#endif
