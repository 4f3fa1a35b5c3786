/* open_transaction.h - topic partitions that a producer's open transaction keeps from being read. Main thread. */
#ifndef TALLYMILL_CONSUMER_OPEN_TRANSACTION_H
#define TALLYMILL_CONSUMER_OPEN_TRANSACTION_H

struct source;

/* Once a second. Notes since when in blocked_since_us; after 10 s one warning a minute for each topic partition. */
void open_transaction_look(struct source *source);

#endif
