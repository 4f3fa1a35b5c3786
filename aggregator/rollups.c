/* rollups.c - see rollups.h. Everything that must be right is in tallymill.run_rollups_between(); here is when to call
 * it, and what for.
 *
 * A list of what is due is asked for, newest days first or (every second list) longest waiting first, so that neither today nor a
 * backfill starves; then piece by piece, each in a transaction of its own. The list costs more the longer the history is, so one
 * serves for ten times as long as it took, and on a server with nothing due the next look comes after fifty times as long. A
 * transaction of a piece need not wait for the disk: lost in a crash, its rows are gone together with the word that they are there.
 *
 * Rejected: rollups inside the cycle's transaction (statistics would be as late as the slowest query); a thread (a second
 * connection that nobody waits for does the same with nothing shared).
 */
#include "aggregator/rollups.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/session.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/settings.h"

static const int64_t IDLE_US = 2 * CLOCK_SECOND_US;          /* nothing was due: look again then */
static const int64_t UNIQUES_IDLE_US = 10 * CLOCK_SECOND_US; /* the same: their cadence is a minute */
static const int64_t LIST_US = 10 * CLOCK_SECOND_US;
static const int64_t FAILED_US = 10 * CLOCK_SECOND_US;
static const int64_t VIEWS_US = 60 * CLOCK_SECOND_US;
static const int64_t LIST_TIMEOUT_US = 600 * CLOCK_SECOND_US;

/* How many events one query is given: about what fits into work_mem with the columns that queries read. */
enum { PIECE_EVENTS = 500000, LIST_TIMES = 10, IDLE_TIMES = 50, ENDED_REST = 2, CONFLICTS_MAX = 3, SQL_BYTES = 4096 };
enum { LIST_ROLLUP, LIST_FIRST_DAY, LIST_LAST_DAY, LIST_PERIOD_DAYS, LIST_PERIODS, LIST_PROBE };
enum { RUN_PERIODS, RUN_CHANGED, RUN_TOOK, RUN_ERROR };
enum { VIEW_NAME, VIEW_TOOK, VIEW_ERROR };

/* Behind POSTGRES_BEGIN(). */
#define THRIFTY(timeout)                                                                                                           \
    "; SET LOCAL statement_timeout = " timeout                                                                                     \
    "; SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL client_connection_check_interval = '1s'; "                 \
    "SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0; "

void rollups_set(struct rollups *rollups, const struct settings *settings)
{
    const char *refresh = settings_text(settings, "views.refresh");
    rollups->view_unit = strcmp(refresh, "hourly") == 0 ? "hour" : strcmp(refresh, "daily") == 0 ? "day" : NULL;
    rollups->timeout_us = settings_int(settings, "rollups.timeout");
    rollups->pace.share = settings_int(settings, "rollups.share");
    rollups->keep_us = settings_int(settings, "uniques.keep");
}

void rollups_init(struct rollups *rollups, const struct settings *settings, bool is_once, uint64_t seed)
{
    *rollups = (struct rollups){.settings = settings};
    uniques_init(&rollups->uniques, settings_int(settings, "memory.max"), seed);
    backlog_init(&rollups->backlog, "days and weeks of rollups", is_once);
    rollups_set(rollups, settings);
}

void rollups_free(struct rollups *rollups)
{
    rollups_stop(rollups);
    uniques_free(&rollups->uniques);
    rollup_list_free(&rollups->list);
}

void rollups_stop(struct rollups *rollups)
{
    session_close(rollups->session);
    rollups->session = NULL;
    uniques_stop(&rollups->uniques);
    rollups->uniques.has_secret = false; /* the next session may be to another server */
    rollups->step = ROLLUPS_REST;
    rollups->list.count = rollups->list.next = 0;
}

int rollups_socket(const struct rollups *rollups)
{
    return rollups->step != ROLLUPS_REST ? session_socket(rollups->session) : -1;
}

int64_t rollups_wait_us(const struct rollups *rollups, int64_t now_us)
{
    if (rollups->step != ROLLUPS_REST)
        return CLOCK_SECOND_US;
    return rollups->not_before_us > now_us ? rollups->not_before_us - now_us : 0;
}

static bool send(struct rollups *rollups, enum rollups_step step, const char *sql, int64_t now_us, struct error *err)
{
    if (!rollups->session)
        rollups->session = session_open(settings_text(rollups->settings, "postgres.dsn"), "tallymill-aggregator", err);
    if (!rollups->session || !session_send(rollups->session, sql, err))
        return false;
    rollups->step = step;
    rollups->sent_us = now_us;
    return true;
}

static bool send_list(struct rollups *rollups, int64_t now_us, struct error *err)
{
    char sql[SQL_BYTES];
    const char *quote = rollups->is_finishing ? "'" : "";
    snprintf(sql, sizeof sql,
             POSTGRES_BEGIN("REPEATABLE READ") THRIFTY("'600s'") "SELECT * FROM tallymill.due_rollups(%s, %s%s%s, %d, %d); COMMIT",
             rollups->number++ % 2 == 0 ? "true" : "false", quote, rollups->is_finishing ? rollups->since : "NULL", quote,
             PIECE_EVENTS, ROLLUP_LIST_MAX);
    return send(rollups, ROLLUPS_LISTING, sql, now_us, err);
}

static bool send_piece(struct rollups *rollups, int64_t epoch, int64_t now_us, struct error *err)
{
    char sql[SQL_BYTES], first[CLOCK_DAY_BYTES], last[CLOCK_DAY_BYTES];
    const struct rollup_piece *piece = &rollups->piece;
    clock_format_day(first, piece->first_day);
    clock_format_day(last, piece->last_day - piece->period_days + 1);
    snprintf(sql, sizeof sql,
             POSTGRES_BEGIN("REPEATABLE READ")
                 THRIFTY("%" PRId64) "SET LOCAL synchronous_commit = off; SET LOCAL tallymill.conflicts = '%s'; SELECT * FROM "
                                     "tallymill.run_rollups_between(%" PRId64 ", '%s', '%s', '%s'); COMMIT",
             rollups->timeout_us / 1000, rollups->conflicts >= CONFLICTS_MAX ? "aside" : "again", epoch, piece->rollup, first,
             last);
    return send(rollups, ROLLUPS_RUNNING, sql, now_us, err);
}

static bool send_view(struct rollups *rollups, int64_t epoch, int64_t now_us, struct error *err)
{
    char sql[SQL_BYTES];
    snprintf(sql, sizeof sql,
             POSTGRES_BEGIN("READ COMMITTED") THRIFTY("0")
             "SELECT v.view, t.took_us, t.error FROM (SELECT d.view FROM (SELECT tallymill.view_due('%s') AS view OFFSET 0) d "
             "WHERE d.view IS NOT NULL AND (SELECT epoch FROM tallymill.leader) = %" PRId64
             " OFFSET 0) v CROSS JOIN LATERAL tallymill.try_refresh_view(v.view) t; COMMIT",
             rollups->view_unit, epoch);
    return send(rollups, ROLLUPS_VIEW, sql, now_us, err);
}

static bool send_uniques(struct rollups *rollups, int64_t epoch, int64_t now_us, struct error *err)
{
    return uniques_start(&rollups->uniques, epoch, rollups->is_finishing ? rollups->since : NULL, rollups->keep_us,
                         rollups->timeout_us, now_us, err) &&
           send(rollups, ROLLUPS_UNIQUES, uniques_sql(&rollups->uniques), now_us, err);
}

static int64_t number_of(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

/* When to look again for what is due, where there was nothing. */
static int64_t idle_us_after(int64_t took_us, int64_t least_us)
{
    return IDLE_TIMES * took_us > least_us ? IDLE_TIMES * took_us : least_us;
}

static void take_list(struct rollups *rollups, const PGresult *result, int64_t now_us)
{
    int64_t due = 0;
    rollups->list_took_us = now_us - rollups->sent_us;
    rollups->listed_us = now_us;
    bool has_room = rollup_list_begin(&rollups->list);
    for (int i = 0; result && has_room && i < PQntuples(result); i++) {
        if (!PQgetisnull(result, i, LIST_ROLLUP)) {
            struct rollup_piece piece = {.first_day = (int32_t)number_of(result, i, LIST_FIRST_DAY),
                                         .last_day = (int32_t)number_of(result, i, LIST_LAST_DAY),
                                         .period_days = (int32_t)number_of(result, i, LIST_PERIOD_DAYS)};
            snprintf(piece.rollup, sizeof piece.rollup, "%s", PQgetvalue(result, i, LIST_ROLLUP));
            rollup_list_add(&rollups->list, &piece);
        } else if (PQgetisnull(result, i, LIST_PROBE)) {
            due = number_of(result, i, LIST_PERIODS);
        } else {
            rollup_pace_probe(&rollups->pace, number_of(result, i, LIST_PROBE));
        }
    }
    backlog_note(&rollups->backlog, 0, due, now_us);
    if (rollups->list.count == 0)
        rollups->idle_until_us = now_us + idle_us_after(rollups->list_took_us, IDLE_US);
}

static void warn_of_failure(const struct rollups *rollups, const char *what, const char *because, int64_t took_ms)
{
    char first[CLOCK_DAY_BYTES], last[CLOCK_DAY_BYTES], text[LOG_TEXT_BYTES];
    clock_format_day(first, rollups->piece.first_day);
    clock_format_day(last, rollups->piece.last_day);
    log_warn(what, "rollup=%s day=%s last_day=%s took_ms=%" PRId64 " error=\"%s\"", rollups->piece.rollup, first, last, took_ms,
             log_text(text, because));
}

static void take_piece(struct rollups *rollups, const PGresult *result, int64_t now_us)
{
    struct rollup_piece *piece = &rollups->piece;
    int64_t took_us = now_us - rollups->sent_us;
    rollups->conflicts = 0;
    if (!result || PQntuples(result) == 0) { /* nothing was stale any more, or another one leads */
        rollup_list_succeeded(&rollups->list, piece);
        return;
    }
    int64_t periods = number_of(result, 0, RUN_PERIODS);
    rollups->answers++;
    rollups->took_us += took_us;
    if (PQgetisnull(result, 0, RUN_ERROR)) {
        rollups->runs += periods;
        rollup_list_succeeded(&rollups->list, piece);
        backlog_note(&rollups->backlog, periods, rollups->backlog.left > periods ? rollups->backlog.left - periods : 0, now_us);
        log_debug("rollup computed", "rollup=%s periods=%" PRId64 " changed_rows=%s took_ms=%" PRId64, piece->rollup, periods,
                  PQgetvalue(result, 0, RUN_CHANGED), took_us / 1000);
        return;
    }
    const bool was_ended = took_us >= rollups->timeout_us;
    rollup_list_failed(&rollups->list, piece, now_us, was_ended ? ENDED_REST * took_us : 0);
    if (periods == 1 || was_ended) {
        rollups->runs++;
        rollups->failures++;
        warn_of_failure(rollups,
                        was_ended ? "a rollup's query took longer than rollups.timeout and was ended: the others go on"
                                  : "a rollup's query failed, next try in ten minutes or when its file has changed",
                        PQgetvalue(result, 0, RUN_ERROR), took_us / 1000);
    }
    if (!was_ended)
        rollups->listed_us = 0; /* the rest of the piece is in the next list */
}

static void take_view(struct rollups *rollups, const PGresult *result, int64_t now_us)
{
    bool is_any = result && PQntuples(result) > 0;
    rollups->views_at_us = is_any ? now_us : now_us + VIEWS_US; /* its rest is its unit */
    if (!is_any)
        return;
    int64_t took_us = number_of(result, 0, VIEW_TOOK);
    rollups->runs++;
    rollups->took_us += took_us;
    const bool is_refused = !PQgetisnull(result, 0, VIEW_ERROR);
    char text[LOG_TEXT_BYTES];
    rollups->failures += is_refused;
    if (is_refused)
        log_warn("a view was not refreshed, next try when it is due again", "view=%s took_ms=%" PRId64 " error=\"%s\"",
                 PQgetvalue(result, 0, VIEW_NAME), took_us / 1000, log_text(text, PQgetvalue(result, 0, VIEW_ERROR)));
    else
        log_info("view refreshed", "view=%s took_ms=%" PRId64, PQgetvalue(result, 0, VIEW_NAME), took_us / 1000);
}

/* An answer of the conversation about uniques; sends what comes next. *is_over: nothing does. */
static bool take_uniques(struct rollups *rollups, PGresult *result, int64_t now_us, bool *is_over, struct error *err)
{
    struct uniques *uniques = &rollups->uniques;
    if (!uniques_take(uniques, result, now_us, err))
        return false;
    *is_over = uniques_sql(uniques) == NULL;
    if (!*is_over)
        return send(rollups, ROLLUPS_UNIQUES, uniques_sql(uniques), now_us, err);
    rollups->step = ROLLUPS_REST;
    rollups->uniques_at_us = uniques->did_run ? now_us : now_us + idle_us_after(now_us - uniques->begun_us, UNIQUES_IDLE_US);
    return true;
}

static void failed(struct rollups *rollups, int64_t now_us, struct error *err)
{
    const bool is_view = rollups->step == ROLLUPS_VIEW, is_uniques = rollups->step == ROLLUPS_UNIQUES;
    if (is_uniques)
        uniques_failed(&rollups->uniques, err);
    if (rollups->step == ROLLUPS_RUNNING)
        rollup_list_failed(&rollups->list, &rollups->piece, now_us, 2 * FAILED_US); /* the others are first when it goes on */
    log_warn_because(err,
                     is_view      ? "a view was not refreshed"
                     : is_uniques ? "uniques were not counted"
                                  : "rollups were not computed",
                     "next_try_s=%d", (int)(FAILED_US / CLOCK_SECOND_US));
    error_clear(err);
    rollups->failures++;
    rollups->views_at_us = is_view ? now_us + VIEWS_US : rollups->views_at_us;
    rollups->not_before_us = now_us + FAILED_US;
    rollups_stop(rollups);
}

/* Nothing is due of either: the rest lasts until one of them is to be looked for again. */
static void wait_for_work(struct rollups *rollups, int64_t now_us)
{
    const int64_t until_us = rollups->idle_until_us < rollups->uniques_at_us ? rollups->idle_until_us : rollups->uniques_at_us;
    if (rollups->step == ROLLUPS_REST && rollups->list.next >= rollups->list.count && now_us < until_us &&
        rollups->not_before_us < until_us)
        rollups->not_before_us = until_us;
}

/* False: the session failed, with err set. */
static bool look(struct rollups *rollups, bool is_behind, int64_t now_us, struct error *err)
{
    PGresult *result;
    bool is_done;
    if (!session_look(rollups->session, &result, &is_done, err)) {
        rollups->conflicts = rollups->step == ROLLUPS_RUNNING && postgres_is(err, POSTGRES_CONFLICT) ? rollups->conflicts + 1 : 0;
        return false;
    }
    if (!is_done)
        return true;
    enum rollups_step step = rollups->step;
    bool is_over = true;
    if (step == ROLLUPS_UNIQUES && (!take_uniques(rollups, result, now_us, &is_over, err) || !is_over))
        return err->kind == ERROR_NONE;
    rollups->step = ROLLUPS_REST;
    const int64_t begun_us = step == ROLLUPS_UNIQUES ? rollups->uniques.begun_us : rollups->sent_us;
    rollups->not_before_us = now_us + rollup_pace_rest_us(&rollups->pace, now_us - begun_us, is_behind);
    if (step == ROLLUPS_UNIQUES)
        result = NULL; /* taken */
    else if (step == ROLLUPS_LISTING)
        take_list(rollups, result, now_us);
    else if (step == ROLLUPS_RUNNING)
        take_piece(rollups, result, now_us);
    else if (step == ROLLUPS_VIEW)
        take_view(rollups, result, now_us);
    PQclear(result);
    wait_for_work(rollups, now_us);
    return true;
}

/* Sends what comes next: rollups and uniques by turns, while both have something to do. */
static bool go_on(struct rollups *rollups, int64_t epoch, int64_t now_us, struct error *err)
{
    int64_t lasts_us = LIST_TIMES * rollups->list_took_us > LIST_US ? LIST_TIMES * rollups->list_took_us : LIST_US;
    const bool is_idle = rollups->list.next >= rollups->list.count && now_us < rollups->idle_until_us;
    const bool is_turn = !rollups->is_finishing && now_us >= rollups->uniques_at_us && (is_idle || !rollups->was_uniques);
    rollups->was_uniques = is_turn;
    if (is_turn)
        return send_uniques(rollups, epoch, now_us, err);
    if (rollups->view_unit && !rollups->is_finishing && now_us >= rollups->views_at_us)
        return send_view(rollups, epoch, now_us, err);
    if (now_us - rollups->listed_us < lasts_us && rollup_list_take(&rollups->list, &rollups->piece, now_us, rollups->is_finishing))
        return send_piece(rollups, epoch, now_us, err);
    return send_list(rollups, now_us, err);
}

void rollups_look(struct rollups *rollups, int64_t now_us)
{
    struct error err = {0};
    if (rollups->step != ROLLUPS_REST && !look(rollups, true, now_us, &err))
        failed(rollups, now_us, &err);
}

void rollups_turn(struct rollups *rollups, int64_t epoch, bool is_behind, int64_t now_us)
{
    struct error err = {0};
    bool succeeded = rollups->step == ROLLUPS_REST || look(rollups, is_behind, now_us, &err);
    if (succeeded && rollups->step == ROLLUPS_REST && now_us >= rollups->not_before_us)
        succeeded = go_on(rollups, epoch, now_us, &err);
    if (!succeeded)
        failed(rollups, now_us, &err);
}

/* The server's time, as text. */
static bool read_time(struct rollups *rollups, struct error *err)
{
    rollups->session = session_open(settings_text(rollups->settings, "postgres.dsn"), "tallymill-aggregator", err);
    PGresult *result =
        rollups->session ? session_ask(rollups->session, 30 * CLOCK_SECOND_US, "SELECT clock_timestamp()", 0, NULL, err) : NULL;
    if (result)
        snprintf(rollups->since, sizeof rollups->since, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return result != NULL;
}

/* Waits for what was sent. A query is ended by the server; the deadline is for a server that does not answer. */
static bool await(struct rollups *rollups, struct error *err)
{
    int64_t limit_us = (rollups->timeout_us > LIST_TIMEOUT_US ? rollups->timeout_us : LIST_TIMEOUT_US) + 60 * CLOCK_SECOND_US;
    while (rollups->step != ROLLUPS_REST) /* ends: at the deadline of what was sent, with a stop, or when it is done */
        if (!session_wait(rollups->session, rollups->sent_us + limit_us, err) || !look(rollups, false, clock_now_us(), err))
            return false;
    return true;
}

/* A conflict is no failure until the last try: the piece goes again with a newer snapshot. */
static bool goes_again(struct rollups *rollups, struct error *err)
{
    if (rollups->conflicts == 0 || rollups->conflicts > CONFLICTS_MAX)
        return false;
    log_warn_because(err, "rollups go again with a newer snapshot", "try=%d", rollups->conflicts);
    error_clear(err);
    rollups->answers++;
    rollup_list_failed(&rollups->list, &rollups->piece, clock_now_us(), 0);
    rollups_stop(rollups);
    return true;
}

/* Every day that is due, the newest last. A day whose own the failure is costs no other. */
static bool finish_uniques(struct rollups *rollups, int64_t epoch, struct error *err)
{
    bool succeeded = true, is_any = true;
    while (succeeded && is_any) { /* ends: no day is run, or fails, twice since the beginning */
        succeeded = send_uniques(rollups, epoch, clock_now_us(), err) && await(rollups, err);
        is_any = rollups->uniques.did_run;
        if (!succeeded && uniques_failed(&rollups->uniques, err)) {
            log_warn_because(err, "uniques of a day were not counted, next try in ten minutes or when the subjects have changed",
                             NULL);
            error_clear(err);
            rollups_stop(rollups);
            succeeded = is_any = true;
        }
    }
    return succeeded;
}

bool rollups_finish(struct rollups *rollups, int64_t epoch, struct error *err)
{
    const int64_t start_us = clock_now_us(), runs = rollups->runs;
    rollups_stop(rollups);
    rollups->listed_us = 0;
    rollups->is_finishing = true;
    bool succeeded = read_time(rollups, err), is_any = true;
    uint64_t answers = 0;
    while (succeeded && is_any) { /* ends: each list has fewer that were not run since, or smaller pieces; or nobody answers */
        succeeded = go_on(rollups, epoch, clock_now_us(), err);
        const bool is_list = rollups->step == ROLLUPS_LISTING;
        succeeded = succeeded && (await(rollups, err) || goes_again(rollups, err));
        is_any = !is_list || rollups->list.count > 0;
        if (succeeded && is_list && is_any && answers == rollups->answers && answers > 0)
            succeeded = error_set(err, ERROR_RETRY, "the rollups that are due do not become fewer: another aggregator leads");
        answers = is_list ? rollups->answers : answers;
    }
    succeeded = succeeded && finish_uniques(rollups, epoch, err);
    rollups->is_finishing = false;
    if (succeeded)
        log_info("rollups computed", "count=%" PRId64 " took_ms=%" PRId64, rollups->runs - runs,
                 (clock_now_us() - start_us) / 1000);
    return succeeded;
}
