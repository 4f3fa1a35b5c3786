/* months_ahead.h - months before they begin: made by us, or by hand and taken note of. One thread. */
#ifndef TALLYMILL_AGGREGATOR_MONTHS_AHEAD_H
#define TALLYMILL_AGGREGATOR_MONTHS_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct session;

/* All zero at first. Times are monotonic. */
struct months_ahead {
    int64_t made_at_us;  /* when the months ahead were last looked at; 0: never */
    int64_t noted_at_us; /* when months that others made were last looked for; 0: at once */
    int made;            /* how many months ahead that was */
};

/* Once an hour: makes this month and `ahead` more. A month that cannot be made now (a lock) is logged and tried again in a minute.
 * False: the session failed. */
MUST_CHECK bool months_ahead_make(struct months_ahead *months, struct session *session, int ahead, int64_t now_us,
                                  struct error *err);

/* Every 15 s: takes note of months that somebody made by hand. False: the session failed. */
MUST_CHECK bool months_ahead_note_others(struct months_ahead *months, struct session *session, int64_t now_us, struct error *err);

#endif
