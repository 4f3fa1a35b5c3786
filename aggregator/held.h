/* held.h - batches whose count of rows differs from the ledger's: how often each was looked for.
 *
 * On Citus the ledger can be visible up to 42 ms before the rows; anywhere, rows may have been removed since. So such a batch waits
 * for a few cycles and some time, and is given up then: its days are rebuilt from what is there. Pure. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_HELD_H
#define TALLYMILL_AGGREGATOR_HELD_H

#include <stdbool.h>
#include <stdint.h>

enum { HELD_BATCHES = 1024, HELD_TRIES = 3 };
#define HELD_TIME_US  INT64_C(2000000)
#define HELD_STALE_US INT64_C(60000000) /* not asked about for so long: taken by somebody else */

struct held_batch {
    int64_t batch_id, since_us, tried_us;
    int tries;
};

struct held {
    struct held_batch batches[HELD_BATCHES];
    int count;
};

/* Another look at a batch whose rows are not all there. True: often enough, give it up. */
bool held_give_up(struct held *held, int64_t batch_id, int64_t now_us);

/* Forgets a batch that is settled. */
void held_forget(struct held *held, int64_t batch_id);

#endif
