/* archive_settle.h - whether a month may leave: whether all that anybody computes from it is computed and right. One thread. */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_SETTLE_H
#define TALLYMILL_OPERATOR_ARCHIVE_SETTLE_H

#include <stdbool.h>

#include "common/error.h"
#include "operator/month_name.h"

struct snapshot;

/* Whether anything stands in its way that no waiting mends: what somebody has made of the table partitions. ERROR_USAGE names the
 * first, with what to do. */
MUST_CHECK bool archive_settle_stops(struct snapshot *snapshot, const struct month_name *month, struct error *err);

/* Looks in this snapshot. False: it may not, or could not be asked; *should_rebuild: something differs, which a rebuild of its days
 * mends. */
MUST_CHECK bool archive_settle(struct snapshot *snapshot, const struct month_name *month, bool *should_rebuild, struct error *err);

#endif
