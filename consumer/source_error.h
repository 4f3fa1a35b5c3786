/* source_error.h - what a message of librdkafka that is an error means for the source: the end of a topic partition, another topic
 * by its name, data that cannot be read (its topic partition stops, so that nothing is passed over), or the end of this member.
 * Main thread.
 */
#ifndef TALLYMILL_CONSUMER_SOURCE_ERROR_H
#define TALLYMILL_CONSUMER_SOURCE_ERROR_H

#include "consumer/source.h"

/* message->err is set; the message stays the caller's. partition: the one of ours that it is about, or NULL. SOURCE_END sets
 * *end_offset, SOURCE_FATAL sets err. */
MUST_CHECK enum source_event source_error_take(struct source *source, const rd_kafka_message_t *message,
                                               struct source_partition *partition, int64_t *end_offset, struct error *err);

#endif
