/* adopt_ends.c - see adopt.h: the ways out of an adoption. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/number_text.h"
#include "common/postgres.h"
#include "operator/adopt.h"
#include "operator/answer.h"

extern const char adopt_drop_sql[];

#define SHORT_US (60 * CLOCK_SECOND_US)
#define DROP_US  (3600 * CLOCK_SECOND_US)

/* What is left once the old table is the one in use again. */
static bool drop_all(struct adopt *adopt, struct error *err)
{
    FAILPOINT("adopt_abandon");
    if (!adopt_begin(adopt->conn, "READ COMMITTED", "10s", err) || !postgres_exec(adopt->conn, adopt_drop_sql, DROP_US, err)) {
        adopt_roll_back(adopt->conn);
        return error_wrap(err, postgres_is(err, POSTGRES_STILL_USED)
                                   ? "dropping the copy; DROP what is named here, and tallymill adopt --abandon goes on"
                                   : "dropping the copy; the old table is free of it, and tallymill adopt --abandon goes on");
    }
    return adopt_end(adopt->conn, err);
}

static bool let_go(struct adopt *adopt, bool *is_again, struct error *err)
{
    (void)is_again;
    return postgres_exec(adopt->conn, "SELECT tallymill_adopt.let_go()", SHORT_US, err) &&
           postgres_exec(adopt->conn, "COMMIT", SHORT_US, err);
}

bool adopt_abandon(struct adopt *adopt, struct error *err)
{
    if (adopt->step[0] == '\0') {
        return error_set(err, ERROR_USAGE, "no adoption is under way: there is nothing to abandon");
    }
    if (strcmp(adopt->step, "swapped") == 0) {
        return error_set(
            err, ERROR_USAGE,
            "the tables were swapped already: the new one is in use, and --abandon is for before that; --undo goes back");
    }
    if (strcmp(adopt->step, "abandoning") != 0 && (!adopt_stop_autovacuum(adopt, err) || !adopt_with_lock(adopt, let_go, err))) {
        adopt_restore_autovacuum(adopt);
        return error_wrap(err, "taking the triggers off the old table");
    }
    if (!drop_all(adopt, err)) {
        return false;
    }
    puts("abandoned: analytics_events is as it was before; the roles tallymill_* stay, for other databases may use them");
    return true;
}

/* What a materialized view on the statistics shows is in the old ones alone until the aggregator has made the new ones. */
static bool nothing_is_stale(struct adopt *adopt, struct error *err)
{
    char names[512];
    if (!adopt_stale_views(adopt, names, sizeof names, err)) {
        return false;
    }
    return names[0] == '\0' || error_set(err, ERROR_RETRY,
                                         "%s show the statistics of before, and days wait for the aggregator, which makes the new "
                                         "ones: start it, and finish then. Nothing was dropped",
                                         names);
}

bool adopt_finish(struct adopt *adopt, struct error *err)
{
    if (strcmp(adopt->step, "swapped") != 0) {
        return error_set(err, ERROR_USAGE,
                         adopt->step[0] == '\0' ? "no adoption is under way: there is nothing to finish"
                                                : "the tables are not swapped yet: tallymill adopt goes on");
    }
    if (!adopt_print_statistics(adopt, err) || !adopt_renew_views(adopt, err) || !nothing_is_stale(adopt, err)) {
        return false;
    }
    if (!adopt_begin(adopt->conn, "READ COMMITTED", "10s", err) ||
        !postgres_exec(adopt->conn,
                       "DROP TABLE public.analytics_events_before; DROP TABLE IF EXISTS public.analytics_daily_stats_before; DROP "
                       "SCHEMA tallymill_adopt CASCADE",
                       DROP_US, err)) {
        adopt_roll_back(adopt->conn);
        return postgres_is(err, POSTGRES_STILL_USED)
                   ? error_wrap(err, "nothing was dropped: what is named here came since the swap and stands on the old tables; "
                                     "DROP it, or make it anew on the new ones")
                   : error_wrap(err, "dropping analytics_events_before");
    }
    FAILPOINT("adopt_finish");
    if (!adopt_end(adopt->conn, err)) {
        return false;
    }
    puts("finished: the old table is dropped, and nothing of the adoption is left");
    return true;
}

/* Their rows are gone from the new table, and so go from the old one; their receipts go with our schema. */
static bool count_erasures(struct adopt *adopt, struct error *err)
{
    PGresult *done = postgres_query(adopt->conn,
                                    "SELECT count(*) AS erasures FROM tallymill.erasures e JOIN tallymill_adopt.state s ON "
                                    "e.finished_at >= s.swapped_at",
                                    SHORT_US, err);
    adopt->erasures = done ? answer_int(done, 0, "erasures") : 0;
    PQclear(done);
    return done != NULL;
}

static bool go_back(struct adopt *adopt, bool *is_again, struct error *err)
{
    (void)is_again;
    const char *const values[] = {adopt->with_stored ? "true" : "false"};
    /* Its writers wait for all of it anyhow; so it may wait longer for them, and for an autovacuum to be cancelled. */
    PGresult *done =
        postgres_exec(adopt->conn, "SET LOCAL lock_timeout = '2s'", SHORT_US, err)
            ? postgres_query_params(adopt->conn, "SELECT tallymill_adopt.undo($1::boolean) AS rows", 1, values, DROP_US, err)
            : NULL;
    if (!done) {
        return false;
    }
    adopt->rows = answer_int(done, 0, "rows");
    PQclear(done);
    if (!count_erasures(adopt, err)) {
        return false;
    }
    FAILPOINT("adopt_undo");
    return postgres_exec(adopt->conn, "COMMIT", SHORT_US, err);
}

bool adopt_undo(struct adopt *adopt, struct error *err)
{
    char number[NUMBER_TEXT_BYTES];
    if (strcmp(adopt->step, "swapped") != 0) {
        return error_set(err, ERROR_USAGE,
                         adopt->step[0] == '\0' ? "no adoption is there to be undone"
                                                : "the tables are not swapped: tallymill adopt --abandon gives the adoption up");
    }
    if (!adopt_with_lock(adopt, go_back, err)) {
        return error_wrap(err, "going back; the new table is still the one in use");
    }
    printf("undone: the old table is analytics_events again, with %s rows that were added, changed or deleted since\n",
           number_text(number, adopt->rows));
    if (adopt->erasures > 0) {
        printf("  what %s erasures took since is gone from it too; their receipts (tallymill.erasures) go with our schema\n",
               number_text(number, adopt->erasures));
    }
    return drop_all(adopt, err);
}
