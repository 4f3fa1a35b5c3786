/* workers.h - what the workers show of themselves: how long their commits take, and which of them does not answer.
 *
 * Asked over HTTP where dashboard.workers says. No worker knows of the dashboard, and none is held up by it.
 */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_WORKERS_H
#define TALLYMILL_OPERATOR_DASHBOARD_WORKERS_H

#include <stdbool.h>

#include <jansson.h>

#include "common/error.h"

struct workers;

/* `addresses`: HOST:PORT of each, between blanks. NULL: ERROR_USAGE names the one that is none, ERROR_RETRY without memory. */
MUST_CHECK struct workers *workers_new(const char *addresses, struct error *err);
void workers_free(struct workers *workers); /* NULL: nothing */

int workers_count(const struct workers *workers);

/* Asks all of them at once; each has two seconds to answer. One thread at a time; the two below: any thread. */
void workers_look(struct workers *workers);

/* The percentiles of all commits since the last call, in milliseconds; NAN: there was none. */
void workers_take(struct workers *workers, double *p50_ms, double *p99_ms);

/* [{"address": text, "trouble": text or null}, ...]; trouble: why it does not answer. The caller owns it. */
json_t *workers_json(struct workers *workers);

#endif
