/* reports.h - what waits for tally_poll: copies of deliveries, log lines and questions for a token, in order, and the descriptor
 * that says that some wait.
 *
 * Putting: any thread, and never waits. Running: one thread at a time calls the hooks; the others are answered at once (or wait, in
 * reports_run_all).
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_REPORTS_H
#define TALLYMILL_PRODUCER_LIBRARY_REPORTS_H

#include <stdbool.h>
#include <stddef.h>

#include <tallymill/producer.h>

#include "common/error.h"

struct reports;

/* Whoever calls the hooks: exactly one member is told. */
struct reports_listener {
    void (*delivered)(void *context, const struct tally_delivery *delivery);
    void (*log)(void *context, int level, const char *text);
    void (*token)(void *context, const char *config); /* config may be NULL */
    void *context;
};

/* NULL: *err. limit_bytes: from when on it is full. */
MUST_CHECK struct reports *reports_new(size_t limit_bytes, struct tally_error *err);
/* What still waits is forgotten. */
void reports_free(struct reports *reports);

/* Copies it, whether the queue is full or not: the caller stops making deliveries while it is. False: no memory. */
bool reports_put_delivery(struct reports *reports, const struct tally_delivery *delivery);
/* Beyond REPORTS_LOG_LINES that wait, lines are only counted, and a line says how many. */
enum { REPORTS_LOG_LINES = 1000 };
void reports_put_log(struct reports *reports, int level, const char *text);
void reports_put_token(struct reports *reports, const char *config);
bool reports_is_full(const struct reports *reports);

/* Tells what waited when it was called, and returns how many; 0 as well while another thread is at it. */
int reports_run(struct reports *reports, const struct reports_listener *listener);
/* Tells everything, also what comes meanwhile, after whoever else is at it. */
void reports_run_all(struct reports *reports, const struct reports_listener *listener);

/* Readable while something waits. */
int reports_fd(const struct reports *reports);

#endif
