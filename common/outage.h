/* outage.h - a server that is away, told in two lines: that it is, with the reason, and that it is back, after how long.
 *
 * In between it is tried many times, which is a line of level debug each. Told are also reasons that another SQLSTATE gives (the
 * server is there again, and refuses the login), a few, each once; and every ten minutes that it still lasts. One thread.
 */
#ifndef TALLYMILL_COMMON_OUTAGE_H
#define TALLYMILL_COMMON_OUTAGE_H

#include <stdint.h>

#include "common/error.h"

enum { OUTAGE_REASONS = 4 };

struct outage {
    const char *away, *back;                                           /* the messages; constants */
    int64_t patience_us;                                               /* what is shorter is not told */
    int64_t since_us;                                                  /* monotonic: when it began; 0: there is none */
    int64_t told_us;                                                   /* when it was last told; 0: not yet */
    char reasons[OUTAGE_REASONS][sizeof((struct error *)0)->sqlstate]; /* that were told */
    int reason_count;
};

/* It did not answer, or still does not; `why` may be NULL. */
void outage_note(struct outage *outage, const struct error *why, int64_t now_us);

/* It has answered. */
void outage_over(struct outage *outage, int64_t now_us);

#endif
