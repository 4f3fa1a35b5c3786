/* aggregator_metrics.h - what an aggregator shows: set after each cycle, and what only the database knows now and then. Main
 * thread.
 */
#ifndef TALLYMILL_AGGREGATOR_AGGREGATOR_METRICS_H
#define TALLYMILL_AGGREGATOR_AGGREGATOR_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "aggregator/table_counts.h"
#include "common/error.h"
#include "common/health.h"
#include "common/metrics.h"

struct backlog;
struct cycle;
struct cycle_report;
struct monitor;
struct rollups;
struct session;
struct settings;

struct aggregator_metrics {
    struct metrics *metrics;
    struct health health;
    struct monitor *monitor; /* NULL: nothing is shown */
    struct table_counts counts;
};

/* Shows them from now on, where metrics.listen says so. */
MUST_CHECK bool aggregator_metrics_open(struct aggregator_metrics *shown, const struct settings *settings, struct error *err);
void aggregator_metrics_close(struct aggregator_metrics *shown);

/* What happened: connected; something failed and is tried again (a lock that somebody holds is told with its holder); another one
 * leads; a cycle of ours that began at start_us went well. locked_out: why nothing can be done all the same (ERROR_NONE: it can).
 */
void aggregator_metrics_connected(struct aggregator_metrics *shown);
void aggregator_metrics_failed(struct aggregator_metrics *shown, const struct error *err, int64_t now_us);
void aggregator_metrics_standby(struct aggregator_metrics *shown, const struct error *locked_out, int64_t now_us);
void aggregator_metrics_cycle(struct aggregator_metrics *shown, const struct cycle *cycle, const struct cycle_report *report,
                              const struct rollups *rollups, const struct backlog *days, const struct error *locked_out,
                              int64_t start_us);

/* Counts what only the database knows, where it is time. False: the session failed. */
MUST_CHECK bool aggregator_metrics_count(struct aggregator_metrics *shown, struct session *session, struct error *err);

#endif
