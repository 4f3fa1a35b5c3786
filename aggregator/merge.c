/* merge.c - one step of the merge between two cycles, from the oldest batch to the tail.
 *
 * Invariant: a step changes how the ledger is written down and nothing of what it says: which offsets have which outcome, which
 * rows they are, where each topic partition stands. So it may end anywhere, and a new leader begins its own pass.
 *
 * Rejected: merging within the cycle's transaction (a reader's snapshot would see statistics that waited for it); one step for the
 * whole ledger (the first pass over a long history would hold the leader's row for minutes).
 */
#include "aggregator/merge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/session.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"

/* Ledger rows a step: a tenth of a second of Postgres. */
enum { STEP_ROWS = 20000, PASS_TIMES = 20, NUMBER_BYTES = 24 };

/* A busy ledger is not left to grow until the next pass is due. */
static const int64_t LOOK_US = 10 * CLOCK_SECOND_US;
static const int64_t TIMEOUT_US = SESSION_TIMEOUT_S * CLOCK_SECOND_US;

/* The step, and where the next one begins (0: that was the last). */
static bool step(struct merge *merge, struct session *session, int64_t epoch, int64_t *next_id, struct error *err)
{
    char values_text[3][NUMBER_BYTES];
    snprintf(values_text[0], NUMBER_BYTES, "%" PRId64, epoch);
    snprintf(values_text[1], NUMBER_BYTES, "%" PRId64, merge->next_id);
    snprintf(values_text[2], NUMBER_BYTES, "%d", STEP_ROWS);
    const char *const values[] = {values_text[0], values_text[1], values_text[2]};
    PGresult *result = session_ask_all(session, POSTGRES_BEGIN("READ COMMITTED") "; SET LOCAL lock_timeout = '2s'", err);
    PQclear(result);
    if (!result)
        return false;
    result =
        session_ask(session, TIMEOUT_US, "SELECT next_id, widened FROM tallymill.merge_ledger($1::bigint, $2::bigint, $3::integer)",
                    3, values, err);
    if (!result)
        return false;
    *next_id = PQgetisnull(result, 0, 0) ? 0 : strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    merge->rows_saved += strtoll(PQgetvalue(result, 0, 1), NULL, 10);
    PQclear(result);
    if (merge->next_id == 1 && !session_do(session, "SELECT tallymill.drop_folded_deltas()", 0, NULL, err))
        return false;
    FAILPOINT("ledger_merged");
    return session_do(session, "COMMIT", 0, NULL, err);
}

/* Whether a pass is to begin. Looked at every ten seconds, and less often where passes take long. */
static bool is_due(struct merge *merge, struct session *session, int64_t every_us, int64_t now_us, bool *is_due, struct error *err)
{
    *is_due = merge->begun_us == 0 || now_us - merge->begun_us >= every_us;
    int64_t rest_us = PASS_TIMES * merge->took_us > LOOK_US ? PASS_TIMES * merge->took_us : LOOK_US;
    if (*is_due || now_us - merge->looked_us < rest_us || now_us - merge->ended_us < rest_us)
        return true;
    merge->looked_us = now_us;
    char rows[NUMBER_BYTES];
    snprintf(rows, sizeof rows, "%d", STEP_ROWS);
    const char *const values[] = {rows};
    PGresult *result = session_ask(session, TIMEOUT_US, "SELECT tallymill.is_worth_merging($1::integer)", 1, values, err);
    *is_due = result && PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return result != NULL;
}

bool merge_turn(struct merge *merge, struct session *session, int64_t epoch, int64_t every_us, int64_t now_us, struct error *err)
{
    if (merge->next_id == 0) {
        bool begins;
        if (!is_due(merge, session, every_us, now_us, &begins, err))
            return false;
        if (!begins)
            return true;
        *merge = (struct merge){
            .begun_us = now_us, .ended_us = merge->ended_us, .took_us = merge->took_us, .looked_us = now_us, .next_id = 1};
    }
    int64_t next_id = 0;
    if (!step(merge, session, epoch, &next_id, err)) {
        merge->next_id = 0;
        if (!postgres_is(err, POSTGRES_REFUSED))
            return false;
        log_warn_because(err, "the ledger could not be merged, next try later", "every_s=%" PRId64, every_us / CLOCK_SECOND_US);
        error_clear(err);
        return session_do(session, "ROLLBACK", 0, NULL, err);
    }
    merge->next_id = next_id;
    if (next_id == 0) {
        merge->ended_us = now_us;
        merge->took_us = now_us - merge->begun_us;
    }
    if (next_id == 0 && merge->rows_saved > 0)
        log_info("ledger merged", "rows_saved=%" PRId64, merge->rows_saved);
    return true;
}
