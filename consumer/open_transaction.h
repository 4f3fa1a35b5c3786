/* open_transaction.h - topic partitions that a producer's open transaction keeps from being read. Main thread. */
#ifndef TALLYMILL_CONSUMER_OPEN_TRANSACTION_H
#define TALLYMILL_CONSUMER_OPEN_TRANSACTION_H

#include <stdbool.h>

struct source;

/* Once a second. Notes since when in blocked_since_us; after 10 s one warning a minute for each topic partition. is_read: Kafka's
 * queue has been read all the time since the last look; false begins the 10 s anew. */
void open_transaction_look(struct source *source, bool is_read);

#endif
