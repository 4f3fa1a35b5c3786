/* day_queue.h - days that wait for the aggregator to make their statistics anew: asking for one, and waiting until it is done. One
 * thread. */
#ifndef TALLYMILL_OPERATOR_DAY_QUEUE_H
#define TALLYMILL_OPERATOR_DAY_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"

/* Asks for a day ("2026-11-24"), in the transaction that is open or in one of its own. */
MUST_CHECK bool day_queue_ask(PGconn *conn, const char *day, struct error *err);

/* Waits until the days ("{2026-11-24,2026-11-25}", `count` of them) are done; `look` is called with how many are, now and then.
 * ERROR_RETRY: nobody leads for `leaderless_us`, or nothing moves for an hour; they stay in the queue. */
#define DAY_QUEUE_LEADERLESS_US INT64_C(30000000)
MUST_CHECK bool day_queue_wait(PGconn *conn, const char *days, int count, int64_t leaderless_us,
                               void (*look)(void *context, int done), void *context, struct error *err);

#endif
