/* outcome.h - what becomes of a batch whose transaction is over: stored, tried again, smaller, or given up for the ledger's word.
 * Main thread. */
#ifndef TALLYMILL_CONSUMER_OUTCOME_H
#define TALLYMILL_CONSUMER_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct worker;

/* Committed: claims move on to its end, it is counted, and what stood in its way is over. */
void outcome_committed(struct worker *worker, int64_t now_us);

/* Rolled back; is_lost: or not, the connection is gone. Carries out what failure_plan() says, which may wait (months_prepare,
 * bisect_refused). True: go on (retry_sending or resync says how); false: err ends the worker. */
MUST_CHECK bool outcome_failed(struct worker *worker, bool is_lost, int64_t now_us, struct error *err);

#endif
