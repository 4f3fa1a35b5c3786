/* archive_month.c - see archive_month.h.
 *
 * settle, write, prove, mark, detach, drop, tidy. Written and proven while the month can still be read; only then taken out, so
 * that the time in which its rows are in no query is the detach and one count of them. What is durable behind each step is in the
 * books (tallymill.months, tallymill.archives) or in the store, and the next run looks at both rather than remembers: so no step
 * cares who began it. What came into the month between the snapshot and the detach is found before it is dropped: by the
 * transactions of its rows, or, where another run wrote it out or they do not say, by its hash. The month is then attached again,
 * and so it is where the server refuses a step for anything that no waiting mends.
 *
 * Rejected: to detach first and write in peace afterwards: the rows would be in no query for as long as the store takes, and a
 * store that fails would leave them there.
 */
#include "operator/archive_month.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/postgres.h"
#include "common/postgres_error.h"
#include "common/postgres_open.h"
#include "common/progress.h"
#include "common/settings.h"
#include "operator/admin.h"
#include "operator/answer.h"
#include "operator/archive_generation.h"
#include "operator/archive_leftover.h"
#include "operator/archive_parts.h"
#include "operator/archive_proof.h"
#include "operator/archive_settle.h"
#include "operator/archive_store.h"
#include "operator/snapshot.h"

#define CONNECT_US (10 * CLOCK_SECOND_US)
#define SHORT_US   (60 * CLOCK_SECOND_US)

enum { STEPS_MAX = 8 };

extern const char archive_batches_sql[], archive_columns_sql[], archive_statistics_sql[];

static const char *target_of(const struct archive_run *run)
{
    return run->store ? archive_store_target(run->store) : "none";
}

/* The snapshot in which the month is settled and written out, and what it shows of it. */
struct writing {
    struct snapshot *snapshot;
    int64_t rows, foreign_rows;
    char server_hash[ARCHIVE_NUMBER_BYTES];
    struct archive_moment moment;
};

static bool sum_up(struct writing *writing, const struct archive_view *view, struct error *err)
{
    static const char sums_sql[] =
        "SELECT rows, foreign_rows, hash::text AS hash, pg_snapshot_xmin(pg_current_snapshot())::text AS since, "
        "coalesce(tallymill.month_identity($1::regclass), '') AS identity FROM tallymill.month_sums($1::regclass)";
    const char *const values[] = {view->table};
    PGresult *sums = postgres_exec(snapshot_conn(writing->snapshot), "SET LOCAL ROLE tallymill_admin", SHORT_US, err)
                         ? postgres_query_params(snapshot_conn(writing->snapshot), sums_sql, 1, values, 3600 * CLOCK_SECOND_US, err)
                         : NULL;
    if (sums) {
        writing->rows = answer_int(sums, 0, "rows");
        writing->foreign_rows = answer_int(sums, 0, "foreign_rows");
        snprintf(writing->server_hash, sizeof writing->server_hash, "%s", answer_text(sums, 0, "hash"));
        snprintf(writing->moment.since, sizeof writing->moment.since, "%s", answer_text(sums, 0, "since"));
        snprintf(writing->moment.identity, sizeof writing->moment.identity, "%s", answer_text(sums, 0, "identity"));
    }
    PQclear(sums);
    return sums != NULL;
}

/* Step 1. */
static bool settle(struct archive_run *run, const struct month_name *month, const struct archive_view *view,
                   struct writing *writing, struct error *err)
{
    bool should_rebuild = false;
    if (!view->is_plain || !view->is_owned)
        return error_set(err, ERROR_USAGE, "%s: %s is %s: %s", month->text, view->table,
                         view->is_plain ? "not tallymill_admin's" : "no plain table",
                         view->is_plain ? "ALTER TABLE it OWNER TO tallymill_admin" : "only plain tables are archived");
    writing->snapshot = snapshot_open_whole(run->settings, "tallymill archive", err);
    if (!writing->snapshot)
        return false;
    if (!archive_settle_stops(writing->snapshot, month, err))
        return false;
    if (archive_settle(writing->snapshot, month, &should_rebuild, err)) {
        FAILPOINT("archive_settled");
        return sum_up(writing, view, err);
    }
    struct error failed = {0};
    if ((should_rebuild && !archive_books_mark_days(&run->books, month, &failed)) ||
        (err->kind == ERROR_RETRY && !archive_books_hurry(&run->books, month, &failed)))
        *err = failed;
    return false;
}

/* What else the manifest says, beside the rows. */
static bool describe(struct snapshot *snapshot, const struct month_name *month, struct archive_manifest *manifest,
                     struct error *err)
{
    static const char versions_sql[] = "SELECT current_setting('server_version') AS postgres, clock_timestamp() AS written_at, "
                                       "CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE') THEN (SELECT "
                                       "system_identifier FROM pg_control_system()) END::text AS system_identifier";
    PGresult *columns = NULL, *batches = NULL, *statistics = NULL, *versions = NULL;
    const bool is_known = snapshot_set(snapshot, "month", month->first, err) &&
                          (columns = snapshot_ask(snapshot, archive_columns_sql, err)) != NULL &&
                          (batches = snapshot_ask(snapshot, archive_batches_sql, err)) != NULL &&
                          (statistics = snapshot_ask(snapshot, archive_statistics_sql, err)) != NULL &&
                          (versions = snapshot_ask(snapshot, versions_sql, err)) != NULL;
    if (is_known)
        manifest->json =
            json_pack("{s:s, s:o, s:o, s:o, s:o}", "tallymill", TALLYMILL_VERSION, "server", answer_object(versions, 0), "columns",
                      answer_array(columns), "batches", answer_array(batches), "daily_stats", answer_array(statistics));
    PQclear(columns);
    PQclear(batches);
    PQclear(statistics);
    PQclear(versions);
    return is_known && (manifest->json || error_set(err, ERROR_RETRY, "no memory for the manifest"));
}

static bool write_parts(struct archive_run *run, const struct month_name *month, const struct archive_view *view,
                        struct writing *writing, struct archive_manifest *manifest, struct error *err)
{
    char what[40], *columns = archive_manifest_columns(manifest);
    struct progress progress;
    snprintf(what, sizeof what, "rows of %s written", month->text);
    progress_init(&progress, what, writing->rows, clock_now_us());
    const bool is_written = (columns || error_set(err, ERROR_RETRY, "out of memory")) &&
                            archive_parts_write(snapshot_conn(writing->snapshot), run->store, view->table, columns,
                                                settings_int(run->settings, "archive.part_size"), manifest, &progress, err);
    progress_clear(&progress);
    free(columns);
    return is_written;
}

/* The next run writes another. */
static void supersede(struct archive_run *run, const struct month_name *month, int generation)
{
    struct error ignored = {0};
    error_ignore(archive_books_supersede(&run->books, month, generation, &ignored));
}

/* What was begun and came to nothing. */
static bool give_up_generation(struct archive_run *run, const struct month_name *month, const struct archive_view *view,
                               struct error *err)
{
    bool is_there, is_ours;
    const char *sha256 = view->manifest_sha256[0] != '\0' ? view->manifest_sha256 : NULL;
    if (!archive_books_supersede(&run->books, month, view->generation, err))
        return false;
    return !run->store || strcmp(view->target, target_of(run)) != 0 ||
           (archive_generation_whose(run->store, month, view->generation, sha256, &is_there, &is_ours, err) &&
            (!is_there || !is_ours || archive_books_emptying(&run->books, month, view->generation, err)) &&
            (!is_ours || archive_generation_delete(run->store, month, view->generation, &is_there, err)) &&
            archive_books_tidied(&run->books, month, view->generation, err));
}

/* The books come first: so they know whose manifest it is that stands in the store. */
static bool put_manifest(struct archive_run *run, const struct writing *writing, struct archive_manifest *manifest,
                         struct error *err)
{
    char *text = archive_manifest_text(manifest, err);
    const bool is_put = text && archive_books_written(&run->books, manifest, writing->server_hash, err) &&
                        archive_manifest_put(manifest, text, run->store, err);
    free(text);
    return is_put;
}

/* A mount point is there without its disk, and empty; what is written to it lies under the disk. */
static bool is_mounted(struct archive_run *run, const struct month_name *month, struct error *err)
{
    const char *target = target_of(run), *const values[] = {target};
    if (!run->store || !archive_store_is_bare(run->store))
        return true;
    PGresult *there = admin_ask(run->books.conn,
                                "SELECT count(*) AS archives FROM tallymill.archives WHERE target = $1 AND state = 'dropped' AND "
                                "parts > 0",
                                1, values, SHORT_US, err);
    const int64_t archives = there ? answer_int(there, 0, "archives") : 0;
    PQclear(there);
    return there && (archives == 0 ||
                     error_set(err, ERROR_USAGE,
                               "%s: archive.target %.160s has no analytics_events, and the books have archives there (%" PRId64
                               "): is its disk mounted? If they are gone for good: mkdir %.160s/analytics_events",
                               month->text, target, archives, target));
}

/* Step 2, into a new generation. */
static bool write_out(struct archive_run *run, const struct month_name *month, const struct archive_view *view,
                      struct writing *writing, struct archive_manifest *manifest, struct error *err)
{
    const bool is_gzip = strcmp(settings_text(run->settings, "archive.compression"), "gzip") == 0;
    *manifest = (struct archive_manifest){.generation = view->next_generation,
                                          .packing = is_gzip ? PACKING_GZIP : PACKING_ZSTD,
                                          .foreign_rows = writing->foreign_rows};
    snprintf(manifest->month, sizeof manifest->month, "%s", month->text);
    if (!is_mounted(run, month, err))
        return false;
    if (strcmp(view->archive_state, "writing") == 0 && !give_up_generation(run, month, view, err))
        return false;
    if ((run->store && !archive_generation_is_free(run->store, month, view->next_generation, err)) ||
        !archive_books_begin(&run->books, month, view->next_generation, target_of(run), err))
        return false;
    if (!run->store) {
        manifest->rows = writing->rows;
        return archive_books_written(&run->books, manifest, writing->server_hash, err);
    }
    if (!describe(writing->snapshot, month, manifest, err) || !write_parts(run, month, view, writing, manifest, err))
        return false;
    if (manifest->rows != writing->rows)
        return error_set(err, ERROR_FATAL, "%s: %" PRId64 " rows were counted, and %" PRId64 " copied, in one snapshot",
                         month->text, writing->rows, manifest->rows);
    FAILPOINT("archive_written");
    return put_manifest(run, writing, manifest, err);
}

/* Whether the newest archive is of exactly what the snapshot shows, all its columns too, and its manifest is there: then it is not
 * written again. */
static bool find_written(struct archive_run *run, const struct month_name *month, const struct archive_view *view,
                         const struct writing *writing, struct archive_manifest *manifest, bool *is_found, struct error *err)
{
    bool has_more = false;
    *manifest = (struct archive_manifest){0};
    *is_found = false;
    if (!run->store || view->generation == 0 || strcmp(view->target, target_of(run)) != 0 || view->rows != writing->rows ||
        strcmp(view->server_hash, writing->server_hash) != 0)
        return true;
    if (!archive_generation_look(run->store, month, view, manifest, is_found, err) || !*is_found)
        return !*is_found && err->kind == ERROR_NONE;
    PGresult *columns = snapshot_ask(writing->snapshot, archive_columns_sql, err);
    *is_found = columns && archive_manifest_fits(manifest, columns, &has_more) && !has_more;
    PQclear(columns);
    return columns != NULL;
}

/* Step 3, by the manifest that stands in the store. */
static bool prove(struct archive_run *run, const struct month_name *month, struct archive_view *view, const char *server_hash,
                  struct error *err)
{
    struct archive_manifest manifest;
    const bool is_proven = archive_generation_manifest(run->store, month, view, &manifest, err) &&
                           archive_proof(run->settings, run->store, &manifest, server_hash, err);
    archive_manifest_reset(&manifest);
    if (!is_proven && err->kind == ERROR_REJECT)
        supersede(run, month, view->generation);
    return is_proven && archive_books_proven(&run->books, month, view->generation, err);
}

/* Steps 1 to 3: the month is in the store as it was at that moment, and proven. */
static bool prepare(struct archive_run *run, const struct month_name *month, struct archive_view *view,
                    struct archive_moment *moment, struct archive_report *report, struct error *err)
{
    struct writing writing = {0};
    struct archive_manifest manifest = {0};
    bool is_found = false;
    bool is_written =
        settle(run, month, view, &writing, err) && find_written(run, month, view, &writing, &manifest, &is_found, err);
    archive_manifest_reset(&manifest);
    if (is_written && !is_found) {
        is_written = write_out(run, month, view, &writing, &manifest, err);
        archive_manifest_reset(&manifest);
    }
    snapshot_close(writing.snapshot);
    if (is_written)
        FAILPOINT("archive_manifest");
    report->is_reused = is_found;
    *moment = writing.moment;
    return is_written && archive_books_find(&run->books, month, view, err) &&
           (!run->store || prove(run, month, view, writing.server_hash, err));
}

/* What a detach depends on is set for the session, for it stands in no transaction. Behind a pooler it is not: whoever gets the
 * server connection next would act as tallymill_admin. There the login must inherit that role's rights, and the statement names
 * all. */
static bool prepare_detach(PGconn *conn, int64_t deadline_us, struct error *err)
{
    char timeout[80];
    PGresult *asked = postgres_query(conn, "SELECT pg_backend_pid()", SHORT_US, err);
    const bool is_asked = asked != NULL, is_own = asked && atoi(PQgetvalue(asked, 0, 0)) == PQbackendPID(conn);
    PQclear(asked);
    if (!is_own)
        return is_asked;
    snprintf(timeout, sizeof timeout, "SET statement_timeout = %" PRId64, deadline_us / 1000);
    return postgres_exec(conn, "SET ROLE tallymill_admin", SHORT_US, err) &&
           postgres_exec_alone(conn, "SET search_path = pg_catalog, pg_temp", SHORT_US, err) &&
           postgres_exec_alone(conn, "SET client_connection_check_interval = '1s'", SHORT_US, err) &&
           postgres_exec_alone(conn, "SET lock_timeout = 0", SHORT_US, err) && postgres_exec_alone(conn, timeout, SHORT_US, err);
}

/* Runs a detach, or ends one that is pending, over a connection of its own. */
static bool run_detach(struct archive_run *run, const struct archive_view *view, struct error *err)
{
    const int64_t deadline_us = settings_int(run->settings, "archive.detach_deadline");
    char sql[400];
    PGconn *conn = postgres_open(settings_text(run->settings, "postgres.dsn"), "tallymill archive", CONNECT_US, err);
    snprintf(sql, sizeof sql, "ALTER TABLE public.analytics_events DETACH PARTITION %s %s", view->table,
             view->is_pending ? "FINALIZE" : "CONCURRENTLY");
    const bool is_detached =
        conn && prepare_detach(conn, deadline_us, err) && postgres_exec_alone(conn, sql, deadline_us + SHORT_US, err);
    PQfinish(conn);
    return is_detached;
}

static bool put_back(struct archive_run *run, const struct month_name *month, struct error *err)
{
    const struct error said = *err;
    int64_t waiting = 0, emptied = 0;
    error_clear(err);
    if (!archive_books_attach(&run->books, month, err))
        return error_wrap(err, "%.200s; and %s could not be made part of analytics_events again", said.text, month->text);
    if (!archive_books_waiting(&run->books, month, &waiting, &emptied, err))
        return false;
    error_set(err, said.kind == ERROR_REJECT || said.kind == ERROR_FATAL ? said.kind : ERROR_RETRY,
              "%.280s; %s is part of analytics_events again and waits for the next run%s", said.text, month->text,
              waiting > 0 ? ", and the dead letters that came meanwhile go in by: tallymill dlq replay --reason archived_month"
                          : "");
    return false;
}

/* The server has answered, and with what no waiting mends: it neither timed out nor ends. */
static bool is_refused(const struct error *err)
{
    return postgres_is(err, POSTGRES_REFUSED) && !postgres_is(err, POSTGRES_LOCKED) && !postgres_is(err, POSTGRES_CANCELLED);
}

/* Step 5. Whoever began it before may have ended it meanwhile: so an error is looked at again. A detach that has not begun and is
 * refused leaves the month where it is; one that is pending can only be ended. */
static bool detach(struct archive_run *run, const struct month_name *month, const struct archive_view *view, struct error *err)
{
    struct archive_view after;
    struct error ignored = {0};
    if (run_detach(run, view, err))
        return true;
    const bool is_known = archive_books_look(&run->books, month, &after, &ignored);
    if (is_known && after.is_there && !after.is_attached && !after.is_pending) {
        error_clear(err);
        return true;
    }
    if (is_known && after.is_attached && is_refused(err))
        return put_back(run, month, err);
    return error_wrap(err,
                      "%s is on its way out, and could not be detached (run it again to go on, or: tallymill archive --cancel %s)",
                      month->text, month->text);
}

/* Whether the archive is still what was proven: its manifest, and every byte where another run proved it. Asked before the detach
 * and before the drop, behind which it is only there. Where it is not, or the store is away, the month is attached again: its rows
 * would be in no query for as long as that lasts. */
static bool is_kept(struct archive_run *run, const struct month_name *month, const struct archive_view *view, bool with_parts,
                    struct error *err)
{
    struct archive_manifest manifest = {0};
    if (strcmp(view->target, "none") == 0)
        return true;
    struct archive_store *store = archive_store_open(run->settings, view->target, err);
    const bool is_there = store && archive_generation_manifest(store, month, view, &manifest, err) &&
                          (!with_parts || archive_parts_read(store, &manifest, NULL, NULL, NULL, err));
    archive_manifest_reset(&manifest);
    archive_store_close(store);
    if (is_there)
        return true;
    if (err->kind == ERROR_REJECT)
        supersede(run, month, view->generation);
    struct error unended = {0};
    if (view->is_pending && !detach(run, month, view, &unended))
        return false;
    return put_back(run, month, err);
}

/* Step 6. Whatever the server refuses it for, the month is attached again: the next run settles it, and names what is in the way.
 * Who holds the table is in the way of that too. */
static bool drop(struct archive_run *run, const struct month_name *month, const struct archive_view *view,
                 const struct archive_moment *moment, struct error *err)
{
    const int64_t wait_us = settings_int(run->settings, "archive.detach_deadline");
    if (archive_books_drop(&run->books, month, view->generation, moment, wait_us, err))
        return true;
    if (PQstatus(run->books.conn) == CONNECTION_OK && postgres_is(err, POSTGRES_REFUSED) && !postgres_is(err, POSTGRES_LOCKED))
        return put_back(run, month, err);
    return error_wrap(err,
                      "%s is on its way out, and could not be dropped (run it again to go on, or: tallymill archive --cancel %s)",
                      month->text, month->text);
}

/* Step 7: the blocks of older generations, each where it was written. The month is archived, whatever becomes of these; one that is
 * another's by now is none of ours. */
static bool tidy(struct archive_run *run, const struct month_name *month, struct archive_report *report, struct error *err)
{
    PGresult *older = archive_leftover_ask(&run->books, month, err);
    bool is_tidy = older != NULL;
    for (int row = 0; is_tidy && row < PQntuples(older); row++) {
        const int generation = (int)answer_int(older, row, "generation");
        struct archive_store *store = NULL;
        struct error kept = {0};
        const bool is_gone = archive_leftover_delete(run->settings, &run->books, month, older, row, &store, &kept);
        archive_store_close(store);
        if (is_gone || kept.kind == ERROR_REJECT)
            is_tidy = archive_books_tidied(&run->books, month, generation, err);
        else
            snprintf(report->leftover, sizeof report->leftover, "generation %d of %s could not be deleted: %.400s", generation,
                     month->text, kept.text);
    }
    PQclear(older);
    return is_tidy;
}

static bool fill(struct archive_run *run, const struct month_name *month, const struct archive_view *view,
                 struct archive_report *report, struct error *err)
{
    int64_t emptied;
    report->generation = view->generation;
    report->rows = view->rows;
    report->bytes = view->bytes;
    return tidy(run, month, report, err) && archive_books_waiting(&run->books, month, &report->late, &emptied, err);
}

/* A step of a month that is detaching. *is_proven: by this run. */
static bool go_on(struct archive_run *run, const struct month_name *month, const struct archive_view *view,
                  const struct archive_moment *moment, bool *is_proven, int64_t *away_from_us, struct error *err)
{
    if (view->generation == 0 || (strcmp(view->archive_state, "proven") != 0 && strcmp(view->target, "none") != 0))
        return error_set(err, ERROR_USAGE, "%s is detaching, and has no proven archive: tallymill archive --cancel %s", month->text,
                         month->text);
    if (!view->is_there)
        return error_set(err, ERROR_FATAL,
                         "%s is detaching, and its table is gone: somebody dropped it. Its archive is generation %d; UPDATE "
                         "tallymill.months if that is all",
                         month->text, view->generation);
    if (!is_kept(run, month, view, !*is_proven, err))
        return false;
    *is_proven = true;
    if (view->is_attached || view->is_pending) {
        if (view->is_attached)
            *away_from_us = clock_now_us();
        const bool is_detached = detach(run, month, view, err);
        FAILPOINT("archive_detached");
        return is_detached;
    }
    return drop(run, month, view, moment, err);
}

/* The month is where everybody reads it: steps 1 to 4. */
static bool leave(struct archive_run *run, const struct month_name *month, struct archive_view *view, struct archive_moment *moment,
                  struct archive_report *report, struct error *err)
{
    if (!view->is_attached)
        return error_set(err, ERROR_USAGE,
                         "%s is %s, but its table is no part of analytics_events, or its detach is pending: attach it again",
                         month->text, view->state);
    if (!prepare(run, month, view, moment, report, err))
        return false;
    FAILPOINT("archive_proven");
    const bool has_begun = archive_books_begin_leaving(&run->books, month, view->generation, err);
    FAILPOINT("archive_marked");
    return has_begun;
}

bool archive_month(struct archive_run *run, const struct month_name *month, struct archive_report *report, struct error *err)
{
    struct archive_view view;
    struct archive_moment moment = {.since = ""};
    int64_t away_from_us = 0;
    bool is_proven = false;
    *report = (struct archive_report){.was_away = true};
    for (int step = 0; step < STEPS_MAX; step++) { /* ends: each turn brings the month on, or fails */
        if (!archive_books_find(&run->books, month, &view, err))
            return false;
        if (strcmp(view.state, "archived") == 0) {
            FAILPOINT("archive_dropped");
            return fill(run, month, &view, report, err);
        }
        report->was_away = false;
        const bool is_leaving = strcmp(view.state, "detaching") == 0;
        if (!(is_leaving ? go_on(run, month, &view, &moment, &is_proven, &away_from_us, err)
                         : leave(run, month, &view, &moment, report, err)))
            return false;
        is_proven = true;
        if (away_from_us > 0)
            report->away_us = clock_now_us() - away_from_us;
    }
    return error_set(err, ERROR_RETRY, "%s has not come to an end in %d steps: somebody moves it too", month->text, STEPS_MAX);
}

bool archive_month_cancel(struct archive_run *run, const struct month_name *month, bool *was_leaving, struct error *err)
{
    struct archive_view view;
    if (!archive_books_find(&run->books, month, &view, err))
        return false;
    *was_leaving = strcmp(view.state, "detaching") == 0;
    if (!*was_leaving)
        return true;
    if (view.is_pending && !detach(run, month, &view, err))
        return false;
    return archive_books_attach(&run->books, month, err);
}
