/* batches.h - the worker's pair of batches: while one is sent and commits, the other takes what is read.
 *
 *     filling:  empty  ->  filled  ->  full, and a message left over
 *     sending:  empty  ->  under way (batches_turn)  ->  committed, emptied when the next is under way (batches_release)
 *                              ^                     ->  rolled back: retry_sending, and it goes again
 *                              +------------------------------+
 *
 * Where nothing follows at once, worker.c empties the committed one. Main thread.
 */
#ifndef TALLYMILL_CONSUMER_BATCHES_H
#define TALLYMILL_CONSUMER_BATCHES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "consumer/batch.h"

struct batches {
    struct batch *filling;
    struct batch *sending;         /* in the transaction under way; after it the committed one, or empty */
    rd_kafka_message_t *left_over; /* met when `filling` had no room, owned; NULL: none */
    bool retry_sending;            /* `sending` was rolled back whole and goes again */
    int max_rows;                  /* of a batch, from its next use on */
    size_t tuple_bytes;            /* likewise its tuples */
};

/* Both empty. False and ERROR_RETRY without memory; batches_free() takes what is half made, and all 0. */
MUST_CHECK bool batches_init(struct batches *batches, int max_rows, size_t tuple_bytes, struct error *err);
void batches_free(struct batches *batches);

/* Room for another message. */
bool batches_have_room(const struct batches *batches);

/* The message left over, which is the caller's now, once there is room for it; NULL: none, or no room. */
rd_kafka_message_t *batches_take_left_over(struct batches *batches);

/* The batch to send becomes `sending`: the one that goes again, or what was filled; then the committed one is `filling`, not
 * emptied yet. True: it goes again. */
bool batches_turn(struct batches *batches);

/* After that, when `sending` did not go again: the committed one is emptied only now, so that the backend does not wait for it, and
 * takes its new size. */
void batches_release(struct batches *batches);

/* Forgets all that was read; is_under_way: but `sending`, which the transaction needs. */
void batches_drop(struct batches *batches, bool is_under_way);

/* Each gets its new size when it is empty. Without memory it keeps the old one. */
void batches_resize(struct batches *batches, int max_rows);

#endif
