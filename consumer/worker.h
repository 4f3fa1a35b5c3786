/* worker.h - the consumer worker: reads its topic partitions and commits batches until it is told to stop.
 *
 * One main thread, one consumer, one connection, one open transaction. While a batch is sent and commits, the next one is decoded.
 */
#ifndef TALLYMILL_CONSUMER_WORKER_H
#define TALLYMILL_CONSUMER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct settings;
struct worker;

/* Joins the group; without until_end_us waits for a Kafka that is away, and says meanwhile that it is ready. settings are borrowed,
 * and brought up to date at a SIGHUP. until_end_us: stop once all that is in the topic now is in the ledger, whoever stored it, and
 * give up after so long; 0: go on for ever. NULL and ERROR_USAGE: settings, topic, schema; NULL and ERROR_NONE: a stop was wanted
 * first. */
MUST_CHECK struct worker *worker_open(struct settings *settings, int64_t until_end_us, struct error *err);

/* Runs until service_is_stopping() or, with until_end, the end: true. False: err says why it cannot go on; ERROR_RETRY where a new
 * process may. */
MUST_CHECK bool worker_run(struct worker *worker, struct error *err);

/* Within 5 s: waits for the batch under way, drops what was only decoded, leaves. With `leave` gives the share of a static member
 * up. */
void worker_close(struct worker *worker, bool leave);

/* --check: tests settings, brokers, topic, rights, database, schema, and whether the ledger is of this cluster and group; tells all
 * that it finds on stderr, and what is good on stdout. Never joins the group, claims or stores anything. Returns the exit code. */
int worker_check(const struct settings *settings);

#endif
