/* commit_times.h - how long commits take: a histogram as a worker's /metrics shows it, differences of two, and percentiles.
 *
 * The text format 0.0.4 of Prometheus; a percentile is made as its histogram_quantile() makes it, on a straight line between the
 * bounds of the bucket. Pure.
 */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_COMMIT_TIMES_H
#define TALLYMILL_OPERATOR_DASHBOARD_COMMIT_TIMES_H

#include <stdbool.h>

#include "common/error.h"

enum { COMMIT_BOUNDS = 64 };

/* counts[i] commits took at most bounds_s[i] seconds: each count holds the ones before it. The last bound is infinite. */
struct commit_times {
    int count; /* of bounds; 0: nothing was read, or added */
    double bounds_s[COMMIT_BOUNDS];
    double counts[COMMIT_BOUNDS];
};

/* Reads tallymill_consumer_commit_seconds from a worker's metrics. False: ERROR_USAGE, no such histogram stands there. */
MUST_CHECK bool commit_times_read(const char *text, struct commit_times *times, struct error *err);

/* Adds to `sum` what came since `earlier`. Where a count is lower now the worker was started anew, and all that it has came since.
 * One whose bounds are others (a worker of another version) is left out. */
void commit_times_add(struct commit_times *sum, const struct commit_times *earlier, const struct commit_times *later);

/* The seconds within which that share of the commits ended (0.99); NAN: there was none. What is beyond the last finite bound is
 * told as that bound. */
double commit_times_percentile(const struct commit_times *times, double share);

#endif
