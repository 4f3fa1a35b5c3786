/* monitor.h - shows a program's metrics and health over HTTP where the setting metrics.listen says: GET /metrics, GET /health.
 */
#ifndef TALLYMILL_COMMON_MONITOR_H
#define TALLYMILL_COMMON_MONITOR_H

#include <stdbool.h>

#include "common/error.h"

struct health;
struct metrics;
struct monitor;
struct settings;

/* Both are borrowed, and outlive it. *monitor is NULL when nothing is to be shown. False: ERROR_USAGE names the setting. */
MUST_CHECK bool monitor_open(struct monitor **monitor, const struct settings *settings, const struct metrics *metrics,
                             struct health *health, struct error *err);
void monitor_close(struct monitor *monitor);

/* For --check: whether metrics.listen is an address. Not whether it is free: a running program may have it. */
MUST_CHECK bool monitor_check(const struct settings *settings, struct error *err);

#endif
