/* foreign.h - the rows of other programs, INSERTed, UPDATEd or DELETEd, which no ledger announces.
 *
 * Every 15 s (less often where the look itself takes long) the open days' rows without a batch are compared, by number and a hash
 * over all their columns, with what the last rebuild of each day saw; hourly those of the last two closed days. A day that differs
 * waits for a rebuild, and its rollups with it. Days closed before are not looked at. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_FOREIGN_H
#define TALLYMILL_AGGREGATOR_FOREIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct months;
struct session;
struct day_cache;

struct foreign {
    int64_t looked_at_us;        /* monotonic; 0: never */
    int64_t closed_looked_at_us; /* the same of the last closed days */
    int64_t took_us;
};

bool foreign_is_due(const struct foreign *foreign, int64_t now_us);

/* Looks at the days from first_open_day on, in the cycle's snapshot; those that changed wait for a rebuild. */
MUST_CHECK bool foreign_look(struct foreign *foreign, struct session *session, struct day_cache *cache, const struct months *months,
                             int32_t first_open_day, struct error *err);

#endif
