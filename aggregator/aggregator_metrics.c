/* aggregator_metrics.c - see aggregator_metrics.h.
 *
 * Freshness is an age: the statistics hold whatever was committed when the last cycle that left nothing behind began. So it grows
 * by itself while cycles fail, wait or are slow, whoever is to blame, and needs no clock of another host.
 */
#include "aggregator/aggregator_metrics.h"

#include "aggregator/cycle.h"
#include "aggregator/rollups.h"
#include "common/session.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/monitor.h"
#include "common/postgres_error.h"
#include "common/settings.h"

enum {
    LEADER,
    FRESHNESS,
    BATCHES_WAITING,
    DAYS_OPEN,
    DAYS_DIRTY,
    DAYS_IN_MEMORY,
    EVENTS,
    BATCHES,
    STATISTICS,
    REBUILDS,
    CLOSED,
    CYCLE_SECONDS,
    STEP_SECONDS,
    ROLLUP_RUNS,
    ROLLUP_FAILURES,
    ROLLUP_SECONDS,
    ROLLUPS_WAITING,
    ROLLUPS_LEFT,
    DAYS_LEFT,
    LEDGER_ROWS,
    MONTHS_AHEAD,
    TABLE_BYTES,
    EVENTS_PER_DAY,
    MONTH_LEAVING,
    DISK_BYTES,
    DISK_FREE,
    DISK_LEFT,
    ROLLUPS_STALE,
    ROLLUP_AGE,
    FAILURES,
    CONNECTED,
    SET_BYTES,
    RESIDENT_BYTES,
    MEMORY_MAX,
    METRICS_COUNT,
};

static const char *const steps[] = {
    [STEP_LOOK] = "look", [STEP_BOOKS] = "books", [STEP_ROWS] = "rows", [STEP_REBUILD] = "rebuild", [STEP_COMMIT] = "commit", NULL};

static const struct metric table[METRICS_COUNT] = {
    [LEADER] = {.name = "leader", .help = "1 while this one leads, 0 while it stands by", .kind = METRIC_GAUGE},
    [FRESHNESS] = {.name = "freshness_seconds",
                   .help = "the statistics hold all that was committed this long ago; told by the leader",
                   .kind = METRIC_AGE},
    [BATCHES_WAITING] = {.name = "batches_waiting",
                         .help = "committed batches that the last cycle left behind",
                         .kind = METRIC_GAUGE},
    [DAYS_OPEN] = {.name = "statistics_open", .help = "days with statistics that are not closed", .kind = METRIC_GAUGE},
    [DAYS_DIRTY] = {.name = "statistics_dirty", .help = "days whose statistics wait for a rebuild", .kind = METRIC_GAUGE},
    [DAYS_IN_MEMORY] = {.name = "statistics_in_memory", .help = "days whose exact sets are held", .kind = METRIC_GAUGE},
    [EVENTS] = {.name = "events_total", .help = "events added to days in memory", .kind = METRIC_COUNTER},
    [BATCHES] = {.name = "batches_total", .help = "batches taken into the statistics", .kind = METRIC_COUNTER},
    [STATISTICS] = {.name = "statistics_total", .help = "rows of analytics_daily_stats written by adding", .kind = METRIC_COUNTER},
    [REBUILDS] = {.name = "rebuilds_total", .help = "days rebuilt from their rows", .kind = METRIC_COUNTER},
    [CLOSED] = {.name = "statistics_closed_total", .help = "of these, days that were closed by it", .kind = METRIC_COUNTER},
    [CYCLE_SECONDS] = {.name = "cycle_seconds", .help = "time of the cycles that committed", .kind = METRIC_HISTOGRAM},
    [STEP_SECONDS] = {.name = "step_seconds_total",
                      .help = "time by step of a cycle",
                      .kind = METRIC_COUNTER,
                      .unit = METRIC_SECONDS,
                      .label = "step",
                      .names = steps},
    [ROLLUP_RUNS] = {.name = "rollup_runs_total", .help = "days of rollups computed, and views refreshed", .kind = METRIC_COUNTER},
    [ROLLUP_FAILURES] = {.name = "rollup_failures_total",
                         .help = "of these, and of transactions around them, that failed",
                         .kind = METRIC_COUNTER},
    [ROLLUP_SECONDS] = {.name = "rollup_seconds_total",
                        .help = "time that their queries took",
                        .kind = METRIC_COUNTER,
                        .unit = METRIC_SECONDS},
    [ROLLUPS_WAITING] = {.name = "rollup_periods_waiting",
                         .help = "days and weeks of rollups that are due and not computed yet",
                         .kind = METRIC_GAUGE},
    [ROLLUPS_LEFT] = {.name = "rollup_left_seconds",
                      .help = "how long they take at the pace so far; not there while nobody knows",
                      .kind = METRIC_GAUGE},
    [DAYS_LEFT] = {.name = "rebuild_left_seconds",
                   .help = "how long the days that wait for a rebuild take at the pace so far; not there while nobody knows",
                   .kind = METRIC_GAUGE},
    [LEDGER_ROWS] = {.name = "ledger_rows", .help = "rows of tallymill.batches, merged ones included", .kind = METRIC_GAUGE},
    [MONTHS_AHEAD] = {.name = "months_ahead",
                      .help = "months that are there beyond this one, without a hole",
                      .kind = METRIC_GAUGE},
    [TABLE_BYTES] = {.name = "table_bytes", .help = "analytics_events with its indexes", .kind = METRIC_GAUGE},
    [EVENTS_PER_DAY] = {.name = "events_per_day", .help = "events of yesterday (UTC) in the statistics", .kind = METRIC_GAUGE},
    [MONTH_LEAVING] = {.name = "month_leaving_seconds",
                       .help = "for how long a month has been on its way into the archive; 0 without any",
                       .kind = METRIC_GAUGE,
                       .unit = METRIC_SECONDS},
    [DISK_BYTES] = {.name = "disk_bytes", .help = "the disk of the database", .kind = METRIC_GAUGE},
    [DISK_FREE] = {.name = "disk_free_bytes", .help = "what is free of it", .kind = METRIC_GAUGE},
    [DISK_LEFT] = {.name = "disk_left_seconds",
                   .help = "how long that lasts, as the last two months grew; not there while nobody knows",
                   .kind = METRIC_GAUGE,
                   .unit = METRIC_SECONDS},
    [ROLLUPS_STALE] = {.name = "rollups_stale",
                       .help = "rollups with a day or week that is out of date and due by their cadence",
                       .kind = METRIC_GAUGE},
    [ROLLUP_AGE] = {.name = "rollup_age_seconds",
                    .help = "for how long the first of these has been due; 0 without any",
                    .kind = METRIC_GAUGE,
                    .unit = METRIC_SECONDS},
    [FAILURES] = {.name = "failures_total",
                  .help = "errors after which everything in memory was forgotten",
                  .kind = METRIC_COUNTER},
    [CONNECTED] = {.name = "postgres_connected", .help = "1 while connected to Postgres", .kind = METRIC_GAUGE},
    [SET_BYTES] = {.name = "set_bytes", .help = "bytes of the exact sets", .kind = METRIC_GAUGE},
    [RESIDENT_BYTES] = {.name = "resident_bytes", .help = "memory of the process", .kind = METRIC_GAUGE},
    [MEMORY_MAX] = {.name = "memory_max_bytes", .help = "the setting memory.max", .kind = METRIC_GAUGE},
};

bool aggregator_metrics_open(struct aggregator_metrics *shown, const struct settings *settings, struct error *err)
{
    *shown = (struct aggregator_metrics){.metrics = metrics_new("tallymill_aggregator", table, METRICS_COUNT, err)};
    if (!shown->metrics)
        return false;
    metrics_set(shown->metrics, MEMORY_MAX, 0, settings_int(settings, "memory.max"));
    metrics_set(shown->metrics, LEADER, 0, 0);
    metrics_set(shown->metrics, CONNECTED, 0, 0);
    shown->counts.disk_size_bytes = settings_int(settings, "postgres.disk_size");
    table_counts_forget(&shown->counts);
    health_init(&shown->health, "starting", settings_int(settings, "metrics.stalled_after"), clock_now_us());
    return monitor_open(&shown->monitor, settings, shown->metrics, &shown->health, err);
}

void aggregator_metrics_close(struct aggregator_metrics *shown)
{
    monitor_close(shown->monitor);
    metrics_free(shown->metrics);
}

void aggregator_metrics_connected(struct aggregator_metrics *shown)
{
    metrics_set(shown->metrics, CONNECTED, 0, 1);
}

/* Which metric shows what was counted. */
static const int counted[TABLE_COUNTS] = {
    [COUNT_DAYS_OPEN] = DAYS_OPEN,         [COUNT_DAYS_DIRTY] = DAYS_DIRTY,       [COUNT_LEDGER_ROWS] = LEDGER_ROWS,
    [COUNT_MONTHS_AHEAD] = MONTHS_AHEAD,   [COUNT_TABLE_BYTES] = TABLE_BYTES,     [COUNT_EVENTS_PER_DAY] = EVENTS_PER_DAY,
    [COUNT_MONTH_LEAVING] = MONTH_LEAVING, [COUNT_DISK_BYTES] = DISK_BYTES,       [COUNT_DISK_FREE] = DISK_FREE,
    [COUNT_DISK_LEFT] = DISK_LEFT,         [COUNT_ROLLUPS_STALE] = ROLLUPS_STALE, [COUNT_ROLLUP_AGE] = ROLLUP_AGE,
};

static void show_counts(struct aggregator_metrics *shown)
{
    for (int i = 0; i < TABLE_COUNTS; i++)
        if (shown->counts.values[i] == TABLE_COUNT_UNKNOWN)
            metrics_drop(shown->metrics, counted[i]);
        else
            metrics_set(shown->metrics, counted[i], 0, shown->counts.values[i]);
}

/* What only a leader knows. */
static void drop_leaders(struct aggregator_metrics *shown)
{
    static const int of_leader[] = {BATCHES_WAITING, DAYS_IN_MEMORY, SET_BYTES, ROLLUPS_WAITING, ROLLUPS_LEFT, DAYS_LEFT};
    metrics_set(shown->metrics, LEADER, 0, 0);
    for (size_t i = 0; i < sizeof of_leader / sizeof *of_leader; i++)
        metrics_drop(shown->metrics, of_leader[i]);
    table_counts_forget(&shown->counts);
    show_counts(shown);
}

static void show_reason(struct aggregator_metrics *shown, const struct error *locked_out, int64_t now_us)
{
    if (locked_out->kind != ERROR_NONE)
        health_set_reason_text(&shown->health, locked_out->text, now_us);
    else
        health_set_reason(&shown->health, NULL, now_us);
}

void aggregator_metrics_failed(struct aggregator_metrics *shown, const struct error *err, int64_t now_us)
{
    drop_leaders(shown); /* not its freshness: that goes on ageing until somebody leads */
    metrics_add(shown->metrics, FAILURES, 0, 1);
    metrics_set(shown->metrics, CONNECTED, 0, 0);
    if (err->kind == ERROR_RETRY && !postgres_is(err, POSTGRES_REFUSED))
        health_set_reason(&shown->health, "Postgres is away: see the log", now_us);
    else /* the server has said why, or it is a matter of ours */
        health_set_reason_text(&shown->health, err->text, now_us);
}

void aggregator_metrics_standby(struct aggregator_metrics *shown, const struct error *locked_out, int64_t now_us)
{
    drop_leaders(shown);
    metrics_drop(shown->metrics, FRESHNESS);
    metrics_set(shown->metrics, RESIDENT_BYTES, 0, metrics_resident_bytes());
    health_set_state(&shown->health, "standing by");
    show_reason(shown, locked_out, now_us);
    health_set_work(&shown->health, false, false, now_us);
}

/* How far something long has come. */
static void show_left(struct metrics *metrics, int id, const struct backlog *backlog, int64_t now_us)
{
    int64_t left_s = backlog->left == 0 ? 0 : backlog_left_s(backlog, now_us);
    if (left_s >= 0)
        metrics_set(metrics, id, 0, left_s);
    else
        metrics_drop(metrics, id);
}

void aggregator_metrics_cycle(struct aggregator_metrics *shown, const struct cycle *cycle, const struct cycle_report *report,
                              const struct rollups *rollups, const struct backlog *days, const struct error *locked_out,
                              int64_t start_us)
{
    struct metrics *metrics = shown->metrics;
    const bool is_behind = report->has_more || report->waiting_batches > 0;
    metrics_set(metrics, LEADER, 0, 1);
    if (report->is_settled)
        metrics_set(metrics, FRESHNESS, 0, start_us);
    metrics_set(metrics, BATCHES_WAITING, 0, (int64_t)report->waiting_batches);
    metrics_set(metrics, DAYS_IN_MEMORY, 0, (int64_t)report->loaded_days);
    metrics_add(metrics, EVENTS, 0, (int64_t)report->events);
    metrics_add(metrics, BATCHES, 0, (int64_t)report->batches);
    metrics_add(metrics, STATISTICS, 0, (int64_t)report->statistics);
    metrics_add(metrics, REBUILDS, 0, (int64_t)report->rebuilt);
    metrics_add(metrics, CLOSED, 0, (int64_t)report->closed);
    if (report->did_run)
        metrics_observe(metrics, CYCLE_SECONDS, report->took_us);
    for (int i = 0; i < STEP_COUNT; i++)
        metrics_add(metrics, STEP_SECONDS, i, report->step_us[i]);
    metrics_set(metrics, ROLLUP_RUNS, 0, rollups->runs);
    metrics_set(metrics, ROLLUP_FAILURES, 0, rollups->failures);
    metrics_set(metrics, ROLLUP_SECONDS, 0, rollups->took_us);
    metrics_set(metrics, ROLLUPS_WAITING, 0, rollups->backlog.left);
    show_left(metrics, ROLLUPS_LEFT, &rollups->backlog, start_us);
    show_left(metrics, DAYS_LEFT, days, start_us);
    metrics_set(metrics, SET_BYTES, 0, (int64_t)cycle->cache.budget.used_bytes);
    metrics_set(metrics, RESIDENT_BYTES, 0, metrics_resident_bytes());
    const int64_t now_us = clock_now_us();
    health_set_state(&shown->health, "leading");
    show_reason(shown, locked_out, now_us);
    health_set_work(&shown->health, is_behind, report->batches > 0 || report->rebuilt > 0, now_us);
}

bool aggregator_metrics_count(struct aggregator_metrics *shown, struct session *session, struct error *err)
{
    if (!shown->monitor)
        return true;
    const bool is_answered = table_counts_look(&shown->counts, session, err);
    show_counts(shown);
    return is_answered;
}
