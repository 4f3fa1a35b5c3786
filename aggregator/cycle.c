/* cycle.c - begin, read the books, read rows, settle what is taken, add, write, rebuild, mark, move, commit.
 *
 * Invariants, at every commit:
 *
 * 1. A batch is taken whole or not at all, and taken exactly when `folded` is at or beyond it.
 *
 * 2. A loaded day's sets hold the events of exactly the taken batches (and other programs' rows as of its last rebuild), and its
 * statistics are those sets' figures.
 *
 * 3. A day that is not loaded and got events is either rebuilt in this very snapshot or marked as waiting in tallymill.days. A
 * batch that spans both kinds of days is so counted once in each.
 *
 * Days are added to before any is rebuilt: a rebuild replaces the sets of its day, taken batches included, so neither order counts
 * twice.
 *
 * Rejected: rebuilds in transactions of their own (a batch that spans two days would count twice in one or never in the other);
 * keeping the memory over a failed or unknown COMMIT (it would have to be undone event by event; reading a day again costs 1 us an
 * event).
 */
#include "aggregator/cycle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/deltas.h"
#include "aggregator/leader.h"
#include "aggregator/ledger.h"
#include "aggregator/rebuild.h"
#include "aggregator/rebuild_queue.h"
#include "common/session.h"
#include "aggregator/statistics.h"
#include "aggregator/uniques.h"
#include "aggregator/waiting_days.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/postgres.h"

static const int64_t REBUILD_US = 2 * CLOCK_SECOND_US;
static const int64_t URGENT_REBUILD_US = 30 * CLOCK_SECOND_US;

/* Of memory.max: the program itself, the keys of uniques (uniques.h), then an eighth for the rows of one intake, an eighth for the
 * work list (a ledger row takes 64 bytes, its batch 64, its days some), the rest for the sets. */
enum { PROGRAM_BYTES = 8 << 20, ENTRY_BYTES = 192 };

/* What one run knows. */
struct run {
    struct cycle *cycle;
    struct session *session;
    struct leader *leader;
    struct cycle_report *report;
    int64_t start_us; /* monotonic */
    int64_t step_us;  /* when the step at hand began */
    int32_t due_day;  /* days up to this one are over */
    bool has_missed;  /* was_missed() only */
};

/* Context of want_rebuild(). */
struct wanting {
    struct cycle *cycle;
    struct error *err;
};

/* From cycle_run() downwards, each behind who calls it. */
static bool look_and_run(struct run *run, struct error *err);
static bool prepare_months(struct run *run, const struct ledger_look *look, struct error *err);
static bool run_transaction(struct run *run, bool is_prepared, bool *is_unprepared, struct error *err);
static bool begin(struct run *run, bool *is_ours, bool *is_overflowing, struct error *err);
static bool is_folded_known(const struct cycle *cycle);
static bool are_months_ready(struct run *run);
static bool is_ready(void *context, int32_t day);
static bool find_days(struct run *run, struct error *err);
static bool should_leap(struct run *run, bool is_overflowing);
static bool is_not_loaded(void *cache, int32_t number);
static bool leap(struct run *run, struct error *err);
static bool work(struct run *run, struct error *err);
static bool take_in(struct run *run, struct error *err);
static bool read_rows(struct run *run, struct error *err);
static bool settle(struct run *run, struct error *err);
static void settle_batch(struct run *run, struct work_batch *batch);
static bool is_attached(void *months, int32_t number);
static bool was_missed(struct run *run, const struct work_batch *batch);
static bool note_miss(void *context, int32_t number);
static bool want_rebuild(void *context, int32_t number);
static bool rebuild_waiting(struct run *run, struct error *err);
static bool commit(struct run *run, struct error *err);
static void note_folded(struct cycle *cycle);
static void end_step(struct run *run, enum cycle_step step);

bool cycle_run(struct cycle *cycle, struct session *session, struct leader *leader, struct cycle_report *report, struct error *err)
{
    struct run run = {.cycle = cycle, .session = session, .leader = leader, .report = report, .start_us = clock_now_us()};
    run.step_us = run.start_us;
    *report = (struct cycle_report){.is_settled = true};
    bool is_unprepared = !cycle->is_busy;
    bool succeeded = is_unprepared || run_transaction(&run, false, &is_unprepared, err);
    if (succeeded && is_unprepared)
        succeeded = look_and_run(&run, err);
    cycle->is_busy = report->batches > 0;
    report->loaded_days = day_cache_loaded(&cycle->cache);
    report->waiting_days = rebuild_queue_length(&cycle->cache);
    report->is_settled = report->is_settled && !report->has_more && report->waiting_days == 0;
    report->took_us = clock_now_us() - run.start_us;
    return succeeded;
}

/* Asks outside of a transaction whether there is work, and does it. */
static bool look_and_run(struct run *run, struct error *err)
{
    struct ledger_look look = {0};
    bool is_unprepared;
    bool succeeded = ledger_peek(run->session, run->cycle->close_after_us, &look, err);
    const bool has_work = succeeded && (look.has_batches || look.has_days || foreign_is_due(&run->cycle->foreign, run->start_us));
    if (has_work)
        succeeded = prepare_months(run, &look, err);
    end_step(run, STEP_LOOK);
    if (has_work && succeeded)
        succeeded = run_transaction(run, true, &is_unprepared, err);
    ledger_look_free(&look);
    return succeeded;
}

/* Notes where the named months end, before the snapshot is taken, and brings the indexes that will be read up to date. */
static bool prepare_months(struct run *run, const struct ledger_look *look, struct error *err)
{
    struct months *months = &run->cycle->months;
    for (size_t i = 0; i < look->month_count; i++) {
        if (!months_look(months, look->months[i], look->pages[i], err))
            return false;
        if (months_is_by_index(months, look->months[i], run->start_us) &&
            !months_summarize(months, run->session, look->months[i], run->start_us, err))
            return false;
    }
    return true;
}

/* *is_unprepared: nothing was done, because months are to be prepared before. */
static bool run_transaction(struct run *run, bool is_prepared, bool *is_unprepared, struct error *err)
{
    struct cycle *cycle = run->cycle;
    bool is_ours = false, is_overflowing = false;
    if (!begin(run, &is_ours, &is_overflowing, err))
        return false;
    run->report->is_settled = is_ours;
    if (!is_ours)
        return true;
    FAILPOINT("cycle_begin");
    if (cycle->knows_folded && !is_folded_known(cycle)) {
        log_warn("the statistics stand elsewhere than this aggregator left them: another server has taken over, all is read anew",
                 NULL);
        cycle_forget(cycle);
        run->report->has_more = true;
        return session_do(run->session, "ROLLBACK", 0, NULL, err);
    }
    *is_unprepared = !is_prepared && !is_overflowing && !are_months_ready(run);
    if (*is_unprepared)
        return session_do(run->session, "ROLLBACK", 0, NULL, err);
    cycle->number++;
    if (!find_days(run, err))
        return false;
    end_step(run, STEP_BOOKS);
    if (!(should_leap(run, is_overflowing) ? leap(run, err) : work(run, err)))
        return false;
    if (!commit(run, err))
        return false;
    end_step(run, STEP_COMMIT);
    months_advance(&cycle->months, cycle->list.taken_count == cycle->list.batch_count);
    if (cycle->list.place_count > 0) /* a leap leaves nothing in memory that could be wrong */
        note_folded(cycle);
    else
        cycle->knows_folded = false;
    run->report->did_run = true;
    return true;
}

/* Begins the transaction, reads the books, and makes sure that we lead. *is_ours false: nothing is left begun. */
static bool begin(struct run *run, bool *is_ours, bool *is_overflowing, struct error *err)
{
    struct cycle *cycle = run->cycle;
    struct ledger_begun begun;
    if (!ledger_begin(run->session, run->leader->epoch, cycle->close_after_us, cycle->max_entries, &cycle->list, &cycle->months,
                      &cycle->cache, &begun, err))
        return false;
    run->leader->is_leading = !begun.has_lock || begun.epoch == run->leader->epoch;
    leader_note_lock(run->leader, begun.has_lock, run->start_us);
    *is_ours = begun.has_lock && run->leader->is_leading;
    *is_overflowing = begun.is_overflowing;
    run->due_day = clock_day_of(cycle->cache.wall_us - cycle->close_after_us) - 1;
    return *is_ours || session_do(run->session, "ROLLBACK", 0, NULL, err);
}

/* Whether `folded` is what this program left: else another server answers behind a pooler, one that lagged when it took over, and
 * what the memory holds was never committed there. Topic partitions that came meanwhile stand at 0 and move the numbers of others.
 */
static bool is_folded_known(const struct cycle *cycle)
{
    const struct worklist *list = &cycle->list;
    uint32_t known = 0;
    for (uint32_t i = 0; i < list->place_count; i++) {
        if (known < cycle->folded_count && list->places[i].start_offset == cycle->folded[known])
            known++;
        else if (list->places[i].start_offset != 0 || list->place_count == cycle->folded_count)
            return false;
    }
    return known == cycle->folded_count;
}

/* Whether every month that batches name can be read as it is: no index is to be brought up to date before the snapshot. */
static bool are_months_ready(struct run *run)
{
    const struct worklist *list = &run->cycle->list;
    for (uint32_t i = 0; i < list->batch_count; i++)
        if (!worklist_each_day(list, &list->batches[i], is_ready, run))
            return false;
    return true;
}

static bool is_ready(void *context, int32_t day)
{
    const struct run *run = context;
    return months_is_ready(&run->cycle->months, day, run->start_us);
}

/* Days that nothing in the books announces: that have no row yet (they come with the next cycle), or changed rows of other
 * programs. */
static bool find_days(struct run *run, struct error *err)
{
    struct cycle *cycle = run->cycle;
    if (cycle->filled_to < run->due_day) {
        if (!waiting_days_fill(run->session, run->due_day, err))
            return false;
        cycle->filled_to = run->due_day;
        run->report->has_more = true;
    }
    return !foreign_is_due(&cycle->foreign, run->start_us) ||
           foreign_look(&cycle->foreign, run->session, &cycle->cache, &cycle->months, run->due_day + 1, err);
}

/* Whether passing everything at once is cheaper than batch by batch: too many to list, or more than one intake and no day of them
 * in memory. */
static bool should_leap(struct run *run, bool is_overflowing)
{
    struct worklist *list = &run->cycle->list;
    int64_t rows = 0;
    for (uint32_t i = 0; i < list->batch_count && !is_overflowing; i++) {
        rows += list->batches[i].expected_rows;
        if (!worklist_each_day(list, &list->batches[i], is_not_loaded, &run->cycle->cache))
            return false;
    }
    return is_overflowing || rows > run->cycle->max_rows;
}

static bool is_not_loaded(void *cache, int32_t number)
{
    const struct cached_day *day = day_cache_find(cache, number);
    return !(day && day->sets);
}

/* Everything is passed and the days it touches are marked; they are rebuilt from the next cycle on (whose snapshot, on Citus, sees
 * their rows for sure). */
static bool leap(struct run *run, struct error *err)
{
    int64_t batches;
    if (!ledger_leap(run->session, &batches, err))
        return false;
    day_cache_forget(&run->cycle->cache);
    worklist_reset(&run->cycle->list);
    run->report->batches = (size_t)batches;
    run->report->has_more = true;
    log_info("a backlog is taken in by days", "ledger_rows=%" PRId64, batches);
    return true;
}

/* The work of a cycle that is no leap. */
static bool work(struct run *run, struct error *err)
{
    if (!take_in(run, err))
        return false;
    end_step(run, STEP_ROWS);
    if (!rebuild_waiting(run, err))
        return false;
    end_step(run, STEP_REBUILD);
    FAILPOINT("stats_written");
    return waiting_days_mark(run->session, &run->cycle->cache, err) && deltas_drop(run->session, &run->cycle->list, err) &&
           ledger_move(run->session, &run->cycle->list, err);
}

static bool take_in(struct run *run, struct error *err)
{
    struct cycle *cycle = run->cycle;
    worklist_choose(&cycle->list, cycle->max_rows);
    if (!read_rows(run, err))
        return false;
    FAILPOINT("rows_read");
    if (!settle(run, err))
        return false;
    run->report->events = intake_add(&cycle->intake, &cycle->list, &cycle->cache);
    return statistics_raise_others(run->session, &cycle->cache, &cycle->list, &cycle->months, err) &&
           statistics_write_touched(run->session, &cycle->cache, &run->report->statistics, err);
}

/* Reads the chosen batches: their deltas, and the rows of the others from every attached month that they name. */
static bool read_rows(struct run *run, struct error *err)
{
    struct cycle *cycle = run->cycle;
    if (!cycle->ignores_deltas && !deltas_read(&cycle->intake, run->session, &cycle->list, &cycle->cache, &cycle->months, err)) {
        cycle->ignores_deltas = postgres_is(err, POSTGRES_DAMAGED);
        return false;
    }
    for (size_t i = 0; i < cycle->months.count; i++) {
        struct month *month = &cycle->months.months[i];
        if (month->is_attached && !intake_read(&cycle->intake, run->session, &cycle->list, &cycle->cache, month->first_day,
                                               month->is_by_parent, month_tail_read_from(&month->tail, run->start_us), err))
            return false;
    }
    return true;
}

/* Decides what is taken. The days of batches that were given up wait for a rebuild. */
static bool settle(struct run *run, struct error *err)
{
    struct worklist *list = &run->cycle->list;
    for (uint32_t i = 0; i < list->batch_count; i++)
        if (list->batches[i].state == WORK_CHOSEN)
            settle_batch(run, &list->batches[i]);
        else
            run->report->has_more = true;
    worklist_take(list);
    run->report->waiting_batches = list->batch_count - list->taken_count;
    run->report->batches = list->taken_count;
    struct wanting wanting = {.cycle = run->cycle, .err = err};
    for (uint32_t i = 0; i < list->batch_count; i++) {
        const struct work_batch *batch = &list->batches[i];
        if (batch->state == WORK_TAKEN && batch->is_broken && !worklist_each_day(list, batch, want_rebuild, &wanting))
            return false;
    }
    return waiting_days_mark_away(run->session, list, &run->cycle->months, err);
}

/* Compares what was counted with the ledger: a batch that differs is held back for a while, then given up. */
static void settle_batch(struct run *run, struct work_batch *batch)
{
    struct cycle *cycle = run->cycle;
    if (batch->is_broken)
        return;
    if (!worklist_each_day(&cycle->list, batch, is_attached, &cycle->months)) {
        batch->is_broken = true;
        cycle->ahead.noted_at_us = 0; /* somebody may have made it a moment ago */
        log_warn("batch in a month that is not attached: its days there stay as they are", "batch_id=%" PRId64, batch->first_id);
    } else if (batch->counted_rows == batch->expected_rows) {
        held_forget(&cycle->held, batch->first_id);
    } else if (was_missed(run, batch)) {
        batch->is_held = run->report->has_more = true;
    } else if (!held_give_up(&cycle->held, batch->first_id, run->start_us)) {
        batch->is_held = true;
        run->report->is_settled = false;
    } else {
        batch->is_broken = true;
        held_forget(&cycle->held, batch->first_id);
        log_warn("batch has not the rows that the ledger says: its days are rebuilt",
                 "batch_id=%" PRId64 " ledger_rows=%" PRId64 " found_rows=%" PRId64, batch->first_id, batch->expected_rows,
                 batch->counted_rows);
    }
}

static bool is_attached(void *months, int32_t number)
{
    return months_is_attached(months, number);
}

/* Whether the batch's rows may only have been sought in the wrong place. Then it waits for the next cycle, which comes at once. */
static bool was_missed(struct run *run, const struct work_batch *batch)
{
    run->has_missed = false;
    worklist_each_day(&run->cycle->list, batch, note_miss, run);
    return run->has_missed;
}

/* True, to visit all days: a month that was read from its tail is to be read by its index. */
static bool note_miss(void *context, int32_t number)
{
    struct run *run = context;
    run->has_missed = months_miss(&run->cycle->months, number, run->start_us) || run->has_missed;
    return true;
}

/* The day waits for a rebuild, if its month is attached; what it holds in memory is not to be trusted. */
static bool want_rebuild(void *context, int32_t number)
{
    struct wanting *wanting = context;
    struct day_cache *cache = &wanting->cycle->cache;
    if (!months_is_attached(&wanting->cycle->months, number))
        return true;
    struct cached_day *day = day_cache_get(cache, number, wanting->err);
    if (!day)
        return false;
    day_cache_unload(day);
    rebuild_queue_want(cache, day, REBUILD_ROWS);
    return true;
}

static bool rebuild_waiting(struct run *run, struct error *err)
{
    struct cycle *cycle = run->cycle;
    int64_t start_us = clock_now_us(), now_us = start_us;
    while (run->report->rebuilt == 0 ||
           now_us - start_us < cycle->rebuild_us) { /* ends: each turn rebuilds another day, once a cycle */
        struct cached_day *day = rebuild_queue_next(&cycle->cache, now_us, run->start_us, cycle->is_urgent);
        if (!day)
            break;
        bool is_due = day->number <= run->due_day;
        if (!rebuild_day(run->session, &cycle->cache, day, &cycle->list, is_due, err))
            return error_wrap(err, "rebuilding a day");
        run->report->rebuilt++;
        run->report->closed += is_due;
        now_us = clock_now_us();
    }
    return true;
}

static bool commit(struct run *run, struct error *err)
{
    FAILPOINT("before_commit");
    PGresult *result = session_ask(run->session, SESSION_TIMEOUT_S * CLOCK_SECOND_US, "COMMIT", 0, NULL, err);
    if (!result)
        return false;
    bool has_committed = strcmp(PQcmdStatus(result), "COMMIT") == 0;
    PQclear(result);
    FAILPOINT("after_commit");
    return has_committed || error_set(err, ERROR_RETRY, "the cycle was rolled back at its COMMIT");
}

/* The cycle has committed: what `folded` is now, the memory holds. Without memory for it nothing is known, and nothing held. */
static void note_folded(struct cycle *cycle)
{
    const struct worklist *list = &cycle->list;
    cycle->knows_folded = false;
    if (cycle->folded_room < list->place_count) {
        int64_t *wider = realloc(cycle->folded, list->place_count * sizeof *wider);
        if (!wider) {
            day_cache_forget(&cycle->cache);
            return;
        }
        cycle->folded = wider;
        cycle->folded_room = list->place_count;
    }
    for (uint32_t i = 0; i < list->place_count; i++)
        cycle->folded[i] = list->places[i].next_offset;
    cycle->folded_count = list->place_count;
    cycle->knows_folded = true;
}

static void end_step(struct run *run, enum cycle_step step)
{
    const int64_t now_us = clock_now_us();
    run->report->step_us[step] += now_us - run->step_us;
    run->step_us = now_us;
}

bool cycle_init(struct cycle *cycle, int64_t memory_bytes, int64_t close_after_us, bool is_urgent, struct error *err)
{
    int64_t eighth = (memory_bytes - PROGRAM_BYTES - uniques_share_bytes(memory_bytes)) / 8;
    int64_t rows = eighth / (int64_t)sizeof(struct intake_row), entries = eighth / ENTRY_BYTES;
    *cycle = (struct cycle){.close_after_us = close_after_us,
                            .is_urgent = is_urgent,
                            .rebuild_us = is_urgent ? URGENT_REBUILD_US : REBUILD_US,
                            .max_rows = rows,
                            .max_entries = entries < INT32_MAX ? (uint32_t)entries : INT32_MAX};
    worklist_init(&cycle->list);
    intake_init(&cycle->intake);
    if (!identity_init(&cycle->identity, err))
        return false;
    day_cache_init(&cycle->cache, &cycle->identity, (size_t)(eighth * 6));
    return true;
}

void cycle_free(struct cycle *cycle)
{
    day_cache_forget(&cycle->cache);
    worklist_free(&cycle->list);
    intake_free(&cycle->intake);
    months_free(&cycle->months);
    free(cycle->folded);
    cycle->folded = NULL;
}

void cycle_forget(struct cycle *cycle)
{
    day_cache_forget(&cycle->cache);
    worklist_reset(&cycle->list);
    cycle->intake.count = 0;
    months_forget(&cycle->months);
    cycle->foreign = (struct foreign){0};
    cycle->filled_to = 0;
    cycle->is_busy = false;
    cycle->knows_folded = false;
}
