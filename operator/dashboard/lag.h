/* lag.h - how old the oldest event is that is not stored, by topic partition: from when the end of the log was first seen beyond
 * the position.
 *
 * The ledger knows how far it is and Kafka how far it could be; neither says since when. So the moments at which a log's end moved
 * are kept until the position has passed them. What was there when looking began is at least that old. Pure; one thread.
 */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_LAG_H
#define TALLYMILL_OPERATOR_DASHBOARD_LAG_H

#include <stdint.h>

enum { LAG_MARKS = 512 };

struct lag_mark {
    int64_t end; /* the log's end */
    int64_t at_us;
};

struct lag {
    int count;
    struct lag_mark marks[LAG_MARKS]; /* the oldest first */
};

/* The log's end was seen now. Where the marks are full, every second one goes: the lag is then known less exactly, never less. */
void lag_see(struct lag *lag, int64_t end, int64_t now_us);

/* Everything before `position` is stored. The age in microseconds of the oldest mark that is left, 0: all is stored. */
int64_t lag_age_us(struct lag *lag, int64_t position, int64_t now_us);

#endif
