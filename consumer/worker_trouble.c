/* worker_trouble.c - what keeps a worker from storing its batch, told to whoever looks: /health, and by a row of tallymill.troubles
 * `tallymill status`.
 *
 * A failure or two is nothing (a deadlock, a failover); from the third on it is told, and every few seconds again. A lock that was
 * waited for in vain is told at once, /health even while the wait lasts. The row is advice: that it could not be written changes
 * nothing.
 */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "consumer/ledger.h"
#include "consumer/worker_state.h"

enum { TOLD_FROM = 3 };
#define TELL_EVERY_US  INT64_C(2000000)

static void tell_database(struct worker *worker, const char *sqlstate, const char *reason)
{
    struct error err;
    if (!worker->connection.conn || !connection_is_idle(&worker->connection) ||
        ledger_tell_trouble(worker->connection.conn, source_topic(worker->source), worker->owner, sqlstate, reason, &err))
        return;
    char text[LOG_TEXT_BYTES];
    log_debug("cannot tell the database what a batch waits for", "error=\"%s\"", log_text(text, err.text));
}

void worker_trouble(struct worker *worker, enum worker_trouble trouble, const struct error *why, int64_t now_us)
{
    char reason[ERROR_TEXT_BYTES + 64];
    if ((trouble == TROUBLE_OF_BATCH ? worker->setbacks : worker->claim_setbacks) < TOLD_FROM && !lock_watch_is_timeout(why))
        return;
    snprintf(reason, sizeof reason, "%s: %s%s%s", trouble == TROUBLE_OF_BATCH ? "a batch is not stored" : "reading cannot begin",
             why->text, why->sqlstate[0] ? ", SQLSTATE " : "", why->sqlstate);
    worker->trouble = trouble;
    health_set_reason_text(&worker->health, reason, now_us);
    if (worker->trouble_told_us != 0 && now_us - worker->trouble_told_us < TELL_EVERY_US)
        return;
    worker->trouble_told_us = now_us;
    tell_database(worker, why->sqlstate, why->text);
}

void worker_trouble_wait(struct worker *worker, const char *holder, int64_t now_us)
{
    char reason[LOCK_TEXT_BYTES + 64];
    if (!holder[0])
        return;
    snprintf(reason, sizeof reason, "a batch waits for a lock: %s", holder);
    worker->trouble = TROUBLE_OF_BATCH;
    health_set_reason_text(&worker->health, reason, now_us);
}

void worker_trouble_over(struct worker *worker)
{
    if (worker->trouble == TROUBLE_OF_NOTHING)
        return;
    worker->trouble = TROUBLE_OF_NOTHING;
    if (worker->trouble_told_us != 0)
        tell_database(worker, "", NULL);
    worker->trouble_told_us = 0;
}
