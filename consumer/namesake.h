/* namesake.h - whether another worker has really taken this one's name.
 *
 * Kafka says "fenced" to a static member whose name is known under another member id. That is a second process with the same
 * consumer.instance, or it is this very process: when a broker dies in the middle of a join, the id that it gave is stored and its
 * answer lost (seen after a kill -9 and restart of the only broker). A worker of the same name is known by its claim in the ledger,
 * which names host, process and instance, and is younger than this one.
 */
#ifndef TALLYMILL_NAMESAKE_H
#define TALLYMILL_NAMESAKE_H

#include <stdbool.h>
#include <stdint.h>

/* Waits up to limit_us for such a claim. `owner` is what this worker claims as, `instance` its consumer.instance, opened_us when it began.
 * False when Postgres does not answer. */
bool namesake_has_claimed(const char *dsn, const char *topic, const char *owner, const char *instance, int64_t opened_us, int64_t limit_us);

#endif
