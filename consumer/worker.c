/* worker.c - the main loop: read, fill, send, wait.
 *
 * Each turn takes what Kafka has while the batch being filled has room, moves the transaction as far as its socket allows, and
 * starts the next batch when one is due. Nothing in a turn waits, but for three rare things that need an idle connection:
 * connecting, claiming, and finding refused rows; each has a deadline far below max.poll.interval.ms. Reading is paused only while
 * Postgres keeps a full batch waiting for more than 2 s, or is away.
 */
#include "consumer/worker.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/catalogue.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/monitor.h"
#include "common/postgres.h"
#include "common/service.h"
#include "common/settings.h"
#include "common/transcode.h"
#include "consumer/namesake.h"
#include "consumer/spill.h"
#include "consumer/open_transaction.h"
#include "consumer/worker_metrics.h"
#include "consumer/worker_state.h"

enum { MESSAGES_A_TURN = 1000 };
#define PAUSE_AFTER_US   INT64_C(2000000)
#define REVOKE_LIMIT_US  INT64_C(3000000)
#define LONGEST_WAIT_US  INT64_C(200000)
#define FINISH_LIMIT_US  INT64_C(3000000)

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

/* ---- reading ---- */

/* Takes the message over. False without memory. */
static bool take_message(struct worker *worker, struct source_partition *partition, rd_kafka_message_t *message, struct error *err)
{
    const int64_t offset = message->offset;
    if ((source_is_proving(partition) && worker_meet_anchor(worker, partition, message)) || partition->is_stopped ||
        offset < partition->expected_offset) {
        rd_kafka_message_destroy(message);
        return true;
    }
    if (!batch_add(worker->batches.filling, worker->transcoder, message, partition->expected_offset, err))
        return false;
    partition->expected_offset = offset + 1;
    return true;
}

static bool take_end(struct worker *worker, struct source_partition *partition, int64_t end_offset, struct error *err)
{
    if (source_is_proving(partition)) /* read to the end and met no message */
        worker_miss_anchors(worker, partition);
    if (end_offset <= partition->expected_offset)
        return true;
    if (!batch_skip(worker->batches.filling, partition->claim.topic_partition, partition->expected_offset, end_offset, err))
        return false;
    partition->expected_offset = end_offset;
    return true;
}

static bool take_left_over(struct worker *worker, struct error *err)
{
    rd_kafka_message_t *message = batches_take_left_over(&worker->batches);
    struct source_partition *partition = message ? source_find(worker->source, message->partition) : NULL;
    if (partition)
        return take_message(worker, partition, message, err);
    if (message)
        rd_kafka_message_destroy(message);
    return true;
}

static bool take_event(struct worker *worker, int64_t now_us, struct error *err)
{
    rd_kafka_message_t *message;
    struct source_partition *partition;
    int64_t end_offset;
    switch (source_poll(worker->source, &message, &partition, &end_offset, err)) {
    case SOURCE_NOTHING: worker->queue_is_dry = true; return true;
    case SOURCE_MESSAGE:
        FAILPOINT("after_poll");
        if (worker->assignment.resync || worker->batches.left_over) {
            rd_kafka_message_destroy(message); /* it comes again, from the ledger's position */
            worker->assignment.resync = true;
        } else if (batch_is_full(worker->batches.filling)) {
            worker->batches.left_over = message;
        } else {
            return take_message(worker, partition, message, err);
        }
        return true;
    case SOURCE_END: return worker->assignment.resync || take_end(worker, partition, end_offset, err);
    case SOURCE_ASSIGN: worker->queue_is_dry = worker->assignment.is_wanted = true; return true;
    case SOURCE_REVOKE:
        if (!worker->assignment.is_revoked)
            worker->assignment.revoked_since_us = now_us;
        worker->queue_is_dry = worker->assignment.is_revoked = true;
        worker->assignment.is_wanted = false;
        return true;
    case SOURCE_RESYNC:
        log_warn("Kafka does not have the offset that was asked for: reading the ledger again", "topic=%s",
                 source_topic(worker->source));
        worker->assignment.resync = true;
        connection_back_off(&worker->connection, now_us);
        return true;
    case SOURCE_FATAL: worker->kafka_is_fatal = true; return false;
    }
    return true;
}

/* Polling goes on whatever happens; it is a full batch that keeps it waiting, and after 2 s it pauses instead. */
static bool read_some(struct worker *worker, int64_t now_us, struct error *err)
{
    if (!take_left_over(worker, err))
        return false;
    const bool is_full = !batches_have_room(&worker->batches);
    if (!is_full)
        worker->full_since_us = 0;
    else if (worker->full_since_us == 0)
        worker->full_since_us = now_us;
    if (is_full && now_us - worker->full_since_us < PAUSE_AFTER_US)
        return true;
    source_pause(worker->source, is_full || !worker->connection.conn || worker->clock_is_wrong);
    source_clear_wakeup(worker->source);
    worker->queue_is_dry = false;
    for (int i = 0; i < MESSAGES_A_TURN && !worker->queue_is_dry; i++) {
        if (!take_event(worker, now_us, err))
            return false;
        if (!is_full && batch_is_full(worker->batches.filling))
            break;
    }
    return true;
}

/* ---- the turn ---- */

/* What claiming and beginning has brought. */
static void note_assignment(struct worker *worker)
{
    int count;
    struct assignment *assignment = &worker->assignment;
    if (assignment->gap_offsets == 0 && assignment->claims_made == 0)
        return;
    source_partitions(worker->source, &count);
    metrics_add(worker->metrics, WORKER_GAPS, 0, assignment->gap_offsets);
    metrics_add(worker->metrics, WORKER_ASSIGNMENTS, 0, assignment->claims_made);
    if (assignment->claims_made > 0 && count > 0) {
        retention_ask(&worker->retention, source_handle(worker->source), source_topic(worker->source));
        worker_log_reading(worker);
    }
    assignment->gap_offsets = assignment->claims_made = 0;
}

/* Reading could not begin. False: nor will it, and `why` ends the worker. */
static bool try_claim_again(struct worker *worker, const struct error *why, int64_t now_us)
{
    const bool is_migrating = postgres_is(why, POSTGRES_MIGRATING);
    if (why->kind != ERROR_RETRY && !is_migrating)
        return false;
    worker_metrics_retry(worker, why);
    log_warn_because(why, "cannot begin reading, trying again", "topic=%s", source_topic(worker->source));
    worker->claim_setbacks++;
    worker_trouble(worker, TROUBLE_OF_CLAIM, why, now_us);
    worker->assignment.resync = true;
    connection_back_off(&worker->connection, now_us);
    /* Connecting looks at the schema again, and finds the server that takes rows when this one was demoted. */
    if (is_migrating || postgres_is(why, POSTGRES_READ_ONLY) || !connection_is_idle(&worker->connection))
        worker_drop_connection(worker, now_us);
    return true;
}

/* What the group takes back: a batch under way goes on by itself, and is fenced off if somebody else has claimed meanwhile. */
static void give_back(struct worker *worker)
{
    batches_drop(&worker->batches, worker->is_open);
    source_unassign(worker->source);
    worker->assignment.is_revoked = false;
}

enum group_answer {
    GROUP_QUIET,  /* nothing is to be done for the group: a batch may begin */
    GROUP_BUSY,   /* something was done, or is waited for: none may */
    GROUP_FAILED, /* err ends the worker */
};

/* What the group is owed while no batch is under way, over the idle connection. */
static enum group_answer answer_group(struct worker *worker, int64_t now_us, struct error *err)
{
    struct assignment *assignment = &worker->assignment;
    PGconn *conn = worker->connection.conn;
    struct error why = {0};
    if (assignment->is_revoked) {
        give_back(worker);
        return GROUP_BUSY;
    }
    if (assignment->rejoin) {
        assignment->rejoin = false;
        source_rejoin(worker->source);
    }
    assignment->resync |= assignment->resync_at_us != 0 && now_us >= assignment->resync_at_us;
    const bool is_claiming = assignment_is_due(assignment);
    if (is_claiming)
        batches_drop(&worker->batches, worker->is_open);
    const bool is_done = is_claiming ? assignment_claim(assignment, conn, now_us, &why)
                                     : assignment_begin(assignment, conn, now_us, &why) && worker_name_topic(worker, &why);
    note_assignment(worker);
    if (!is_done && try_claim_again(worker, &why, now_us))
        return GROUP_BUSY;
    if (!is_done) {
        *err = why;
        return GROUP_FAILED;
    }
    if (!is_claiming)
        return GROUP_QUIET;
    if (!assignment_is_due(assignment)) { /* it holds; else it waits for Kafka */
        worker->claim_setbacks = 0;
        if (worker->trouble == TROUBLE_OF_CLAIM)
            worker_trouble_over(worker);
    }
    return GROUP_BUSY;
}

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
    worker->last_second_us = now_us;
    const struct flood_rules rules = flood_rules(worker->settings);
    flood_look(&worker->flood, &rules, source_topic(worker->source), now_us);
    retention_look(&worker->retention);
    open_transaction_look(worker->source);
    worker_trouble_stopped(worker, now_us);
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
            give_back(worker);
        return true;
    }
    if (worker_renew(worker))
        return true;
    if (!prepare_database(worker, now_us, &is_ready, err))
        return false;
    if (!is_ready)
        return true;
    worker_watch_topic(worker, now_us);
    const enum group_answer answer = answer_group(worker, now_us, err);
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
        if (!read_some(worker, now_us, err) || !work_with_database(worker, now_us, err) ||
            !may_go_on(worker, err))
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
