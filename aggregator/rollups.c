/* rollups.c - see rollups.h. Everything that must be right is in tallymill.run_rollups() (schemas/sql/0007, 0017, 0019); here is when to
 * call it.
 *
 * Budget: a transaction takes what is due for about a second, at least one query; then we rest four times as long as it took. So
 * rollups cost at most a fifth of one server process, whatever a day holds, and a day that is expensive is computed less often.
 * Turns alternate between the newest days and whatever waits longest: neither today nor a backfill starves.
 *
 * Rejected: rollups inside the cycle's transaction (statistics would be as late as the slowest query); a thread (a second
 * connection that nobody waits for does the same with nothing shared).
 */
#include "rollups.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "postgres_begin.h"
#include "session.h"
#include "settings.h"

static const int64_t IDLE_US = 2 * CLOCK_SECOND_US; /* nothing was due: look again then */
static const int64_t FAILED_US = 10 * CLOCK_SECOND_US;
static const int64_t VIEWS_US = 60 * CLOCK_SECOND_US;
static const int64_t QUERY_US = 3600 * CLOCK_SECOND_US;

enum { REST = 4, PASSES_MAX = 100000, CONFLICTS_MAX = 3, SQL_BYTES = 4096 };
enum { COLUMN_ROLLUP, COLUMN_DAY, COLUMN_ROWS, COLUMN_TOOK, COLUMN_ERROR };

/* Behind POSTGRES_BEGIN(). */
#define THRIFTY \
    "; SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL client_connection_check_interval = '1s'; " \
    "SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0; "

void rollups_set_views(struct rollups *rollups, const struct settings *settings)
{
    const char *refresh = settings_text(settings, "views.refresh");
    rollups->view_unit = strcmp(refresh, "hourly") == 0 ? "hour" : strcmp(refresh, "daily") == 0 ? "day" : NULL;
}

void rollups_init(struct rollups *rollups, const struct settings *settings)
{
    *rollups = (struct rollups){.dsn = settings_text(settings, "postgres.dsn")};
    rollups_set_views(rollups, settings);
}

void rollups_stop(struct rollups *rollups)
{
    session_close(rollups->session);
    rollups->session = NULL;
    rollups->is_running = false;
}

int rollups_socket(const struct rollups *rollups)
{
    return rollups->is_running ? session_socket(rollups->session) : -1;
}

int64_t rollups_wait_us(const struct rollups *rollups, int64_t now_us)
{
    if (rollups->is_running)
        return CLOCK_SECOND_US;
    return rollups->not_before_us > now_us ? rollups->not_before_us - now_us : 0;
}

static bool connect(struct rollups *rollups, struct error *err)
{
    if (!rollups->session)
        rollups->session = session_open(rollups->dsn, err);
    return rollups->session != NULL;
}

/* since: NULL, or the time (as SQL) before which a run does not count: then every cadence is over. A query that conflicts again and
 * again is set aside like any that fails, or nothing else would ever be computed. */
static void write_rollups_sql(const struct rollups *rollups, char sql[SQL_BYTES], int64_t epoch, bool is_newest_first, const char *since)
{
    snprintf(sql, SQL_BYTES,
             POSTGRES_BEGIN("REPEATABLE READ") THRIFTY "%sSELECT * FROM tallymill.run_rollups(%" PRId64 ", '1 second', %s, %s%s%s); COMMIT",
             rollups->conflicts >= CONFLICTS_MAX ? "SET LOCAL tallymill.conflicts = 'aside'; " : "",
             epoch, is_newest_first ? "true" : "false", since ? "'" : "", since ? since : "NULL", since ? "'" : "");
}

static void write_view_sql(char sql[SQL_BYTES], int64_t epoch, const char *unit)
{
    snprintf(
        sql, SQL_BYTES,
        POSTGRES_BEGIN("READ COMMITTED") THRIFTY
        "SELECT v.view, now()::date, 0, tallymill.refresh_view(v.view), NULL FROM (SELECT tallymill.view_due('%s') AS view OFFSET "
        "0) v WHERE v.view IS NOT NULL AND (SELECT epoch FROM tallymill.leader) = %" PRId64 "; COMMIT",
        unit, epoch);
}

/* Logs what was done, one row each. */
static void tell(struct rollups *rollups, const PGresult *result, bool is_view)
{
    for (int i = 0; result && i < PQntuples(result); i++) {
        const char *name = PQgetvalue(result, i, COLUMN_ROLLUP), *day = PQgetvalue(result, i, COLUMN_DAY);
        int64_t took_ms = strtoll(PQgetvalue(result, i, COLUMN_TOOK), NULL, 10) / 1000;
        char text[LOG_TEXT_BYTES];
        rollups->runs++;
        rollups->took_us += took_ms * 1000;
        rollups->failures += !PQgetisnull(result, i, COLUMN_ERROR);
        if (!PQgetisnull(result, i, COLUMN_ERROR))
            log_warn("a rollup's query failed, next try in ten minutes or when its file has changed",
                     "rollup=%s day=%s took_ms=%" PRId64 " error=\"%s\"", name, day, took_ms,
                     log_text(text, PQgetvalue(result, i, COLUMN_ERROR)));
        else if (is_view)
            log_info("view refreshed", "view=%s took_ms=%" PRId64, name, took_ms);
        else
            log_debug("rollup computed", "rollup=%s day=%s changed_rows=%s took_ms=%" PRId64, name, day,
                      PQgetvalue(result, i, COLUMN_ROWS), took_ms);
    }
}

/* Notes how a transaction with rollups ended. */
static void note_conflict(struct rollups *rollups, const struct error *err)
{
    rollups->conflicts = strncmp(err->sqlstate, "40", 2) == 0 ? rollups->conflicts + 1 : 0;
}

static void failed(struct rollups *rollups, int64_t now_us, struct error *err)
{
    if (!rollups->is_view)
        note_conflict(rollups, err);
    log_warn_because(err, rollups->is_view ? "a view was not refreshed" : "rollups were not computed", "next_try_s=%d",
                     (int)(FAILED_US / CLOCK_SECOND_US));
    error_clear(err);
    rollups->failures++;
    rollups_stop(rollups);
    rollups->not_before_us = now_us + FAILED_US;
    rollups->views_at_us = rollups->is_view ? now_us + VIEWS_US : rollups->views_at_us;
}

static void take_result(struct rollups *rollups, int64_t now_us)
{
    struct error err = {0};
    PGresult *result;
    bool is_done;
    if (!session_look(rollups->session, &result, &is_done, &err)) {
        failed(rollups, now_us, &err);
        return;
    }
    if (!is_done)
        return;
    bool is_any = result && PQntuples(result) > 0;
    tell(rollups, result, rollups->is_view);
    PQclear(result);
    if (!rollups->is_view)
        rollups->conflicts = 0;
    rollups->is_running = false;
    if (rollups->is_view) /* its rest is its unit */
        rollups->views_at_us = is_any ? now_us : now_us + VIEWS_US;
    else
        rollups->not_before_us = is_any ? now_us + REST * (now_us - rollups->sent_us) : now_us + IDLE_US;
}

void rollups_turn(struct rollups *rollups, int64_t epoch, int64_t now_us)
{
    if (rollups->is_running) {
        take_result(rollups, now_us);
        return;
    }
    if (now_us < rollups->not_before_us)
        return;
    struct error err = {0};
    char sql[SQL_BYTES];
    rollups->is_view = rollups->view_unit && now_us >= rollups->views_at_us && rollups->number % 2 == 1;
    if (rollups->is_view)
        write_view_sql(sql, epoch, rollups->view_unit);
    else
        write_rollups_sql(rollups, sql, epoch, rollups->number % 4 < 2, NULL);
    rollups->number++;
    rollups->sent_us = now_us;
    if (!connect(rollups, &err) || !session_send(rollups->session, sql, &err))
        failed(rollups, now_us, &err);
    else
        rollups->is_running = true;
}

/* The server's time, as text. */
static bool read_time(struct session *session, char *text, size_t size, struct error *err)
{
    PGresult *result = session_ask(session, 30 * CLOCK_SECOND_US, "SELECT clock_timestamp()", 0, NULL, err);
    if (!result)
        return false;
    snprintf(text, size, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return true;
}

/* Waits for what was sent. */
static bool await(struct rollups *rollups, PGresult **result, struct error *err)
{
    int64_t deadline_us = clock_now_us() + QUERY_US;
    for (bool is_done = false; !is_done;) { /* ends: at the deadline, with a stop, or when it is done */
        if (!session_wait(rollups->session, deadline_us, err) || !session_look(rollups->session, result, &is_done, err))
            return false;
    }
    return true;
}

/* One transaction of rollups_finish(): how many periods it computed, in *count. A conflict is no failure until the last try. */
static bool finish_some(struct rollups *rollups, const char *sql, int64_t *count, struct error *err)
{
    PGresult *result = NULL;
    if (connect(rollups, err) && session_send(rollups->session, sql, err) && await(rollups, &result, err)) {
        *count = result ? PQntuples(result) : 0;
        tell(rollups, result, false);
        PQclear(result);
        rollups->conflicts = 0;
        return true;
    }
    note_conflict(rollups, err);
    if (rollups->conflicts == 0 || rollups->conflicts > CONFLICTS_MAX)
        return false;
    log_warn_because(err, "rollups go again with a newer snapshot", "try=%d", rollups->conflicts);
    error_clear(err);
    rollups_stop(rollups);
    *count = 0;
    return true;
}

bool rollups_finish(struct rollups *rollups, int64_t epoch, struct error *err)
{
    char since[64], sql[SQL_BYTES];
    int64_t computed = 0, count = 1, start_us = clock_now_us();
    rollups_stop(rollups);
    if (!connect(rollups, err) || !read_time(rollups->session, since, sizeof since, err))
        return false;
    for (int pass = 0; (count > 0 || rollups->conflicts > 0) && pass < PASSES_MAX; pass++) { /* ends: each pass leaves fewer that were not run since */
        write_rollups_sql(rollups, sql, epoch, true, since);
        if (!finish_some(rollups, sql, &count, err))
            return false;
        computed += count;
    }
    log_info("rollups computed", "count=%" PRId64 " took_ms=%" PRId64, computed, (clock_now_us() - start_us) / 1000);
    return true;
}
