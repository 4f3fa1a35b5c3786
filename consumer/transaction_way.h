/* transaction_way.h - how the rows of a batch go into the table. */
#ifndef TALLYMILL_CONSUMER_TRANSACTION_WAY_H
#define TALLYMILL_CONSUMER_TRANSACTION_WAY_H

/* The fastest way; the way for events that may be stored already; and the way for those where the table takes no INSERT ... ON
 * CONFLICT (it has a rule, or a deferrable twin of the key). */
enum transaction_way { BY_COPY, BY_INSERT, BY_LOOK_UP };

#endif
