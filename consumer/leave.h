/* leave.h - leaves the consumer group within a deadline, and ends the handle. */
#ifndef TALLYMILL_CONSUMER_LEAVE_H
#define TALLYMILL_CONSUMER_LEAVE_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

/* How long a worker that leaves for good waits until the group was told: for the end of a rebalance that is under way. */
enum { LEAVE_FOR_GOOD_S = 10 };

/* Closes the consumer for at most 2.5 s, answers the last revocation, and destroys the handle and its queue (NULL: none was taken).
 * for_good: nobody of this name comes back soon; before that the topic partitions are given up and the group is told, for at most
 * LEAVE_FOR_GOOD_S (a warning where that does not suffice): without it the group keeps a static member's place, and its topic
 * partitions wait for it. The rebalance callback must answer a revocation at once. False: it is not closed, which the log tells;
 * then the handle is still there, and must not be destroyed but by leave_aside(), which would wait as well: let it end with the
 * process. */
bool leave_handle(rd_kafka_t *handle, rd_kafka_queue_t *queue, const char *topic, bool for_good);

/* Says in the log what becomes of the topic partitions then. */
void leave_tell(rd_kafka_t *handle, const char *topic, bool for_good);

/* Destroys a handle that leave_handle() has left, by a thread that waits for the group as long as that takes. Without a thread it
 * is left to the end of the process. */
void leave_aside(rd_kafka_t *handle);

#endif
