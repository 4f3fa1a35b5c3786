/* sampler.h - looks at the pipeline all the time, whoever watches: positions and freshness each second, the ends of Kafka's logs,
 * each minute whether the ledger adds up.
 *
 * Three threads, because each waits for something else: a Kafka that is away must not stop the look at Postgres, and a long ledger
 * not that at the positions. A fourth where dashboard.workers names workers.
 */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_SAMPLER_H
#define TALLYMILL_OPERATOR_DASHBOARD_SAMPLER_H

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "common/error.h"

struct readers;
struct sampler;
struct settings;

/* `tell` is called, in a thread of the sampler's, whenever there is a new row. All are borrowed. NULL: ERROR_RETRY, or ERROR_USAGE:
 * dashboard.workers is no list of addresses. */
MUST_CHECK struct sampler *sampler_start(const struct settings *settings, struct readers *readers, void (*tell)(void *context),
                                         void *context, struct error *err);

/* For --check: whether dashboard.workers is a list of addresses. ERROR_USAGE. */
MUST_CHECK bool sampler_check(const struct settings *settings, struct error *err);
void sampler_stop(struct sampler *sampler);

/* The rows of the ring (ring.h). Any thread, as the others. */
json_t *sampler_rows(struct sampler *sampler, int64_t since_ms, int most);
void sampler_csv(struct sampler *sampler, int64_t since_ms, FILE *out);
int64_t sampler_newest_ms(struct sampler *sampler);

/* What dashboard.workers names (workers.h). */
json_t *sampler_workers(struct sampler *sampler);

/* {"verdict": "ok" | "damaged" | "unknown", "at": ms, "damages": [text, ...], "totals": {...}, "trouble": text or null} */
json_t *sampler_books(struct sampler *sampler);

/* {"trouble": text or null, "ends": [end or null of each topic partition], "lag_s": [...]} of topics.events */
json_t *sampler_kafka(struct sampler *sampler);

#endif
