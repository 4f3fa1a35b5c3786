/* worker_clock.c - the clock by which times of events are judged, compared with Postgres's: at each connection, each minute, and
 * when it has jumped.
 *
 * Invariant: the window moves with the monotonic clock from the last comparison that was good, so no step of the wall clock moves
 * it. While the clock is wrong nothing is read; after ten minutes the worker ends, for a person must look.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "consumer/clock_watch.h"
#include "consumer/worker_metrics.h"
#include "consumer/worker_state.h"

#define CHECK_EVERY_US  (60 * CLOCK_SECOND_US)
#define WRONG_EVERY_US  (5 * CLOCK_SECOND_US)
#define WRONG_MOST_US   (600 * CLOCK_SECOND_US)
#define ASK_LIMIT_US    (3 * CLOCK_SECOND_US)
#define RECORD_LASTS_US (120 * CLOCK_SECOND_US)

/* How far the wall clock has stepped since the last good comparison. */
static int64_t step_us(const struct worker *worker, int64_t now_us)
{
    const int64_t step = clock_wall_us() - now_us - worker->clock_base_us;
    return step < 0 ? -step : step;
}

void worker_move_window(struct worker *worker, int64_t now_us)
{
    if (worker->last_window_us != 0 && now_us - worker->last_window_us < CLOCK_SECOND_US)
        return;
    worker->last_window_us = now_us;
    if (worker->clock_base_us == 0)
        worker->clock_base_us = clock_wall_us() - now_us; /* nothing is read before the first comparison */
    if (step_us(worker, now_us) > CLOCK_WATCH_NEAR_US && !worker->clock_is_wrong && !worker->clock_is_due) {
        log_warn("the clock of this host has stepped: comparing it with Postgres's before anything else is read", NULL);
        worker->clock_is_due = true;
        worker->assignment.resync = true;
        batches_drop(&worker->batches, worker->is_open);
    }
    const int64_t wall_us = now_us + worker->clock_base_us;
    transcoder_set_window(worker->transcoder, settings_oldest_us(worker->settings, "window.oldest", wall_us),
                          wall_us + settings_int(worker->settings, "window.ahead"));
}

void worker_note_record_time(struct worker *worker, const struct batch *batch, int64_t now_us)
{
    if (batch->newest_append_ms <= 0)
        return;
    worker->record_us = batch->newest_append_ms * 1000;
    worker->record_at_us = now_us;
}

/* Postgres's time, by the session's time zone and date style, which are pinned: "2026-11-29 01:52:35.123456+00". */
static bool ask_postgres(PGconn *conn, int64_t *postgres_us, struct error *err)
{
    PGresult *result = postgres_query(conn, "SELECT pg_catalog.clock_timestamp()", ASK_LIMIT_US, err);
    if (!result)
        return false;
    char text[CLOCK_TIME_BYTES];
    const int length = snprintf(text, sizeof text, "%s:00", PQgetvalue(result, 0, 0));
    PQclear(result);
    if (length > 0 && (size_t)length < sizeof text && clock_parse_time(text, (size_t)length, postgres_us))
        return true;
    return error_set(err, ERROR_RETRY, "Postgres's time is not in the form that was asked for");
}

static void tell(const struct worker *worker, enum clock_suspect suspect, bool is_wrong, int64_t wall_us, int64_t off_us)
{
    static const char *const whose[] = {"", "this host", "Postgres", "Kafka's brokers"};
    char mine[CLOCK_TIME_BYTES], postgres[CLOCK_TIME_BYTES], record[CLOCK_TIME_BYTES] = "unknown";
    clock_format_time(mine, wall_us);
    clock_format_time(postgres, wall_us - off_us);
    if (worker->record_us != 0)
        clock_format_time(record, worker->record_us);
    if (is_wrong)
        log_error("the clock of this host is farther from Postgres's than window.ahead: nothing is read until it is set right, for "
                  "live events would be dead letters",
                  "suspect=\"%s\" host=%s postgres=%s last_record=%s ahead_s=%" PRId64, whose[suspect], mine, postgres, record,
                  off_us / CLOCK_SECOND_US);
    else
        log_warn("clocks differ: set right the one of the suspect",
                 "suspect=\"%s\" host=%s postgres=%s last_record=%s ahead_s=%" PRId64, whose[suspect], mine, postgres, record,
                 off_us / CLOCK_SECOND_US);
}

/* True: go on, perhaps waiting (clock_is_wrong). False: too long. */
static bool take_verdict(struct worker *worker, enum clock_verdict verdict, int64_t off_us, int64_t now_us, struct error *err)
{
    const bool was_wrong = worker->clock_is_wrong;
    worker->clock_is_due = false;
    worker->clock_is_wrong = verdict == CLOCK_WRONG;
    worker->clock_checked_us = now_us;
    if (verdict != CLOCK_WRONG) {
        worker->clock_base_us = clock_wall_us() - now_us;
        worker->last_window_us = 0;
        worker_move_window(worker, now_us);
        if (was_wrong)
            log_info("the clock of this host is right again: reading", NULL);
        return true;
    }
    if (!was_wrong) {
        worker->clock_wrong_since_us = now_us;
        worker->assignment.resync = true;
        batches_drop(&worker->batches, worker->is_open);
        source_pause(worker->source, true);
    }
    if (now_us - worker->clock_wrong_since_us <= WRONG_MOST_US)
        return true;
    return error_set(err, ERROR_FATAL,
                     "the clock of this host has been %" PRId64
                     " s %s Postgres's for ten minutes, more than window.ahead: set it right",
                     (off_us < 0 ? -off_us : off_us) / CLOCK_SECOND_US, off_us > 0 ? "ahead of" : "behind");
}

bool worker_check_clock(struct worker *worker, int64_t now_us, struct error *err)
{
    struct error local;
    int64_t postgres_us;
    const int64_t every_us = worker->clock_is_wrong ? WRONG_EVERY_US : CHECK_EVERY_US;
    if (!worker->clock_is_due && worker->clock_checked_us != 0 && now_us - worker->clock_checked_us < every_us)
        return true;
    const int64_t asked_us = clock_now_us();
    if (!ask_postgres(worker->connection.conn, &postgres_us, &local)) {
        log_warn_because(&local, "cannot compare the clock with Postgres's, trying again", NULL);
        worker_drop_connection(worker, now_us);
        return true;
    }
    now_us = clock_now_us();
    const int64_t wall_us = clock_wall_us(), off_us = wall_us - postgres_us - (now_us - asked_us) / 2;
    const struct clock_facts facts = {.postgres_off_us = off_us,
                                      .has_record = worker->record_us != 0 && now_us - worker->record_at_us < RECORD_LASTS_US,
                                      .record_off_us = wall_us - worker->record_us - (now_us - worker->record_at_us),
                                      .ahead_us = settings_int(worker->settings, "window.ahead")};
    enum clock_suspect suspect;
    const enum clock_verdict verdict = clock_watch(&facts, &suspect);
    metrics_set(worker->metrics, WORKER_CLOCK_OFFSET, 0, off_us);
    if (verdict != CLOCK_GOOD &&
        (worker->clock_told_us == 0 || now_us - worker->clock_told_us >= CHECK_EVERY_US - CLOCK_SECOND_US)) {
        worker->clock_told_us = now_us;
        tell(worker, suspect, verdict == CLOCK_WRONG, wall_us, off_us);
    }
    return take_verdict(worker, verdict, off_us, now_us, err);
}
