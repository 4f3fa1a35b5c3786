/* archive_books.c - see archive_books.h.
 *
 * The lock is one of a transaction that is left open in a connection of its own: it goes with the process, whatever becomes of
 * that, it stands behind a pooler too, and it keeps no snapshot, so that a detach does not wait for it.
 */
#include "operator/archive_books.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cli.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/postgres_error.h"
#include "common/postgres_open.h"
#include "common/settings.h"
#include "operator/admin.h"
#include "operator/answer.h"
#include "operator/archive_store.h"

#define CONNECT_US (10 * CLOCK_SECOND_US)
#define SHORT_US   (60 * CLOCK_SECOND_US)
#define SCAN_US    (3600 * CLOCK_SECOND_US) /* what reads a whole month */
#define TURN_US    (2 * CLOCK_SECOND_US)

enum { LOCK_TRIES = 15, LOCK_PAUSE_MS = 200 };

extern const char archive_look_sql[], archive_mark_days_sql[];

/* A command that has just ended may still hold it: the server comes to the end of its connection a moment later. */
static bool take_lock(PGconn *conn, struct error *err)
{
    bool is_asked = postgres_exec(conn, POSTGRES_BEGIN("READ COMMITTED"), SHORT_US, err), is_taken = false;
    for (int tries = 0; is_asked && !is_taken && tries < LOCK_TRIES; tries++) {
        if (tries > 0)
            poll(NULL, 0, LOCK_PAUSE_MS);
        PGresult *result = postgres_query(
            conn, "SELECT pg_try_advisory_xact_lock(hashtextextended('tallymill.archive', 0)) AS is_taken", SHORT_US, err);
        is_asked = result != NULL;
        is_taken = is_asked && answer_bool(result, 0, "is_taken");
        PQclear(result);
    }
    return is_taken ||
           (is_asked && error_set(err, ERROR_RETRY, "another tallymill archive, restore or erase is at work: one at a time"));
}

bool archive_books_open(struct archive_books *books, const struct settings *settings, const char *application_name,
                        struct error *err)
{
    const char *dsn = settings_text(settings, "postgres.dsn");
    *books = (struct archive_books){0};
    return (books->conn = postgres_open(dsn, application_name, CONNECT_US, err)) != NULL &&
           postgres_check_schema(books->conn, err) &&
           (books->lock = postgres_open(dsn, application_name, CONNECT_US, err)) != NULL && take_lock(books->lock, err);
}

void archive_books_close(struct archive_books *books)
{
    PQfinish(books->conn);
    PQfinish(books->lock);
    *books = (struct archive_books){0};
}

static void copy(char *to, size_t size, const PGresult *result, const char *column)
{
    snprintf(to, size, "%s", answer_text(result, 0, column));
}

bool archive_books_look(struct archive_books *books, const struct month_name *month, struct archive_view *view, struct error *err)
{
    const char *const values[] = {month->first};
    PGresult *result = admin_ask(books->conn, archive_look_sql, 1, values, SHORT_US, err);
    *view = (struct archive_view){.is_known = result && PQntuples(result) == 1};
    if (view->is_known) {
        copy(view->state, sizeof view->state, result, "state");
        copy(view->table, sizeof view->table, result, "table_name");
        copy(view->owner, sizeof view->owner, result, "owner");
        view->is_there = !answer_is_null(result, 0, "is_plain");
        view->is_attached = answer_bool(result, 0, "is_attached");
        view->is_pending = answer_bool(result, 0, "is_pending");
        view->is_plain = answer_bool(result, 0, "is_plain");
        view->is_owned = answer_bool(result, 0, "is_owned");
        view->generation = (int)answer_int(result, 0, "generation");
        view->next_generation = (int)answer_int(result, 0, "next_generation");
        copy(view->target, sizeof view->target, result, "target");
        copy(view->archive_state, sizeof view->archive_state, result, "archive_state");
        copy(view->row_hash, sizeof view->row_hash, result, "row_hash");
        copy(view->server_hash, sizeof view->server_hash, result, "server_hash");
        copy(view->manifest_sha256, sizeof view->manifest_sha256, result, "manifest_sha256");
        view->rows = answer_int(result, 0, "rows");
        view->foreign_rows = answer_int(result, 0, "foreign_rows");
        view->bytes = answer_int(result, 0, "bytes");
    }
    PQclear(result);
    return result != NULL;
}

static bool must_be_known(const struct archive_view *view, const struct month_name *month, struct error *err)
{
    return view->is_known || error_set(err, ERROR_USAGE, "%s: there is no such month", month->text);
}

bool archive_books_find(struct archive_books *books, const struct month_name *month, struct archive_view *view, struct error *err)
{
    return archive_books_look(books, month, view, err) && must_be_known(view, month, err);
}

/* What is wrong with server, schema and rights is told by those who ask for that. */
static bool check_month(struct check *check, const char *dsn, const char *name)
{
    struct error err = {0}, unasked = {0};
    struct month_name month;
    struct archive_view view;
    if (!month_name_parse(name, &month, &err))
        return check_found(check, &err);
    struct archive_books books = {.conn = postgres_open(dsn, check->program, CONNECT_US, &unasked)};
    const bool is_known = !books.conn || !archive_books_look(&books, &month, &view, &unasked) || must_be_known(&view, &month, &err);
    archive_books_close(&books);
    return is_known || check_found(check, &err);
}

bool archive_books_check(struct check *check, const struct cli_result *command)
{
    struct error err = {0};
    bool is_good = archive_store_check_target(command->settings, &err) || check_found(check, &err);
    for (int i = 0; i < command->argument_count; i++)
        is_good &= check_month(check, settings_text(command->settings, "postgres.dsn"), command->arguments[i]);
    return is_good;
}

/* A statement about one generation: $1 month, $2 generation, and a third value where there is one. */
static bool change(struct archive_books *books, const char *month, int generation, const char *third, int64_t timeout_us,
                   const char *sql, struct error *err)
{
    char number[16];
    const char *const values[] = {month, number, third};
    snprintf(number, sizeof number, "%d", generation);
    return admin_do(books->conn, sql, third ? 3 : 2, values, timeout_us, err) || error_wrap(err, "%.7s", month);
}

bool archive_books_begin(struct archive_books *books, const struct month_name *month, int generation, const char *target,
                         struct error *err)
{
    return change(books, month->first, generation, target, SHORT_US,
                  "INSERT INTO tallymill.archives (month, generation, target, state) VALUES ($1::date, $2::integer, $3, 'writing')",
                  err);
}

bool archive_books_written(struct archive_books *books, const struct archive_manifest *manifest, const char *server_hash,
                           struct error *err)
{
    struct archive_figures text;
    const char *const values[] = {text.month,  text.generation, text.rows,  text.foreign_rows, manifest->row_hash,
                                  server_hash, text.bytes,      text.parts, manifest->sha256};
    archive_manifest_figures(manifest, &text);
    return admin_do(books->conn,
                    "UPDATE tallymill.archives SET rows = $3::bigint, foreign_rows = $4::bigint, row_hash = $5, server_hash = "
                    "$6::numeric, bytes = $7::bigint, parts = $8::integer, manifest_sha256 = nullif($9, '') "
                    "WHERE month = $1::date AND generation = $2::integer",
                    9, values, SHORT_US, err);
}

bool archive_books_proven(struct archive_books *books, const struct month_name *month, int generation, struct error *err)
{
    return change(books, month->first, generation, NULL, SHORT_US,
                  "UPDATE tallymill.archives SET state = 'proven', proven_at = clock_timestamp() WHERE month = $1::date AND "
                  "generation = $2::integer",
                  err);
}

bool archive_books_supersede(struct archive_books *books, const struct month_name *month, int generation, struct error *err)
{
    return change(books, month->first, generation, NULL, SHORT_US,
                  "UPDATE tallymill.archives SET state = 'superseded' WHERE month = $1::date AND generation = $2::integer", err);
}

bool archive_books_tidied(struct archive_books *books, const struct month_name *month, int generation, struct error *err)
{
    return change(books, month->first, generation, NULL, SHORT_US,
                  "UPDATE tallymill.archives SET parts = 0 WHERE month = $1::date AND generation = $2::integer", err);
}

bool archive_books_emptying(struct archive_books *books, const struct month_name *month, int generation, struct error *err)
{
    return change(books, month->first, generation, NULL, SHORT_US,
                  "UPDATE tallymill.archives SET bytes = 0 WHERE month = $1::date AND generation = $2::integer", err);
}

bool archive_books_begin_leaving(struct archive_books *books, const struct month_name *month, int generation, struct error *err)
{
    return change(books, month->first, generation, NULL, SCAN_US, "SELECT tallymill.begin_leaving($1::date, $2::integer)", err);
}

/* It is asked for in turns, between which others come in: those who wait behind us for the table (an audit counts its rows), and
 * those who make months, for the lock of that is held meanwhile. */
bool archive_books_drop(struct archive_books *books, const struct month_name *month, int generation,
                        const struct archive_moment *moment, int64_t wait_us, struct error *err)
{
    char turn[24], number[16];
    const char *const values[] = {month->first, number, moment->since, moment->identity, turn};
    const int64_t deadline_us = clock_now_us() + wait_us;
    bool is_dropped = false;
    snprintf(number, sizeof number, "%d", generation);
    snprintf(turn, sizeof turn, "%" PRId64 "us", wait_us < TURN_US ? wait_us : TURN_US);
    do { /* ends: at the deadline */
        error_clear(err);
        is_dropped = admin_do(books->conn,
                              "SELECT tallymill.drop_month($1::date, $2::integer, nullif($3, '')::xid8, $4) FROM "
                              "set_config('lock_timeout', $5, true)",
                              5, values, SCAN_US, err) ||
                     error_wrap(err, "%.7s", month->first);
    } while (!is_dropped && postgres_is(err, POSTGRES_LOCKED) && clock_now_us() < deadline_us);
    return is_dropped;
}

bool archive_books_attach(struct archive_books *books, const struct month_name *month, struct error *err)
{
    const char *const values[] = {month->first};
    return admin_do(books->conn, "SELECT tallymill.attach_month($1::date)", 1, values, SCAN_US, err) ||
           error_wrap(err, "%s", month->text);
}

bool archive_books_mark_days(struct archive_books *books, const struct month_name *month, struct error *err)
{
    const char *const values[] = {month->first};
    return admin_do(books->conn, archive_mark_days_sql, 1, values, SHORT_US, err);
}

bool archive_books_hurry(struct archive_books *books, const struct month_name *month, struct error *err)
{
    const char *const values[] = {month->first};
    return admin_do(books->conn,
                    "UPDATE tallymill.rollup_runs t SET ran_at = NULL FROM tallymill.rollup_periods p "
                    "WHERE p.rollup = t.rollup AND p.first_day = t.first_day AND p.is_stale "
                    "AND p.failed_at IS NULL AND t.ran_at IS NOT NULL AND p.last_day >= $1::date "
                    "AND p.first_day < ($1::date + interval '1 month')::date",
                    1, values, SHORT_US, err);
}

bool archive_books_waiting(struct archive_books *books, const struct month_name *month, int64_t *waiting, int64_t *emptied,
                           struct error *err)
{
    const char *const values[] = {month->first};
    PGresult *result =
        admin_ask(books->conn,
                  "SELECT coalesce(sum(waiting), 0)::bigint AS waiting, coalesce(sum(emptied), 0)::bigint AS emptied "
                  "FROM tallymill.waiting_dead_letters() WHERE month = $1::date",
                  1, values, SHORT_US, err);
    *waiting = result ? answer_int(result, 0, "waiting") : 0;
    *emptied = result ? answer_int(result, 0, "emptied") : 0;
    PQclear(result);
    return result != NULL;
}
