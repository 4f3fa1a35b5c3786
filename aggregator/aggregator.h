/* aggregator.h - the service: connects, leads or stands by, runs cycles, makes months ahead, until it is told to stop.
 *
 * Main thread; service_open() must have been called.
 */
#ifndef TALLYMILL_AGGREGATOR_AGGREGATOR_H
#define TALLYMILL_AGGREGATOR_AGGREGATOR_H

#include <stdbool.h>

#include "common/error.h"

struct settings;

/* Runs until SIGTERM, or with `once` until everything that is committed is in the statistics. True: stopped as asked. False: err
 * says why and how to exit. */
MUST_CHECK bool aggregator_run(struct settings *settings, bool once, struct error *err);

/* --check: connects, checks the schema and that this login may do what an aggregator does, and tells all that is wrong at once;
 * changes nothing. The exit code. */
int aggregator_check(const struct settings *settings);

#endif
