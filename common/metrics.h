/* metrics.h - the figures a program shows, in the text format 0.0.4 of Prometheus
 * (prometheus.io/docs/instrumenting/exposition_formats).
 *
 * A program declares its metrics as one table, indexed by an enum of its own. One thread writes, any number read: every value is an
 * atomic of its own, written with a plain store, so counting costs what an addition costs and a reader never holds the writer up.
 * Values of one scrape may so be a moment apart; those of one histogram still add up, for its count is made of its buckets.
 */
#ifndef TALLYMILL_COMMON_METRICS_H
#define TALLYMILL_COMMON_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"

struct metrics;

enum metric_kind {
    METRIC_COUNTER,   /* from 0, only up; shown from the start */
    METRIC_GAUGE,     /* shown once it was set */
    METRIC_AGE,       /* a gauge that holds a moment (monotonic microseconds) and shows the seconds since, at the reader's time */
    METRIC_HISTOGRAM, /* of durations in microseconds, shown in seconds; without a label */
};

enum { METRIC_SECONDS = 1000000 }; /* a unit: held in microseconds, shown in seconds */

struct metric {
    const char *name; /* without the program's prefix */
    const char *help; /* one line */
    enum metric_kind kind;
    int unit;                 /* 0, or METRIC_SECONDS */
    const char *label;        /* NULL: one series */
    const char *const *names; /* the label's values, ended by NULL; or NULL: the series' number is its value */
    int series;               /* how many, where the label is a number */
};

/* `prefix` ("tallymill_consumer") and table are borrowed. NULL and ERROR_RETRY without memory. */
MUST_CHECK struct metrics *metrics_new(const char *prefix, const struct metric *table, int count, struct error *err);
void metrics_free(struct metrics *metrics);

/* One more label of PREFIX_info, whose value is always 1; values are escaped. Before anybody reads. */
void metrics_add_info(struct metrics *metrics, const char *label, const char *value);

/* The writer's thread. `series` is 0 for a metric without a label; one beyond the table's number is not kept. */
void metrics_add(struct metrics *metrics, int metric, int series, int64_t amount);
void metrics_set(struct metrics *metrics, int metric, int series, int64_t value);
void metrics_observe(struct metrics *metrics, int metric, int64_t duration_us);
void metrics_drop(struct metrics *metrics, int metric); /* no series of a gauge is shown until it is set again */

/* Writes everything. Any thread. */
void metrics_write(const struct metrics *metrics, FILE *out, int64_t now_us);

/* What this process has in memory, or 0 where /proc does not tell. */
int64_t metrics_resident_bytes(void);

#endif
