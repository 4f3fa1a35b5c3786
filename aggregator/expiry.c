/* expiry.c - see expiry.h. */
#include "aggregator/expiry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/session.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/postgres.h"

/* A step; the next one comes in the next round, so that the statistics wait for one at most. */
enum { STEP_LETTERS = 2000, NUMBER_BYTES = 24 };

static const int64_t EVERY_US = 3600 * CLOCK_SECOND_US;

static bool step(struct session *session, int64_t keep_us, int64_t *emptied, struct error *err)
{
    char keep[NUMBER_BYTES], limit[NUMBER_BYTES];
    snprintf(keep, sizeof keep, "%" PRId64, keep_us);
    snprintf(limit, sizeof limit, "%d", STEP_LETTERS);
    const char *const values[] = {keep, limit};
    PGresult *result =
        session_ask(session, SESSION_TIMEOUT_S * CLOCK_SECOND_US,
                    "SELECT tallymill.empty_dead_letters(interval '1 us' * $1::float8, $2::integer)", 2, values, err);
    if (result)
        *emptied = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return result != NULL;
}

bool expiry_turn(struct expiry *expiry, struct session *session, int64_t keep_us, int64_t now_us, struct error *err)
{
    if (keep_us == 0 || now_us < expiry->due_us)
        return true;
    int64_t emptied = 0;
    const bool is_done = step(session, keep_us, &emptied, err);
    if (!is_done && !postgres_is(err, POSTGRES_REFUSED))
        return false;
    expiry->emptied += emptied;
    expiry->is_under_way = emptied >= STEP_LETTERS;
    if (expiry->is_under_way)
        return true;
    expiry->due_us = now_us + EVERY_US;
    if (expiry->emptied > 0)
        log_info("dropped the bytes of old dead letters: their places and reasons stay", "dead_letters=%" PRId64, expiry->emptied);
    expiry->emptied = 0;
    if (!is_done)
        log_warn_because(err, "old dead letters could not be emptied, next try in an hour", NULL);
    error_clear(err);
    return true;
}
