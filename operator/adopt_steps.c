/* adopt_steps.c - see adopt.h: from an old table to ours, step by step. The knowledge is in sql/adopt_schema.sql (the way back:
 * adopt_undo.sql), whose head tells why nothing is lost.
 *
 * Beside, by copy and log, and not in place: there the table is locked while its columns are rewritten (88 s at 5 M rows), and
 * stays one month of everything. So it is locked twice, each time for some hundredths of a second and with all that needs no lock
 * done before: against writers when its changes begin to be logged, and against everybody when old and new change names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/number_text.h"
#include "common/postgres.h"
#include "operator/adopt.h"
#include "operator/answer.h"
#include "operator/schema.h"

extern const char adopt_schema_sql[], adopt_standing_sql[], adopt_undo_sql[];

enum { REPLAY_ROWS = 5000, REPLAYED_ENOUGH = 500, REPLAYS_MAX = 100000 };
enum { UNDER_LOCK_ROWS = 250, UNDER_LOCK_ROWS_MAX = 2000 }; /* about 0.1 ms each */

#define SHORT_US (60 * CLOCK_SECOND_US)
#define COPY_US  (12 * 3600 * CLOCK_SECOND_US)

/* One value, as text in `value`; "" for NULL. */
static bool ask(struct adopt *adopt, const char *sql, int64_t timeout_us, char *value, size_t size, struct error *err)
{
    PGresult *result = postgres_query(adopt->conn, sql, timeout_us, err);
    if (result && value) {
        snprintf(value, size, "%s", PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "");
    }
    PQclear(result);
    return result != NULL;
}

/* After the commit: how long ago, by the server's clock, the lock was had. */
static void note_lock(struct adopt *adopt, const char *locked_at)
{
    struct error ignored = {0};
    const char *const values[] = {locked_at};
    PGresult *took = postgres_query_params(
        adopt->conn, "SELECT (extract(epoch FROM clock_timestamp() - $1::timestamptz) * 1000000)::bigint AS us", 1, values,
        SHORT_US, &ignored);
    const int64_t us = took ? answer_int(took, 0, "us") : 0;
    adopt->locked_us = us > adopt->locked_us ? us : adopt->locked_us;
    fprintf(stderr, "tallymill adopt: the table was locked for %.0f ms\n", (double)us / 1000);
    PQclear(took);
}

static bool make_room(struct adopt *adopt, struct error *err)
{
    const char *const values[] = {TALLYMILL_VERSION, adopt->time_zone[0] != '\0' ? adopt->time_zone : "UTC"};
    PGresult *made = postgres_query_params(adopt->conn, "SELECT tallymill_adopt.make_room($1, $2)", 2, values, SHORT_US, err);
    PQclear(made);
    return made != NULL;
}

static bool lay(struct adopt *adopt, bool *is_again, struct error *err)
{
    (void)is_again;
    const bool is_laid = postgres_exec(adopt->conn, adopt_schema_sql, SHORT_US, err) && make_room(adopt, err) &&
                         schema_apply_here(adopt->conn, err) && postgres_exec(adopt->conn, adopt_standing_sql, SHORT_US, err) &&
                         postgres_exec(adopt->conn, adopt_undo_sql, SHORT_US, err) &&
                         postgres_exec(adopt->conn, "SELECT tallymill_adopt.put_back()", SHORT_US, err);
    if (is_laid) {
        FAILPOINT("adopt_ground");
    }
    return is_laid && postgres_exec(adopt->conn, "COMMIT", SHORT_US, err);
}

/* Not for the table's sake, which it does not lock: two databases of one server may be making the roles. */
bool adopt_lay_ground(struct adopt *adopt, struct error *err)
{
    return adopt_with_lock(adopt, lay, err) || error_wrap(err, "making the new table beside the old one; nothing was changed");
}

static bool log_changes(struct adopt *adopt, bool *is_again, struct error *err)
{
    char locked_at[64];
    (void)is_again;
    if (!ask(adopt, "SELECT tallymill_adopt.log_changes()", SHORT_US, locked_at, sizeof locked_at, err)) {
        return false;
    }
    FAILPOINT("adopt_log");
    if (!postgres_exec(adopt->conn, "COMMIT", SHORT_US, err)) {
        return false;
    }
    note_lock(adopt, locked_at);
    return true;
}

bool adopt_log_changes(struct adopt *adopt, struct error *err)
{
    if (!adopt_stop_autovacuum(adopt, err) || !adopt_with_lock(adopt, log_changes, err)) {
        adopt_restore_autovacuum(adopt);
        return error_wrap(err, "beginning to log the changes of the old table");
    }
    fprintf(stderr, "tallymill adopt: the new table is made beside the old one, whose changes are logged from here on\n");
    return true;
}

static bool copy_month(struct adopt *adopt, const char *month, int64_t *rows, struct error *err)
{
    char copied[32], statement[128];
    snprintf(statement, sizeof statement, "ANALYZE public.analytics_events_%.4s_%.2s", month, month + 5);
    const char *const values[] = {month};
    if (!adopt_begin(adopt->conn, "READ COMMITTED", "10s", err)) {
        return false;
    }
    PGresult *done =
        postgres_query_params(adopt->conn, "SELECT tallymill_adopt.copy_month($1::date, true)", 1, values, COPY_US, err);
    if (!done) {
        adopt_roll_back(adopt->conn);
        return false;
    }
    snprintf(copied, sizeof copied, "%s", PQgetvalue(done, 0, 0));
    *rows = strtoll(copied, NULL, 10);
    PQclear(done);
    FAILPOINT("adopt_copy");
    return adopt_end(adopt->conn, err) && postgres_exec(adopt->conn, statement, COPY_US, err);
}

bool adopt_copy(struct adopt *adopt, struct error *err)
{
    PGresult *left = adopt_begin(adopt->conn, "READ COMMITTED", "10s", err)
                         ? postgres_query(adopt->conn, "SELECT month FROM tallymill_adopt.months_left()", COPY_US, err)
                         : NULL;
    if (!left || !adopt_end(adopt->conn, err)) {
        adopt_roll_back(adopt->conn);
        PQclear(left);
        return false;
    }
    bool is_fine = true;
    for (int row = 0; row < PQntuples(left) && is_fine; row++) {
        char number[NUMBER_TEXT_BYTES];
        int64_t rows = 0;
        const char *month = PQgetvalue(left, row, 0);
        is_fine = copy_month(adopt, month, &rows, err) || error_wrap(err, "copying %.7s", month);
        if (is_fine) {
            adopt->rows += rows;
            fprintf(stderr, "tallymill adopt: copied %.7s, %s rows (%d of %d months)\n", month, number_text(number, rows), row + 1,
                    PQntuples(left));
        }
    }
    PQclear(left);
    return is_fine;
}

bool adopt_replay(struct adopt *adopt, struct error *err)
{
    char statement[64], taken[32];
    int64_t changes = 0;
    snprintf(statement, sizeof statement, "SELECT tallymill_adopt.replay(%d)", REPLAY_ROWS);
    for (int pass = 0; pass < REPLAYS_MAX; pass++) {
        if (!adopt_begin(adopt->conn, "READ COMMITTED", "10s", err) || !ask(adopt, statement, COPY_US, taken, sizeof taken, err)) {
            adopt_roll_back(adopt->conn);
            return error_wrap(err, "replaying the log of changes");
        }
        FAILPOINT("adopt_replay");
        if (!adopt_end(adopt->conn, err)) {
            return error_wrap(err, "replaying the log of changes");
        }
        changes += strtoll(taken, NULL, 10);
        if (strtoll(taken, NULL, 10) < REPLAYED_ENOUGH) {
            char number[NUMBER_TEXT_BYTES];
            fprintf(stderr, "tallymill adopt: replayed %s changes\n", number_text(number, changes));
            return true;
        }
    }
    return error_set(err, ERROR_RETRY,
                     "the log of changes does not grow shorter: the table changes faster than that can be replayed; run tallymill "
                     "adopt again at a quieter time");
}

bool adopt_compare(struct adopt *adopt, struct error *err)
{
    PGresult *months = adopt_begin(adopt->conn, "REPEATABLE READ", "10s", err)
                           ? postgres_query(adopt->conn, "SELECT * FROM tallymill_adopt.compare()", COPY_US, err)
                           : NULL;
    if (!months || !adopt_end(adopt->conn, err)) {
        adopt_roll_back(adopt->conn);
        PQclear(months);
        return error_wrap(err, "comparing old and new");
    }
    int64_t rows = 0;
    int different = 0;
    for (int row = 0; row < PQntuples(months); row++) {
        rows += answer_int(months, row, "new_rows");
        if (!answer_bool(months, row, "is_equal")) {
            different++;
            fprintf(stderr, "tallymill adopt: DIFFERENT: %.7s has %s rows in the old table and %s in the new\n",
                    answer_text(months, row, "month"), answer_text(months, row, "old_rows"), answer_text(months, row, "new_rows"));
        }
    }
    PQclear(months);
    adopt->rows = rows;
    FAILPOINT("adopt_compare");
    return different == 0 || error_set(err, ERROR_RETRY,
                                       "%d months differ between the old table and its copy: nothing was swapped; tallymill adopt "
                                       "--abandon gives the copy up",
                                       different);
}

/* With the lock had, nothing can come any more. */
static bool lock_and_look(struct adopt *adopt, char *locked_at, size_t size, struct error *err)
{
    int stops = 0;
    if (!ask(adopt, "LOCK TABLE public.analytics_events IN ACCESS EXCLUSIVE MODE; SELECT clock_timestamp()", SHORT_US, locked_at,
             size, err) ||
        !adopt_find_late_stops(adopt, &stops, err)) {
        return false;
    }
    return stops == 0 || error_set(err, ERROR_USAGE,
                                   "%d things came since the adoption began, and each line says what to do; then tallymill adopt "
                                   "goes on. Nothing was swapped",
                                   stops);
}

static bool swap(struct adopt *adopt, bool *is_again, struct error *err)
{
    char locked_at[64], swapped[64], statement[64];
    snprintf(statement, sizeof statement, "SELECT tallymill_adopt.swap(%d)", adopt->replayed_under_lock);
    if (!lock_and_look(adopt, locked_at, sizeof locked_at, err) || !ask(adopt, statement, SHORT_US, swapped, sizeof swapped, err)) {
        return false;
    }
    if (swapped[0] != 't') { /* too much was logged meanwhile */
        const int more = adopt->replayed_under_lock * 2;
        adopt_roll_back(adopt->conn);
        adopt->replayed_under_lock = more < UNDER_LOCK_ROWS_MAX ? more : UNDER_LOCK_ROWS_MAX;
        *is_again = adopt_replay(adopt, err);
        return *is_again &&
               error_set(err, ERROR_RETRY,
                         "the table changes faster than its log is replayed; run tallymill adopt again at a quieter time");
    }
    FAILPOINT("adopt_swap");
    if (!postgres_exec(adopt->conn, "COMMIT", SHORT_US, err)) {
        return false;
    }
    note_lock(adopt, locked_at);
    return true;
}

/* Those that came during the copy: they are made before the swap, which would hold its lock as long as that takes. */
static bool take_indexes(struct adopt *adopt, struct error *err)
{
    char taken[8];
    if (adopt_begin(adopt->conn, "READ COMMITTED", "10s", err) &&
        ask(adopt, "SELECT tallymill_adopt.take_indexes()", COPY_US, taken, sizeof taken, err) && adopt_end(adopt->conn, err)) {
        return true;
    }
    adopt_roll_back(adopt->conn);
    return error_wrap(err, "making the indexes that came meanwhile on the copy");
}

bool adopt_swap(struct adopt *adopt, struct error *err)
{
    adopt->replayed_under_lock = UNDER_LOCK_ROWS;
    /* The first waits for an index that is being built CONCURRENTLY, and is not valid before. The rest came meanwhile. */
    if (adopt_stop_autovacuum(adopt, err) && take_indexes(adopt, err) && adopt_replay(adopt, err) &&
        adopt_with_lock(adopt, swap, err)) {
        return true;
    }
    adopt_restore_autovacuum(adopt);
    return error_wrap(err, "swapping; the old table is still the one in use");
}

/* They go on showing the old table until each is made anew: filled under another name, then renamed. */
bool adopt_renew_views(struct adopt *adopt, struct error *err)
{
    PGresult *stale = postgres_query(adopt->conn, "SELECT name FROM tallymill_adopt.stale_views(false)", SHORT_US, err);
    bool is_fine = stale != NULL;
    for (int row = 0; stale && is_fine && row < PQntuples(stale); row++) {
        const char *const values[] = {PQgetvalue(stale, row, 0)};
        PGresult *renewed =
            adopt_begin(adopt->conn, "READ COMMITTED", "10s", err)
                ? postgres_query_params(adopt->conn, "SELECT tallymill_adopt.renew_view($1)", 1, values, COPY_US, err)
                : NULL;
        PQclear(renewed);
        FAILPOINT("adopt_view");
        if (!renewed || !adopt_end(adopt->conn, err)) {
            adopt_roll_back(adopt->conn);
            is_fine = error_wrap(
                err, "making materialized view %s anew (until then it shows the old table; tallymill adopt goes on)", values[0]);
        } else {
            fprintf(stderr, "tallymill adopt: materialized view %s made anew\n", values[0]);
        }
    }
    PQclear(stale);
    return is_fine;
}

bool adopt_stale_views(struct adopt *adopt, char *names, size_t size, struct error *err)
{
    return ask(adopt, "SELECT coalesce(string_agg(name, ', '), '') FROM tallymill_adopt.stale_views(true)", SHORT_US, names, size,
               err);
}
