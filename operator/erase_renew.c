/* erase_renew.c - see erase.h: a month that is away comes back, loses a person's rows, and leaves again.
 *
 * So its statistics equal its rows, the new archive is proven before the old one goes, and whatever ends this process, the month is
 * whole in Postgres or archived. That it came back for this erasure stands in the receipt that is begun (counts.archives, 0 until
 * it has left again), in the transaction that brings it back; so the next run for the same goes on. One month after the other, for
 * all at once might not fit.
 *
 * Rejected: to rewrite the parts alone. Nobody could say afterwards how many users a day had without them.
 */
#include "operator/erase.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/archive_month.h"
#include "operator/archive_return.h"
#include "operator/archive_store.h"
#include "operator/step_teller.h"

#define CONNECT_US (10 * CLOCK_SECOND_US)

enum { PAUSE_MS = 200, PAUSE_MAX_MS = 5000 };

/* A month that came back and lost nothing is no archive that was written anew. */
static const char note_sql[] =
    "UPDATE tallymill.erasures e SET counts = CASE WHEN $3::integer > 0 AND NOT coalesce(e.counts -> 'rows', '{}') ? $2::text "
    "THEN e.counts #- ARRAY['archives', $2::text] ELSE jsonb_set(e.counts, '{archives}', coalesce(e.counts -> 'archives', '{}') || "
    "jsonb_build_object($2::text, $3::integer)) END WHERE e.erasure = $1::bigint RETURNING 1";

/* In the receipt: a month that came back (generation 0), and the generation in which it left again. */
static bool note(struct erase_run *run, PGconn *conn, const char *month, int generation, struct error *err)
{
    char erasure[24], number[16];
    const char *const values[] = {erasure, month, number};
    snprintf(erasure, sizeof erasure, "%" PRId64, run->erasure);
    snprintf(number, sizeof number, "%d", generation);
    PGresult *noted = postgres_query_params(conn, note_sql, 3, values, ERASE_QUERY_US, err);
    const bool is_noted =
        noted && (PQntuples(noted) == 1 || error_set(err, ERROR_FATAL, "erasure %s is gone from tallymill.erasures", erasure));
    PQclear(noted);
    return is_noted;
}

struct coming_back {
    struct erase_run *run;
    const char *month;
};

static bool note_return(void *context, PGconn *conn, struct error *err)
{
    const struct coming_back *back = context;
    return note(back->run, conn, back->month, 0, err);
}

void erase_renew_stays(struct erase_run *run, const struct month_name *month, const char *reason)
{
    struct archive_view view;
    struct error unknown = {0};
    const bool is_known = archive_books_look(&run->books, month, &view, &unknown);
    erase_archives_keep(run, month);
    erase_remark(run, true, "%s %s and has not left again, so its old archive holds them: %s", month->text,
                 !is_known          ? "came back, lost them,"
                 : view.is_attached ? "is in Postgres, without them,"
                                    : "is on its way out, without them, in no query meanwhile,",
                 reason);
}

bool erase_renew_leave(struct erase_run *run, const struct month_name *month, struct archive_store *store, bool *is_away,
                       struct error *err)
{
    struct archive_run archive = {.settings = run->settings, .store = store, .books = run->books};
    struct archive_report report;
    struct error waits;
    const int64_t deadline_us = clock_now_us() + run->wait_us;
    step_teller_begin("tallymill erase", "archives %s again, without them, once its statistics are settled", month->text);
    for (int pause_ms = PAUSE_MS;;) { /* ends: at the deadline */
        error_clear(&waits);
        *is_away = archive_month(&archive, month, &report, &waits);
        if (*is_away || waits.kind != ERROR_RETRY || clock_now_us() >= deadline_us)
            break;
        poll(NULL, 0, pause_ms);
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
    }
    FAILPOINT("erase_left_again");
    if (!*is_away) {
        erase_renew_stays(run, month, waits.text);
        return true;
    }
    erase_tell_versions(run, store);
    return note(run, run->conn, month->text, report.generation, err);
}

static bool erase_in_month(struct erase_run *run, struct error *err)
{
    PGresult *days = erase_find(run, err);
    const bool is_erased = days && erase_rows(run, days, err);
    PQclear(days);
    return is_erased;
}

/* What failed may have left the books' connection in the middle of a COPY. The lock stands in another. */
static bool connect_again(struct erase_run *run, struct error *err)
{
    PQfinish(run->books.conn);
    run->books.conn = postgres_open(settings_text(run->settings, "postgres.dsn"), "tallymill erase", CONNECT_US, err);
    return run->books.conn != NULL;
}

bool erase_renew_return(struct erase_run *run, const struct month_name *month, struct archive_return *back, bool *is_back,
                        struct error *err)
{
    struct archive_view view;
    struct coming_back coming = {run, month->text};
    struct error unread = {0}, failed = {0};
    *is_back = false;
    if (!archive_books_look(&run->books, month, &view, err))
        return false;
    if (!archive_return_find(back, run->settings, month, &view, &unread)) {
        erase_remark(run, true, "%s stays archived: %s", month->text, unread.text);
        return true;
    }
    step_teller_begin("tallymill erase", "%s comes back from its archive, which is written anew without them", month->text);
    *is_back = archive_return_month(back, &run->books, month, note_return, &coming, &failed);
    if (!*is_back) {
        erase_remark(run, true, "%s", failed.text);
        return connect_again(run, err);
    }
    FAILPOINT("erase_returned");
    return true;
}

bool erase_renew(struct erase_run *run, const struct month_name *month, bool *is_going_well, struct error *err)
{
    struct archive_return back = {0};
    bool is_back = false;
    *is_going_well = true;
    bool is_good = erase_renew_return(run, month, &back, &is_back, err) && (!is_back || erase_in_month(run, err));
    if (is_back)
        FAILPOINT("erase_month_erased");
    is_good = is_good && (!is_back || erase_renew_leave(run, month, back.store, is_going_well, err));
    archive_return_close(&back);
    return is_good;
}

bool erase_renew_go_on(struct erase_run *run, bool *is_going_well, struct error *err)
{
    char erasure[24];
    const char *const values[] = {erasure};
    snprintf(erasure, sizeof erasure, "%" PRId64, run->erasure);
    PGresult *noted = postgres_query_params(
        run->conn,
        "SELECT n.key AS month FROM tallymill.erasures e, jsonb_each_text(e.counts -> 'archives') n WHERE e.erasure = $1::bigint "
        "AND n.value = '0' ORDER BY 1",
        1, values, ERASE_QUERY_US, err);
    bool is_good = noted != NULL;
    for (int row = 0; is_good && row < PQntuples(noted); row++) {
        struct month_name month;
        struct archive_view view;
        struct archive_store *store = NULL;
        struct error unopened = {0};
        is_good =
            month_name_parse(answer_text(noted, row, "month"), &month, err) && archive_books_look(&run->books, &month, &view, err);
        if (is_good && !*is_going_well)
            erase_renew_stays(run, &month, "the month before comes first");
        else if (is_good && !(store = erase_open_store(run, view.target, &unopened)))
            erase_renew_stays(run, &month, unopened.text);
        else
            is_good = is_good && erase_renew_leave(run, &month, store, is_going_well, err);
        archive_store_close(store);
    }
    PQclear(noted);
    return is_good;
}

bool erase_is_led(struct erase_run *run, bool *is_led, struct error *err)
{
    PGresult *leader = postgres_query(
        run->conn,
        "SELECT EXISTS (SELECT FROM tallymill.leader WHERE leader <> '' AND seen_at > clock_timestamp() - interval '1 minute') AS "
        "is_led",
        ERASE_QUERY_US, err);
    *is_led = leader && answer_bool(leader, 0, "is_led");
    PQclear(leader);
    return leader != NULL;
}
