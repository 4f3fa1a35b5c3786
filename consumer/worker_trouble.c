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
#define TELL_EVERY_US      INT64_C(2000000)
#define WAIT_TOLD_US       INT64_C(12000000)
#define WAIT_TOLD_EVERY_US INT64_C(60000000)
#define LASTING_EVERY_US   INT64_C(20000000) /* a row is shown for a minute */

/* False: the connection is not there, or busy. */
static bool tell_as(struct worker *worker, const char *owner, const char *sqlstate, const char *reason)
{
    struct error err = {0};
    if (!worker->connection.conn || !connection_is_idle(&worker->connection))
        return false;
    if (!ledger_tell_trouble(worker->connection.conn, source_topic(worker->source), owner, sqlstate, reason, &err)) {
        char text[LOG_TEXT_BYTES];
        log_debug("cannot tell the database what a batch waits for", "error=\"%s\"", log_text(text, err.text));
    }
    return true;
}

static void tell_database(struct worker *worker, const char *sqlstate, const char *reason)
{
    tell_as(worker, worker->owner, sqlstate, reason);
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

void worker_trouble_wait(struct worker *worker, const char *holder, int64_t waited_us, int64_t now_us)
{
    char reason[LOCK_TEXT_BYTES + 64], shown[LOG_TEXT_BYTES];
    if (!holder[0])
        return;
    /* A lock's time-out says it in the log after 10 s; not every wait has one. */
    if (waited_us >= WAIT_TOLD_US && now_us - worker->wait_told_us >= WAIT_TOLD_EVERY_US) {
        worker->wait_told_us = now_us;
        log_warn("the batch under way waits for another session or server", "for_s=%d holder=\"%s\"",
                 (int)(waited_us / CLOCK_SECOND_US), log_text(shown, holder));
    }
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

/* "topic partition 3 is not read: BECAUSE; topic partition 7 is not read: the same". False: none is stopped. */
static bool list_stopped(const struct worker *worker, char *text, size_t size)
{
    int count;
    size_t used = 0;
    const char *last = NULL;
    const struct source_topic_partition *topic_partitions = source_topic_partitions(worker->source, &count);
    for (int i = 0; i < count && used < size; i++) {
        const char *because = topic_partitions[i].is_stopped ? topic_partitions[i].stopped_because : NULL;
        if (!because)
            continue;
        used += (size_t)snprintf(text + used, size - used, "%stopic partition %d is not read: %s", last ? "; " : "",
                                 (int)topic_partitions[i].claim.topic_partition, last == because ? "the same" : because);
        last = because;
    }
    return last != NULL;
}

/* What lasts, under a name beside the worker's own, for both may be so at once. *told_us: when it was last told, 0: not; now_us, or
 * 0 when `reason` is NULL and that was told. */
static void tell_lasting(struct worker *worker, const char *kind, const char *reason, int64_t *told_us, int64_t now_us)
{
    char owner[sizeof worker->owner + 16];
    if (!reason && *told_us == 0)
        return;
    snprintf(owner, sizeof owner, "%s (%s)", worker->owner, kind);
    if (tell_as(worker, owner, "", reason))
        *told_us = reason ? now_us : 0;
}

void worker_trouble_stopped(struct worker *worker, int64_t now_us)
{
    char text[ERROR_TEXT_BYTES];
    if (worker->stopped_told_us == 0 || now_us - worker->stopped_told_us >= LASTING_EVERY_US)
        tell_lasting(worker, "stopped", list_stopped(worker, text, sizeof text) ? text : NULL, &worker->stopped_told_us, now_us);
}

void worker_trouble_refused(struct worker *worker, const char *reason, int64_t now_us)
{
    if (!reason || worker->refusals_told_us == 0 || now_us - worker->refusals_told_us >= LASTING_EVERY_US)
        tell_lasting(worker, "refused", reason, &worker->refusals_told_us, now_us);
}
