/* leave.h - leaves the consumer group within a deadline. */
#ifndef TALLYMILL_CONSUMER_LEAVE_H
#define TALLYMILL_CONSUMER_LEAVE_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

/* Closes the consumer for at most 2.5 s, and answers the last revocation. False: it is not closed; then do not destroy the handle,
 * which would wait as well, but let it end with the process. */
bool leave_group(rd_kafka_t *handle);

/* To be called before it, where nobody of this name comes back soon: gives the topic partitions up, and waits at most 2 s until the group was told. Without it the group keeps
 * a static member's place, and its topic partitions wait for it. The rebalance callback must answer a revocation at once. */
void leave_for_good(rd_kafka_t *handle);

#endif
