/* sampler.h - looks at the pipeline all the time, whoever watches: positions and freshness each second, the ends of Kafka's logs,
 * the verdict on the books each minute.
 *
 * Three threads, because each waits for something else: a Kafka that is away must not stop the look at Postgres, and a long ledger
 * not that at the positions.
 */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_SAMPLER_H
#define TALLYMILL_OPERATOR_DASHBOARD_SAMPLER_H

#include <stdint.h>

#include <jansson.h>

#include "common/error.h"

struct readers;
struct sampler;
struct settings;

/* `tell` is called, in a thread of the sampler's, whenever there is a new row. All are borrowed. NULL: ERROR_RETRY. */
MUST_CHECK struct sampler *sampler_start(const struct settings *settings, struct readers *readers, void (*tell)(void *context),
                                         void *context, struct error *err);
void sampler_stop(struct sampler *sampler);

/* The rows of the ring (ring.h). Any thread, as the others. */
json_t *sampler_rows(struct sampler *sampler, int64_t since_ms, int most);
int64_t sampler_newest_ms(struct sampler *sampler);

/* {"verdict": "ok" | "damaged" | "unknown", "at": ms, "damages": [text, ...], "totals": {...}, "trouble": text or null} */
json_t *sampler_books(struct sampler *sampler);

/* {"trouble": text or null, "ends": [end or null of each topic partition], "lag_s": [...]} of topics.events */
json_t *sampler_kafka(struct sampler *sampler);

#endif
