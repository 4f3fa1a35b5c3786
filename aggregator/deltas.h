/* deltas.h - what batches add to the statistics, as their workers left it (common/delta.h): rows that need not be read back.
 *
 * Within a cycle's transaction. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_DELTAS_H
#define TALLYMILL_AGGREGATOR_DELTAS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct intake;
struct months;
struct session;
struct day_cache;
struct worklist;

/* Puts the events of the chosen batches that have a delta into the intake, and counts those batches' rows. A delta that is damaged,
 * or is not what the ledger says, is as good as none. */
MUST_CHECK bool deltas_read(struct intake *intake, struct session *session, struct worklist *list, struct day_cache *cache,
                            const struct months *months, struct error *err);

/* Deletes those of the batches that are taken. */
MUST_CHECK bool deltas_drop(struct session *session, const struct worklist *list, struct error *err);

/* Deletes those of the batches that wait and name this day, which was rebuilt without them. A rebuild may have been asked for
 * because rows were changed by hand (another reason may stand first), also rows of these batches: so they must be read. */
MUST_CHECK bool deltas_drop_waiting(struct session *session, const struct worklist *list, int32_t day, struct error *err);

#endif
