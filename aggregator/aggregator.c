/* aggregator.c - the loop around the cycles: a connection, leadership, time to sleep.
 *
 * Invariant: whenever a connection or the leadership may be lost, everything in memory is forgotten before the next cycle. Errors
 * that may pass are waited out with a growing pause; others end the service once they have come back several times (a migration
 * under way looks like a missing column for a moment), since a restart by systemd with a clear exit code is worth more than a loop
 * that logs.
 */
#include "aggregator/aggregator.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "aggregator/aggregator_metrics.h"
#include "aggregator/backlog.h"
#include "aggregator/cycle.h"
#include "aggregator/expiry.h"
#include "aggregator/leader.h"
#include "aggregator/merge.h"
#include "aggregator/rollups.h"
#include "common/session.h"
#include "common/check.h"
#include "common/check_postgres.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/monitor.h"
#include "common/outage.h"
#include "common/postgres.h"
#include "common/service.h"
#include "common/settings.h"

static const int64_t FIRST_PAUSE_US = 100000;
static const int64_t LONGEST_PAUSE_US = 5 * CLOCK_SECOND_US;
static const int64_t STANDBY_US = CLOCK_SECOND_US;
static const int64_t STATUS_US = 5 * CLOCK_SECOND_US;
static const int64_t STATISTICS_FIRST_US = 60 * CLOCK_SECOND_US;
static const int64_t ONCE_PATIENCE_US = 30 * CLOCK_SECOND_US;
static const int64_t LOCKED_OUT_US = 10 * CLOCK_SECOND_US;
static const int64_t TELL_LOCKED_OUT_US = 30 * CLOCK_SECOND_US;

enum { SAME_ERRORS = 5 };

struct aggregator {
    struct settings *settings;
    bool once, was_settled, is_done;
    struct session *session; /* NULL: not connected */
    struct leader leader;
    struct cycle cycle;
    struct rollups rollups;
    struct merge merge;
    struct expiry expiry;
    struct aggregator_metrics shown;
    int64_t progress_us; /* monotonic: when something last went well */
    int64_t pause_us;    /* after the next failure */
    int hard_errors;     /* in a row, that are not ERROR_RETRY */
    bool was_ready;
    struct outage outage;
    struct error locked_out; /* as last found out */
    int64_t locked_out_asked_us, locked_out_told_us;
    int64_t events;
    int64_t status_us, status_events,
        settled_us;        /* of the last status line: when, and how many events then; when nothing was left behind last */
    struct backlog days;   /* that wait for a rebuild */
    int64_t rebuilding_us; /* monotonic: since when days were rebuilt without a pause; 0: not now */
};

/* A connection string that has changed is tried before it is taken, for the connections to come. */
static void try_dsn(struct settings *settings, struct settings *fresh)
{
    struct error err = {0};
    if (settings_is_same_dsn(settings, fresh))
        return;
    struct session *session = session_open(settings_text(fresh, "postgres.dsn"), "tallymill-aggregator", &err);
    if (!session) {
        log_error_because(&err, "the new postgres.dsn was not taken: the one before stays in force. Mend it and send SIGHUP again",
                          NULL);
        return;
    }
    session_close(session);
    settings_swap_dsn(settings, fresh);
    log_info("the new postgres.dsn has logged in, and is taken from the next connection on", NULL);
}

/* What a SIGHUP changes: between two cycles all of it may. */
static void reload(struct aggregator *aggregator)
{
    struct error err = {0};
    struct settings *fresh = settings_load_again(aggregator->settings, &err);
    if (!fresh) {
        log_error_because(&err, "the settings were not read again: those before stay in force", NULL);
        return;
    }
    const bool is_same =
        settings_is_same(aggregator->settings, fresh, FOR_AGGREGATOR) && settings_is_same_dsn(aggregator->settings, fresh);
    settings_adopt(aggregator->settings, fresh, FOR_AGGREGATOR);
    try_dsn(aggregator->settings, fresh);
    settings_free(fresh);
    aggregator->cycle.close_after_us = settings_int(aggregator->settings, "aggregator.close_after");
    rollups_set(&aggregator->rollups, aggregator->settings);
    health_set_patience(&aggregator->shown.health, settings_int(aggregator->settings, "metrics.stalled_after"));
    settings_tell_read(is_same);
}

/* Sleeps, but not through a signal. */
static void sleep_us(struct aggregator *aggregator, int64_t duration_us)
{
    int64_t deadline_us = clock_now_us() + duration_us;
    struct pollfd signal = {.fd = service_fd(), .events = POLLIN};
    for (;;) { /* ends: at the deadline or with a stop */
        int64_t now_us = clock_now_us();
        service_watchdog(now_us);
        if (service_take_reload())
            reload(aggregator);
        if (service_is_stopping() || now_us >= deadline_us)
            return;
        int64_t left_ms = (deadline_us - now_us + 999) / 1000;
        poll(&signal, 1, left_ms < 1000 ? (int)left_ms : 1000);
    }
}

/* Sleeps between two cycles, while the rollups' own session is looked after. */
static void rest_us(struct aggregator *aggregator, int64_t duration_us)
{
    int64_t deadline_us = clock_now_us() + duration_us;
    for (;;) { /* ends: at the deadline or with a stop */
        int64_t now_us = clock_now_us();
        service_watchdog(now_us);
        if (service_take_reload())
            reload(aggregator);
        if (service_is_stopping() || now_us >= deadline_us)
            return;
        rollups_turn(&aggregator->rollups, aggregator->leader.epoch, aggregator->rebuilding_us != 0, now_us);
        int64_t left_us = deadline_us - now_us, wait_us = rollups_wait_us(&aggregator->rollups, now_us);
        struct pollfd sources[] = {{.fd = service_fd(), .events = POLLIN},
                                   {.fd = rollups_socket(&aggregator->rollups), .events = POLLIN}};
        int64_t wait_ms = ((wait_us < left_us ? wait_us : left_us) + 999) / 1000;
        poll(sources, 2, wait_ms < 1000 ? (int)wait_ms : 1000);
    }
}

static void disconnect(struct aggregator *aggregator)
{
    session_close(aggregator->session);
    aggregator->session = NULL;
    rollups_stop(&aggregator->rollups);
    leader_forget(&aggregator->leader);
    cycle_forget(&aggregator->cycle);
}

/* Something failed; `doing` says what, where the error itself does not. False: that is the end. */
static bool recover(struct aggregator *aggregator, const char *doing, struct error *err)
{
    bool was_stopped = aggregator->session && session_was_stopped(aggregator->session);
    disconnect(aggregator);
    aggregator_metrics_failed(&aggregator->shown, err, clock_now_us());
    if (was_stopped || service_is_stopping()) {
        error_clear(err);
        return true;
    }
    /* A login that worked before and is refused now: its password is being rotated, and the new one may be minutes away. */
    bool is_rotating = aggregator->was_ready && postgres_is(err, POSTGRES_LOGIN_REFUSED);
    aggregator->hard_errors = err->kind == ERROR_RETRY || is_rotating ? 0 : aggregator->hard_errors + 1;
    bool is_hopeless =
        aggregator->hard_errors > 0 && (!aggregator->was_ready || aggregator->once || aggregator->hard_errors >= SAME_ERRORS);
    bool is_late = aggregator->once && clock_now_us() - aggregator->progress_us > ONCE_PATIENCE_US;
    if (doing)
        error_wrap(err, "%s", doing);
    if (is_hopeless || is_late)
        return false;
    /* Jitter, so that several standbys do not come back at the same moment. */
    int64_t pause_us = aggregator->pause_us / 2 + random() % (aggregator->pause_us / 2 + 1);
    if (doing)
        log_warn_because(err, "trying again", "pause_ms=%" PRId64, pause_us / 1000);
    else
        outage_note(&aggregator->outage, err, clock_now_us());
    service_trouble(err);
    service_status("waiting for Postgres");
    service_ready(); /* what is wrong for good ends it above; a server that is away may be so for longer than a start may take */
    aggregator->pause_us = aggregator->pause_us * 2 < LONGEST_PAUSE_US ? aggregator->pause_us * 2 : LONGEST_PAUSE_US;
    error_clear(err);
    sleep_us(aggregator, pause_us);
    return true;
}

static void went_well(struct aggregator *aggregator)
{
    aggregator->progress_us = clock_now_us();
    aggregator->pause_us = FIRST_PAUSE_US;
    aggregator->hard_errors = 0;
}

/* Somebody has held the lock of the cycles whenever we wanted it, for longer than a cycle or a command takes: nothing is done
 * meanwhile, so it is shown, and told every half minute. False: with --once that is the end. */
static bool tell_locked_out(struct aggregator *aggregator, struct error *err)
{
    const int64_t now_us = clock_now_us(), since_us = aggregator->leader.locked_out_us;
    if (since_us == 0 || now_us - since_us < LOCKED_OUT_US) {
        error_clear(&aggregator->locked_out);
        return true;
    }
    if (now_us - aggregator->locked_out_asked_us >= CLOCK_SECOND_US * 5) {
        aggregator->locked_out_asked_us = now_us;
        error_set(&aggregator->locked_out, ERROR_RETRY, "the lock of the aggregator's cycles was not free for %d s",
                  (int)((now_us - since_us) / CLOCK_SECOND_US));
        postgres_mark(&aggregator->locked_out, POSTGRES_LOCKED);
        session_name_holders(aggregator->session, &aggregator->locked_out);
    }
    if (now_us - aggregator->locked_out_told_us >= TELL_LOCKED_OUT_US) {
        aggregator->locked_out_told_us = now_us;
        log_warn_because(&aggregator->locked_out, "nothing is counted", NULL);
    }
    if (!aggregator->once || now_us - since_us < ONCE_PATIENCE_US)
        return true;
    *err = aggregator->locked_out;
    return false;
}

/* Another one leads: look again in a second, or with --once give up after half a minute. */
static bool stand_by(struct aggregator *aggregator, struct error *err)
{
    cycle_forget(&aggregator->cycle);
    if (!tell_locked_out(aggregator, err))
        return false;
    aggregator_metrics_standby(&aggregator->shown, &aggregator->locked_out, clock_now_us());
    service_status("standing by: %s leads", aggregator->leader.other);
    if (aggregator->once && clock_now_us() - aggregator->progress_us > ONCE_PATIENCE_US)
        return error_set(err, ERROR_RETRY, "another aggregator leads (%s); it takes the events in, or stop it first",
                         aggregator->leader.other);
    sleep_us(aggregator, STANDBY_US);
    return true;
}

/* The unit's status line. */
static void show_status(struct aggregator *aggregator, const struct cycle_report *report, int64_t now_us)
{
    const int64_t passed_us = now_us - aggregator->status_us;
    if (report->is_settled || aggregator->settled_us == 0) /* at the start: so long at least */
        aggregator->settled_us = now_us;
    if (passed_us < STATUS_US)
        return;
    const int64_t rate =
        aggregator->status_us == 0 ? 0 : (aggregator->events - aggregator->status_events) * CLOCK_SECOND_US / passed_us;
    aggregator->status_us = now_us;
    aggregator->status_events = aggregator->events;
    service_status("leading: %" PRId64 " events/s, statistics %" PRId64
                   " s behind, %zu batches and %zu days waiting, %zu days in memory, last cycle %" PRId64 " ms",
                   rate, (now_us - aggregator->settled_us) / CLOCK_SECOND_US, report->waiting_batches, report->waiting_days,
                   report->loaded_days, report->took_us / 1000);
}

static void tell(struct aggregator *aggregator, const struct cycle_report *report)
{
    aggregator->events += (int64_t)report->events;
    backlog_note(&aggregator->days, (int64_t)report->rebuilt, (int64_t)report->waiting_days, clock_now_us());
    if (report->did_run)
        log_debug(
            "cycle",
            "batches=%zu events=%zu statistics=%zu rebuilt=%zu closed=%zu days_in_memory=%zu days_waiting=%zu took_ms=%" PRId64,
            report->batches, report->events, report->statistics, report->rebuilt, report->closed, report->loaded_days,
            report->waiting_days, report->took_us / 1000);
    show_status(aggregator, report, clock_now_us());
}

/* Between two cycles. Statistics come before rollups: while days are rebuilt one after the other, no rollup is begun and nobody
 * rests, for a minute; if that is not the end of it, rollups have a fifth of the time. */
static void pass_time(struct aggregator *aggregator, const struct cycle_report *report)
{
    const int64_t now_us = clock_now_us();
    if (report->rebuilt == 0 || report->waiting_days == 0)
        aggregator->rebuilding_us = 0;
    else if (aggregator->rebuilding_us == 0)
        aggregator->rebuilding_us = now_us;
    if (aggregator->rebuilding_us != 0 && now_us - aggregator->rebuilding_us < STATISTICS_FIRST_US)
        rollups_look(&aggregator->rollups, now_us);
    else
        rest_us(aggregator, settings_int(aggregator->settings, "aggregator.interval"));
}

/* Months, the cycle, and a word of life. Returns what failed, or NULL. */
static const char *run_cycle(struct aggregator *aggregator, struct cycle_report *report, struct error *err)
{
    struct cycle *cycle = &aggregator->cycle;
    struct session *session = aggregator->session;
    if (!months_ahead_make(&cycle->ahead, session, (int)settings_int(aggregator->settings, "aggregator.months_ahead"),
                           clock_now_us(), err))
        return "making months";
    if (!months_ahead_note_others(&cycle->ahead, session, clock_now_us(), err))
        return "looking for months of others";
    if (!cycle_run(cycle, session, &aggregator->leader, report, err))
        return "taking events in";
    if (aggregator->leader.is_leading && !leader_tell(&aggregator->leader, session, clock_now_us(), err))
        return "telling that we lead";
    return NULL;
}

/* What waits until all events are taken in, and what the metrics show of the tables. Returns what failed, or NULL. */
static const char *tidy_up(struct aggregator *aggregator, const struct cycle_report *report, struct error *err)
{
    const struct settings *settings = aggregator->settings;
    struct session *session = aggregator->session;
    if (!report->has_more && !merge_turn(&aggregator->merge, session, aggregator->leader.epoch,
                                         settings_int(settings, "aggregator.merge_every"), clock_now_us(), err))
        return "merging the ledger";
    if (!report->has_more &&
        !expiry_turn(&aggregator->expiry, session, settings_int(settings, "dead_letters.keep"), clock_now_us(), err))
        return "dropping the bytes of old dead letters";
    if (!aggregator_metrics_count(&aggregator->shown, session, err)) /* has to go well too: else the pauses would not grow */
        return "counting for the metrics";
    return NULL;
}

static void stop_leading(struct aggregator *aggregator)
{
    log_warn("leadership lost", "leader=%s epoch=%" PRId64, aggregator->leader.name, aggregator->leader.epoch);
    cycle_forget(&aggregator->cycle);
    rollups_stop(&aggregator->rollups);
}

static bool lead(struct aggregator *aggregator, struct error *err)
{
    struct cycle_report report;
    const int64_t start_us = clock_now_us();
    const char *failed = run_cycle(aggregator, &report, err);
    if (!failed && !aggregator->leader.is_leading) {
        stop_leading(aggregator);
        return true;
    }
    if (!failed)
        failed = tidy_up(aggregator, &report, err);
    if (failed)
        return recover(aggregator, failed, err);
    const bool is_settled = aggregator->once && report.is_settled && !aggregator->expiry.is_under_way;
    if (!is_settled || !aggregator->was_settled) /* what is left of --once has one patience */
        went_well(aggregator);
    aggregator->was_settled = is_settled;
    tell(aggregator, &report);
    if (!tell_locked_out(aggregator, err))
        return false;
    aggregator_metrics_cycle(&aggregator->shown, &aggregator->cycle, &report, &aggregator->rollups, &aggregator->days,
                             &aggregator->locked_out, start_us);
    if (is_settled && !rollups_finish(&aggregator->rollups, aggregator->leader.epoch, err))
        return recover(aggregator, "computing rollups", err);
    aggregator->is_done = is_settled;
    if (!aggregator->is_done && !report.has_more)
        pass_time(aggregator, &report);
    return true;
}

/* One round: connect, or become leader, or lead. False: that is the end. */
static bool turn(struct aggregator *aggregator, struct error *err)
{
    service_watchdog(clock_now_us());
    if (!aggregator->session) {
        if (!settings_refresh_dsn(aggregator->settings, err))
            log_warn_because(err, "postgres.dsn was not read again: what it was before is tried", NULL);
        error_clear(err);
        aggregator->session = session_open(settings_text(aggregator->settings, "postgres.dsn"), "tallymill-aggregator", err);
        if (!aggregator->session)
            return recover(aggregator, NULL, err);
        outage_over(&aggregator->outage, clock_now_us());
        log_info("connected to Postgres", NULL);
        aggregator_metrics_connected(&aggregator->shown);
    }
    if (!aggregator->leader.is_leading && !leader_try(&aggregator->leader, aggregator->session, clock_now_us(), err))
        return recover(aggregator, "asking who leads", err);
    aggregator->was_ready = true;
    service_ready();
    return aggregator->leader.is_leading ? lead(aggregator, err) : stand_by(aggregator, err);
}

bool aggregator_run(struct settings *settings, bool once, struct error *err)
{
    struct aggregator aggregator = {.settings = settings,
                                    .once = once,
                                    .pause_us = FIRST_PAUSE_US,
                                    .progress_us = clock_now_us(),
                                    .outage = {.away = "cannot reach Postgres, trying again", .back = "Postgres is back"}};
    if (!cycle_init(&aggregator.cycle, settings_int(settings, "memory.max"), settings_int(settings, "aggregator.close_after"), once,
                    err))
        return false;
    if (!aggregator_metrics_open(&aggregator.shown, settings, err)) {
        aggregator_metrics_close(&aggregator.shown);
        cycle_free(&aggregator.cycle);
        return false;
    }
    leader_init(&aggregator.leader);
    rollups_init(&aggregator.rollups, settings, once, aggregator.cycle.identity.key_secret.words[0]);
    backlog_init(&aggregator.days, "days of statistics", once);
    srandom((unsigned)clock_wall_us());
    bool succeeded = true;
    while (succeeded && !service_is_stopping() &&
           !aggregator.is_done) /* ends: with a stop, when --once is done, or with an error */
        succeeded = turn(&aggregator, err);
    service_stopping();
    if (aggregator.session && aggregator.leader.is_leading) {
        session_ignore_stop(aggregator.session);
        leader_release(&aggregator.leader, aggregator.session);
    }
    disconnect(&aggregator);
    rollups_free(&aggregator.rollups);
    aggregator_metrics_close(&aggregator.shown);
    cycle_free(&aggregator.cycle);
    return succeeded;
}

int aggregator_check(const struct settings *settings)
{
    struct error err;
    struct check check = {.program = "tallymill-aggregator"};
    if (!monitor_check(settings, &err))
        check_found(&check, &err);
    if (check_postgres(&check, settings_text(settings, "postgres.dsn"), "tallymill_aggregate", NULL) && check.worst == ERROR_NONE)
        puts("settings, server, schema and rights are in order");
    return check_exit_code(&check);
}
