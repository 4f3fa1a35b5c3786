/* erase_rows.c - see erase.h: the events themselves, in months that can be read.
 *
 * A day at a time, at most 5,000 rows a transaction, each with its entry in the books and the mark that its day's statistics are to
 * be made anew. So a run that is killed leaves nothing half: the books say what went, the days wait, and the next run goes on. Then
 * a vacuum, that the rows are gone from the pages too. Rejected: one DELETE of all; it holds the rows of a large person for
 * minutes, and the days in an order in which it and the aggregator can lock each other out.
 */
#include "operator/erase.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array_text.h"
#include "common/clock.h"
#include "common/number_text.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/progress.h"
#include "operator/answer.h"
#include "operator/day_queue.h"
#include "operator/step_teller.h"

extern const char erase_days_sql[], erase_step_sql[];

enum { STEP_ROWS = 5000, ATTEMPTS = 5, ROWS_MAX = 100000 };

PGresult *erase_find(struct erase_run *run, struct error *err)
{
    const char *const values[] = {run->subject.user_array, run->subject.session_array};
    step_teller_begin("tallymill erase", "looks for their events in all months");
    return postgres_query_params(run->conn, erase_days_sql, 2, values, ERASE_QUERY_US, err);
}

bool erase_guard(const struct erase_run *run, const PGresult *days, struct error *err)
{
    char number[NUMBER_TEXT_BYTES], all[NUMBER_TEXT_BYTES];
    int64_t rows = 0;
    for (int row = 0; !run->is_confirmed && row < PQntuples(days); row++) {
        const int64_t month_rows = answer_int(days, row, "month_rows");
        rows += answer_int(days, row, "rows");
        if (!answer_is_null(days, row, "all_rows") && month_rows * ERASE_SHARE > answer_int(days, row, "all_rows")) {
            return error_set(err, ERROR_USAGE,
                             "%s of the %s events of %s would go, more than a hundredth: add --yes if that is meant",
                             number_text(number, month_rows), number_text(all, answer_int(days, row, "all_rows")),
                             answer_text(days, row, "month"));
        }
    }
    if (!run->is_confirmed && !erase_archives_guard(run, &rows, err)) {
        return false;
    }
    return rows <= ROWS_MAX ||
           error_set(err, ERROR_USAGE, "%s events would go: add --yes if that is meant", number_text(number, rows));
}

/* One step, in the transaction that is open. */
static bool take_step(struct erase_run *run, const char *day, int64_t *gone, struct error *err)
{
    char erasure[24];
    snprintf(erasure, sizeof erasure, "%" PRId64, run->erasure);
    const char *const values[] = {run->subject.user_array, run->subject.session_array, day, erasure};
    PGresult *step = postgres_query_params(run->conn, erase_step_sql, 4, values, ERASE_QUERY_US, err);
    *gone = step ? answer_int(step, 0, "gone") : 0;
    PQclear(step);
    return step && (*gone == 0 || day_queue_ask(run->conn, day, err));
}

/* Whether the step may succeed when it is tried again. */
static bool may_pass(PGconn *conn, const struct error *err)
{
    return PQstatus(conn) == CONNECTION_OK && (postgres_is(err, POSTGRES_CONFLICT) || postgres_is(err, POSTGRES_LOCKED));
}

static bool step(struct erase_run *run, const char *day, int64_t *gone, struct error *err)
{
    for (int attempt = 1;; attempt++) { /* ends: after ATTEMPTS */
        struct error rolled = {0};
        error_clear(err);
        if (postgres_exec(run->conn, POSTGRES_BEGIN("READ COMMITTED"), ERASE_QUERY_US, err) && take_step(run, day, gone, err) &&
            postgres_exec(run->conn, "COMMIT", ERASE_QUERY_US, err)) {
            return true;
        }
        const bool is_tried_again = may_pass(run->conn, err) && attempt < ATTEMPTS;
        if (PQtransactionStatus(run->conn) != PQTRANS_IDLE) {
            error_ignore(postgres_exec(run->conn, "ROLLBACK", ERASE_QUERY_US, &rolled));
        }
        if (!is_tried_again) {
            return error_wrap(err, "erasing events of %s", day);
        }
    }
}

static bool erase_day(struct erase_run *run, const char *day, const char *month, int64_t *taken, struct error *err)
{
    for (int64_t gone = STEP_ROWS; gone == STEP_ROWS;) { /* ends: a step finds fewer than it would take */
        if (!step(run, day, &gone, err)) {
            return false;
        }
        *taken += gone;
        run->rows += gone;
        const int64_t before = json_integer_value(json_object_get(run->months, month));
        json_object_set_new(run->months, month, json_integer(before + gone));
    }
    return true;
}

/* A trigger of somebody else may keep rows from going, without an error. */
static bool check_gone(struct erase_run *run, int64_t wanted, int64_t taken, struct error *err)
{
    char sql[120];
    if (taken > 0 || wanted == 0) {
        return true;
    }
    PGresult *left = erase_find(run, err);
    const bool is_left = left && PQntuples(left) > 0;
    PQclear(left);
    snprintf(sql, sizeof sql, "SELECT tallymill.kept_out('public.analytics_events', %" PRId64 ", 0)", wanted);
    return left && (!is_left || postgres_exec(run->conn, sql, ERASE_QUERY_US, err));
}

static void look(void *context, int done)
{
    struct progress *bar = context;
    progress_draw(bar, done, (uint64_t)done, clock_now_us());
}

/* The statistics without them. That nobody makes them anew is a remark: the days wait. */
static bool wait_for_days(struct erase_run *run, const PGresult *days, struct error *err)
{
    struct progress bar;
    struct error waited = {0};
    struct array_text texts = {0};
    array_text_begin(&texts);
    for (int row = 0; row < PQntuples(days); row++) {
        array_text_add(&texts, answer_text(days, row, "day"), strlen(answer_text(days, row, "day")));
    }
    const char *list = array_text_end(&texts);
    if (!list) {
        array_text_free(&texts);
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    step_teller_begin("tallymill erase", "waits for the aggregator, which makes the statistics of %d days anew", PQntuples(days));
    progress_init(&bar, "days rebuilt", PQntuples(days), clock_now_us());
    const int64_t leaderless_us = run->wait_us < DAY_QUEUE_LEADERLESS_US ? run->wait_us : DAY_QUEUE_LEADERLESS_US;
    const bool is_done = day_queue_wait(run->conn, list, PQntuples(days), leaderless_us, look, &bar, &waited);
    progress_clear(&bar);
    array_text_free(&texts);
    if (!is_done && PQstatus(run->conn) == CONNECTION_OK && PQtransactionStatus(run->conn) == PQTRANS_IDLE) {
        erase_remark(run, true, "the statistics still count what was erased: %s", waited.text);
        return true;
    }
    if (!is_done) {
        *err = waited;
    }
    return is_done;
}

/* Views that were refreshed before may count the person; one that nobody refreshes is nobody's. */
static bool refresh_views(struct erase_run *run, struct error *err)
{
    PGresult *views = postgres_query(run->conn,
                                     "SELECT v.matviewname FROM pg_matviews v WHERE v.schemaname = 'public' AND v.ispopulated "
                                     "AND EXISTS (SELECT FROM tallymill.refreshes r WHERE r.view = v.matviewname)",
                                     ERASE_QUERY_US, err);
    for (int row = 0; views && row < PQntuples(views); row++) {
        const char *const values[] = {PQgetvalue(views, row, 0)};
        struct error failed = {0};
        step_teller_begin("tallymill erase", "refreshes the view %s", values[0]);
        PGresult *done =
            postgres_query_params(run->conn, "SELECT tallymill.refresh_view($1)", 1, values, 12 * 3600 * CLOCK_SECOND_US, &failed);
        if (!done) {
            erase_remark(run, true, "view %s still counts what was erased: %s", values[0], failed.text);
        }
        PQclear(done);
    }
    PQclear(views);
    return views != NULL;
}

/* Rows that are deleted lie in their pages until a vacuum. What fails here is left to autovacuum. */
static void vacuum(struct erase_run *run)
{
    const char *month;
    json_t *rows;
    json_object_foreach(run->months, month, rows) {
        char first[CLOCK_DAY_BYTES], sql[200];
        struct error failed = {0};
        snprintf(first, sizeof first, "%.7s-01", month);
        const char *const values[] = {first};
        step_teller_begin("tallymill erase", "vacuums %s, that what went is gone from its pages", month);
        PGresult *name =
            postgres_query_params(run->conn, "SELECT tallymill.month_table($1::date)::text", 1, values, ERASE_QUERY_US, &failed);
        if (name && snprintf(sql, sizeof sql, "VACUUM %s", PQgetvalue(name, 0, 0)) < (int)sizeof sql &&
            !postgres_exec_alone(run->conn, sql, 12 * 3600 * CLOCK_SECOND_US, &failed)) {
            erase_remark(run, false, "%s was not vacuumed, autovacuum will do it: %s", PQgetvalue(name, 0, 0), failed.text);
        }
        PQclear(name);
    }
}

bool erase_rows(struct erase_run *run, const PGresult *days, struct error *err)
{
    int64_t wanted = 0, taken = 0;
    struct progress bar;
    for (int row = 0; row < PQntuples(days); row++) {
        wanted += answer_int(days, row, "rows");
    }
    step_teller_begin("tallymill erase", "takes %" PRId64 " events away", wanted);
    progress_init(&bar, "events erased", wanted, clock_now_us());
    bool is_good = true;
    for (int row = 0; is_good && row < PQntuples(days); row++) {
        is_good = erase_day(run, answer_text(days, row, "day"), answer_text(days, row, "month"), &taken, err);
        progress_draw(&bar, taken, (uint64_t)taken, clock_now_us());
    }
    progress_clear(&bar);
    if (!is_good || !check_gone(run, wanted, taken, err)) {
        return false;
    }
    if (taken == 0) {
        return true;
    }
    is_good = wait_for_days(run, days, err) && refresh_views(run, err);
    if (is_good) {
        vacuum(run);
    }
    return is_good;
}
