/* waiting_days.h - what a cycle writes into tallymill.days, inside its transaction. One thread. */
#ifndef TALLYMILL_AGGREGATOR_WAITING_DAYS_H
#define TALLYMILL_AGGREGATOR_WAITING_DAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct day_cache;
struct months;
struct session;
struct worklist;

/* Gives each day up to last_day (since 1970) its row, if it has none. */
MUST_CHECK bool waiting_days_fill(struct session *session, int32_t last_day, struct error *err);

/* Marks the days that wait. */
MUST_CHECK bool waiting_days_mark(struct session *session, struct day_cache *cache, struct error *err);

/* Of the batches that are taken: marks the days in months that are not attached, unless they were archived. */
MUST_CHECK bool waiting_days_mark_away(struct session *session, const struct worklist *list, const struct months *months,
                                       struct error *err);

#endif
