/* expiry.h - once an hour, the bytes of dead letters that are older than dead_letters.keep are dropped.
 *
 * Postgres does it (tallymill.empty_dead_letters), some thousands at a time; this says when. Between cycles, on
 * their session. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_EXPIRY_H
#define TALLYMILL_AGGREGATOR_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct session;

struct expiry {
    int64_t due_us;    /* monotonic; 0: at once */
    bool is_under_way; /* there may be more to empty */
    int64_t emptied;   /* by the pass under way */
};

/* Does the next step if one is due; keep_us 0: for ever. A step that Postgres refuses is tried again an hour later, with a line in
 * the log. False: the session failed. */
MUST_CHECK bool expiry_turn(struct expiry *expiry, struct session *session, int64_t keep_us, int64_t now_us, struct error *err);

#endif
