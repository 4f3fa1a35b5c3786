/* worker.c - the main loop: read, fill, send, wait.
 *
 * Each turn takes what Kafka has while the batch being filled has room, moves the transaction as far as its socket allows, and
 * starts the next batch when one is due. What waits inside a turn is rare, and happens while no batch is under way, but for what a
 * SIGHUP brings. Each has a deadline below max.poll.interval.ms (5 min):
 *   finding refused rows: no part begins after two minutes, and each takes 25 s at most (bisect.c);
 *   claiming, beginning (older anchors, gaps, the topic's id), the positions for --until-end: 15 s a statement (ledger.h);
 *   making months: 10 s each (months.c);
 *   what Kafka refuses: 1.5 s for each of two rights, every 5 s (worker_refusal.c);
 *   a new Kafka client: 5 s for each of its two rights, 2.5 s to leave by the one before (source.c, leave.c);
 *   connecting, and trying a new postgres.dsn: 3 s a question (connection.h); the clock of Postgres: 3 s (worker_clock.c);
 *   telling the database of a trouble: 2 s (ledger.c).
 * Reading is paused only while Postgres has kept a full batch waiting for 2 s, or is away, or the clock of this host is wrong.
 */
#include "consumer/worker.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/catalogue.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/monitor.h"
#include "common/service.h"
#include "common/settings.h"
#include "common/transcode.h"
#include "consumer/namesake.h"
#include "consumer/spill.h"
#include "consumer/open_transaction.h"
#include "consumer/worker_metrics.h"
#include "consumer/worker_state.h"

#define REVOKE_LIMIT_US INT64_C(3000000)
#define LONGEST_WAIT_US INT64_C(200000)
#define UNREAD_US       INT64_C(3000000) /* without a turn, or with reading paused: what Kafka has says nothing then */
#define FINISH_LIMIT_US INT64_C(3000000)

/* ---- Postgres comes and goes ---- */

void worker_drop_connection(struct worker *worker, int64_t now_us)
{
    connection_drop(&worker->connection, now_us);
    worker->is_open = false;
    worker->proof_since_us = 0;
    worker->assignment.resync = true;
    batches_drop(&worker->batches, worker->is_open);
    source_pause(worker->source, true);
}

static bool connect_database(struct worker *worker, int64_t now_us, struct error *err)
{
    if (!connection_open(&worker->connection, now_us, err))
        return false;
    if (!worker->connection.conn)
        return true;
    metrics_add(worker->metrics, WORKER_CONNECTIONS, 0, 1);
    worker->last_sample_us = 0; /* the new connection is shown at once */
    worker->clock_is_due = true;
    worker->assignment.resync = true;
    return true;
}

/* ---- the turn ---- */

static bool batch_is_due(const struct worker *worker, int64_t now_us)
{
    if (worker->batches.retry_sending)
        return true;
    if (batch_is_empty(worker->batches.filling) || now_us < worker->flood.slow_until_us)
        return false;
    return batch_is_full(worker->batches.filling) ||
           (worker->queue_is_dry && now_us - worker->last_commit_us >= worker->min_age_us);
}

static void summarize(struct worker *worker, int64_t now_us)
{
    if (worker->reports_due && now_us - worker->last_report_us >= CLOCK_SECOND_US) {
        source_report_positions(worker->source);
        worker->reports_due = false;
        worker->last_report_us = now_us;
    }
    if (now_us - worker->last_summary_us < 10 * CLOCK_SECOND_US)
        return;
    worker->last_summary_us = now_us;
    const int64_t odd = worker->unknown_events + worker->unknown_keys + worker->broken_attributes;
    if (odd != worker->odd_reported)
        log_info("stored, but not as the catalogue says", "unknown_events=%" PRId64 " unknown_keys=%" PRId64 " attributes=%" PRId64,
                 worker->unknown_events, worker->unknown_keys, worker->broken_attributes);
    worker->odd_reported = odd;
    const int64_t spilled = spill_total_bytes();
    if (spilled != worker->spilled_reported)
        log_warn("Kafka's batches unpacked to more than memory.max holds: what was too much lay in a file meanwhile",
                 "bytes=%" PRId64, spilled - worker->spilled_reported);
    worker->spilled_reported = spilled;
}

/* Whether a flood of dead letters is to stop the worker. */
static bool may_go_on(const struct worker *worker, struct error *err)
{
    if (!worker->flood.is_on)
        return true;
    const struct flood_rules rules = flood_rules(worker->settings);
    return flood_allows(&worker->flood, &rules, source_topic(worker->source), err);
}

static void look_each_second(struct worker *worker, int64_t now_us)
{
    if (now_us - worker->last_second_us < CLOCK_SECOND_US)
        return;
    const bool is_read = now_us - worker->last_second_us < UNREAD_US && now_us - worker->read_us < UNREAD_US;
    worker->last_second_us = now_us;
    const struct flood_rules rules = flood_rules(worker->settings);
    flood_look(&worker->flood, &rules, source_topic(worker->source), now_us);
    retention_look(&worker->retention, source_handle(worker->source), source_topic(worker->source));
    open_transaction_look(worker->source, is_read);
    worker_trouble_stopped(worker, now_us);
    worker_refusal_look(worker, now_us);
}

/* Whether Postgres may be asked something now: connects, and compares the clock, where that is due. A revocation is answered in any
 * case: the group waits for it. False: err ends the worker. */
static bool prepare_database(struct worker *worker, int64_t now_us, bool *is_ready, struct error *err)
{
    const bool must_answer = worker->assignment.is_revoked;
    *is_ready = must_answer;
    if (now_us < worker->connection.not_before_us && !must_answer)
        return true;
    if (!worker->connection.conn)
        return must_answer || connect_database(worker, now_us, err);
    if (!worker_check_clock(worker, now_us, err))
        return false;
    *is_ready = must_answer || (worker->connection.conn && !worker->clock_is_wrong && !worker->clock_is_due);
    return true;
}

/* --until-end, and nothing is left to do: is the ledger there? False: err ends the worker. */
static bool look_for_end(struct worker *worker, int64_t now_us, struct error *err)
{
    struct error local = {0};
    if (!worker->until_end.is_wanted || !worker->queue_is_dry || !batch_is_empty(worker->batches.filling) ||
        until_end_check(&worker->until_end, worker->connection.conn, now_us, &local))
        return true;
    if (local.kind == ERROR_FATAL) {
        *err = local;
        return false;
    }
    log_warn_because(&local, "cannot read the ledger, trying again", NULL);
    worker_drop_connection(worker, now_us);
    return true;
}

static bool work_with_database(struct worker *worker, int64_t now_us, struct error *err)
{
    bool is_ready;
    if (worker->is_open && (!worker_pump(worker, now_us, err) || !may_go_on(worker, err)))
        return false;
    if (worker->is_open) {
        /* A revocation waits for the batch under way, for a while: letting it commit saves its new owner the work. */
        if (worker->assignment.is_revoked && now_us - worker->assignment.revoked_since_us > REVOKE_LIMIT_US)
            worker_give_back(worker);
        return true;
    }
    if (worker_renew(worker))
        return true;
    if (!prepare_database(worker, now_us, &is_ready, err))
        return false;
    if (!is_ready)
        return true;
    worker_watch_topic(worker, now_us);
    const enum group_answer answer = worker_answer_group(worker, now_us, err);
    if (answer != GROUP_QUIET)
        return answer == GROUP_BUSY;
    if (batch_is_due(worker, now_us) && worker_begin(worker, now_us))
        return worker_pump(worker, now_us, err);
    if (!worker->batches.retry_sending)
        batch_reset(worker->batches.sending); /* nothing follows at once: let the messages of the committed batch go */
    return look_for_end(worker, now_us, err);
}

/* ---- the wait behind it ---- */

/* Whether the next turn has something to do over the idle connection, whatever comes in. */
static bool has_work(const struct worker *worker, int64_t now_us)
{
    if (worker->is_open || !worker->connection.conn || now_us < worker->connection.not_before_us)
        return false;
    if (worker->assignment.is_revoked)
        return true;
    const bool is_claiming = assignment_is_due(&worker->assignment);
    if (worker->clock_is_wrong || (is_claiming && worker->identity.asked_us != 0)) /* its answer is waited for */
        return false;
    const bool is_full = !batches_have_room(&worker->batches), is_slowed = now_us < worker->flood.slow_until_us;
    return worker->batches.retry_sending || is_claiming || (is_full && !is_slowed);
}

/* When something is due by the clock alone, if nothing comes in before. */
static int64_t due_us(const struct worker *worker, int64_t now_us)
{
    const int64_t latest_us = now_us + LONGEST_WAIT_US;
    int64_t at_us = latest_us;
    if (worker->is_open)
        return latest_us;
    if (now_us < worker->connection.not_before_us)
        at_us = worker->connection.not_before_us;
    else if (worker->connection.conn && now_us < worker->flood.slow_until_us)
        at_us = worker->flood.slow_until_us;
    else if (worker->connection.conn && !batch_is_empty(worker->batches.filling))
        at_us = worker->last_commit_us + worker->min_age_us;
    return at_us < now_us ? now_us : at_us < latest_us ? at_us : latest_us;
}

static void wait_for_work(struct worker *worker, int64_t now_us)
{
    const bool is_reading = batches_have_room(&worker->batches);
    if ((is_reading && !worker->queue_is_dry) || has_work(worker, now_us))
        return;
    const bool is_held = worker->is_open && transaction_is_held(worker->transaction); /* for an answer from Kafka */
    struct pollfd fds[4] = {
        {service_fd(), POLLIN, 0},
        {worker->is_open && !is_held ? PQsocket(worker->connection.conn) : -1,
         (short)(POLLIN | (transaction_wants_write(worker->transaction) ? POLLOUT : 0)), 0},
        {is_reading ? source_fd(worker->source) : -1, POLLIN, 0},
        {worker->answers_fd, POLLIN, 0},
    };
    const int64_t wait_us = due_us(worker, now_us) - now_us;
    const struct timespec timeout = {wait_us / CLOCK_SECOND_US, wait_us % CLOCK_SECOND_US * 1000};
    ppoll(fds, 4, &timeout, NULL);
    uint64_t answers;
    if (fds[3].revents && read(worker->answers_fd, &answers, sizeof answers) < 0)
        return; /* nothing was in it */
}

static bool run(struct worker *worker, struct error *err)
{
    while (!service_is_stopping() && !worker->until_end.is_done) {
        const int64_t now_us = clock_now_us();
        service_watchdog(now_us);
        if (service_take_reload())
            worker_reload(worker, now_us);
        worker_renew_look(worker, now_us);
        worker_move_window(worker, now_us);
        if (!worker_read(worker, now_us, err) || !work_with_database(worker, now_us, err) || !may_go_on(worker, err))
            return false;
        summarize(worker, now_us);
        worker_status(worker, now_us);
        if (!worker->is_open && connection_is_lost(&worker->connection, now_us))
            worker_drop_connection(worker, now_us);
        look_each_second(worker, now_us);
        worker_metrics_sample(worker, now_us);
        if (!until_end_learn(&worker->until_end, now_us, err) || until_end_is_late(&worker->until_end, now_us, err))
            return false;
        wait_for_work(worker, clock_now_us());
    }
    if (worker->until_end.is_wanted && !worker->until_end.is_done)
        return error_set(err, ERROR_RETRY, "stopped before the end of the topic was in the ledger");
    return true;
}

/* ---- closing ---- */

static void finish_open_batch(struct worker *worker, int64_t deadline_us)
{
    struct error err = {0};
    while (worker->is_open && clock_now_us() < deadline_us) {
        if (!worker_pump(worker, clock_now_us(), &err) || !worker->is_open)
            break;
        struct pollfd fd = {PQsocket(worker->connection.conn),
                            (short)(POLLIN | (transaction_wants_write(worker->transaction) ? POLLOUT : 0)), 0};
        poll(&fd, 1, 100);
    }
}

bool worker_run(struct worker *worker, struct error *err)
{
    service_ready();
    if (run(worker, err))
        return true;
    if (worker->kafka_is_fatal && source_was_fenced(worker->source) && !service_is_stopping()) {
        finish_open_batch(worker, clock_now_us() + CLOCK_SECOND_US); /* its rows and locks must not lie about meanwhile */
        const struct namesake_self self = {worker->connection.dsn, source_topic(worker->source), worker->owner,
                                           worker->assignment.claimed, worker->assignment.claimed_count};
        namesake_judge(&self, err);
    }
    return worker->kafka_is_fatal && service_is_stopping(); /* it was to end anyhow */
}

void worker_close(struct worker *worker, bool leave)
{
    if (!worker)
        return;
    monitor_close(worker->monitor);
    finish_open_batch(worker, clock_now_us() + FINISH_LIMIT_US);
    if (worker->source && worker->reports_due)
        source_report_positions(worker->source);
    if (worker->source)
        worker_log_end(worker);
    if (worker->reaper)
        reaper_stop(worker->reaper);
    connection_close(&worker->connection);
    batches_free(&worker->batches);
    retention_reset(&worker->retention);
    identity_reset(&worker->identity);
    until_end_reset(&worker->until_end);
    worker_renew_end(worker);
    source_close(worker->source, leave);
    if (worker->answers_fd >= 0)
        close(worker->answers_fd);
    transaction_free(worker->transaction);
    transcoder_free(worker->transcoder);
    catalogue_free(worker->catalogue);
    metrics_free(worker->metrics);
    health_free(&worker->health);
    assignment_free(&worker->assignment);
    free(worker);
}
