/* fetch_wake.h - fetching goes on as soon as there is room again.
 *
 * librdkafka sends no fetch while its queue is full, and the thread that would send the next one looks again only when something
 * happens to it. With nothing under way that is once a second, in which a worker takes 80,000 events out of a queue of 37,000:
 * measured, the queue ran dry for 130 to 210 ms after every eighth batch of a drain, 13 % of its time. Releases from 2.2.0 on have a
 * property for it (fetch.queue.backoff.ms). For older ones a request is sent that nobody needs the answer of: it passes through the
 * same thread, which then fetches. Once per quarter of a queue taken without a pause, about ten a second in a drain and none when
 * the queue runs dry by itself.
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
    int64_t every_bytes; /* 0: this release needs no waking */
    int64_t taken_bytes; /* since the last request, or since the queue was dry */
};

/* True when this release has the property. */
bool fetch_wake_has_property(void);

/* queue_bytes: the queue's limit. */
void fetch_wake_init(struct fetch_wake *wake, int64_t queue_bytes);

/* Another message of so many bytes was taken. True: time for fetch_wake_send. */
bool fetch_wake_is_due(struct fetch_wake *wake, size_t bytes);

/* The queue ran dry: a fetch is under way. */
void fetch_wake_dry(struct fetch_wake *wake);

/* Sends a request to the leaders of these topic partitions. Waits for nothing, and a failure means nothing. */
void fetch_wake_send(struct fetch_wake *wake, rd_kafka_t *handle, rd_kafka_topic_partition_list_t *partitions);

#endif
