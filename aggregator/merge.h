/* merge.h - keeps the ledger small: now and then what is folded and a quarter of an hour old is merged into wider ranges.
 *
 * Postgres does it (tallymill.merge_ledger), in steps that each are a transaction under the leader's
 * fence; this says when, and where to go on. Between cycles, on their session. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_MERGE_H
#define TALLYMILL_AGGREGATOR_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct session;

struct merge {
    int64_t begun_us;          /* monotonic: when the last pass over the ledger began; 0: never */
    int64_t ended_us, took_us; /* of the last pass */
    int64_t looked_us;         /* when a look was last had whether there is a whole step to merge */
    int64_t next_id;           /* the pass goes on at this batch; 0: none is under way */
    int64_t rows_saved;        /* by this pass: so many ledger rows fewer */
};

/* Does the next step if a pass is under way or due: every_us after the last one began, or as soon as there is a whole step of rows
 * to merge. A step that Postgres refuses ends the pass, with a line in the log; the next one tries again. False: the session
 * failed. */
MUST_CHECK bool merge_turn(struct merge *merge, struct session *session, int64_t epoch, int64_t every_us, int64_t now_us,
                           struct error *err);

#endif
