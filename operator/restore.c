/* restore.c - `tallymill restore`: a month comes back from its archive, in one transaction, and what waited for it with --replay.
 *
 * The table is filled before it has indexes and attached last: so nobody waits, and whatever ends this process, nothing was. That
 * the rows are those that left is known twice: from the bytes (each part's SHA-256, the hash of all rows) and from the books, in
 * which the archive's hash stands too.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/number_text.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/progress.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/archive_month.h"
#include "operator/archive_parts.h"
#include "operator/archive_store.h"
#include "operator/command.h"
#include "operator/copy_in.h"
#include "operator/dlq.h"
#include "operator/ground.h"

#define SHORT_US (60 * CLOCK_SECOND_US)
#define INDEX_US (12 * 3600 * CLOCK_SECOND_US)

struct restore {
    bool should_replay, as_json; /* the options */
    const struct settings *settings;
    struct archive_books books;
    struct archive_store *store;
    struct archive_view view;
    struct archive_manifest manifest;
    bool was_there;
    int64_t waiting, emptied, took_us;
    struct dlq_replay replayed;
};

static bool ask(struct restore *restore, const char *sql, int count, const char *const *values, int64_t timeout_us,
                struct error *err)
{
    PGresult *result = postgres_query_params(restore->books.conn, sql, count, values, timeout_us, err);
    PQclear(result);
    return result != NULL;
}

static bool load_row(void *context, const char *row, size_t length, struct error *err)
{
    return copy_in_put(context, row, length, err);
}

static bool load(struct restore *restore, const struct month_name *month, const char *table, struct error *err)
{
    PGconn *conn = restore->books.conn;
    char what[40], *columns = archive_manifest_columns(&restore->manifest);
    const size_t size = columns ? strlen(columns) + strlen(table) + 80 : 0;
    char *sql = columns ? malloc(size) : NULL;
    struct progress progress;
    snprintf(what, sizeof what, "rows of %s loaded", month->text);
    progress_init(&progress, what, restore->manifest.rows, clock_now_us());
    if (sql)
        snprintf(sql, size, "COPY %s (%s) FROM STDIN (FORMAT csv)", table, columns);
    const bool is_loaded = (sql || error_set(err, ERROR_RETRY, "out of memory")) && copy_in_begin(conn, sql, err) &&
                           archive_parts_read(restore->store, &restore->manifest, load_row, conn, &progress, err) &&
                           copy_in_end(conn, err);
    progress_clear(&progress);
    free(sql);
    free(columns);
    return is_loaded;
}

/* The one transaction. */
static bool bring_back(struct restore *restore, const struct month_name *month, struct error *err)
{
    PGconn *conn = restore->books.conn;
    char generation[16], table[160];
    const char *const made[] = {month->first}, *const filled[] = {table}, *const back[] = {month->first, generation, table};
    const int64_t begun_us = clock_now_us();
    snprintf(generation, sizeof generation, "%d", restore->view.generation);
    PGresult *named =
        postgres_exec(conn, POSTGRES_BEGIN("READ COMMITTED") "; SET LOCAL ROLE tallymill_admin", SHORT_US, err)
            ? postgres_query_params(conn, "SELECT tallymill.make_month_table($1::date, false)", 1, made, SHORT_US, err)
            : NULL;
    snprintf(table, sizeof table, "%s", named ? PQgetvalue(named, 0, 0) : "");
    bool is_back = named && load(restore, month, table, err);
    PQclear(named);
    FAILPOINT("restore_loaded");
    is_back = is_back && ask(restore, "SELECT tallymill.index_month_table($1::regclass)", 1, filled, INDEX_US, err);
    FAILPOINT("restore_indexed");
    is_back = is_back &&
              ask(restore, "SELECT tallymill.return_month($1::date, $2::integer, $3::regclass)", 3, back, INDEX_US, err) &&
              postgres_exec(conn, "COMMIT", SHORT_US, err);
    FAILPOINT("restore_committed");
    restore->took_us = clock_now_us() - begun_us;
    return is_back || error_wrap(err, "%s stays archived", month->text);
}

/* What left is read from where it was written; where that was moved, archive.target says where it is now. */
static bool find_archive(struct restore *restore, const struct month_name *month, struct error *err)
{
    const char *set = settings_text(restore->settings, "archive.target");
    struct error other = {0};
    restore->store = archive_store_open(restore->settings, restore->view.target, err);
    if (restore->store && archive_month_manifest(restore->store, month, &restore->view, &restore->manifest, err))
        return true;
    if (set[0] == '\0' || strcmp(set, "none") == 0 || strcmp(set, restore->view.target) == 0)
        return false;
    archive_manifest_reset(&restore->manifest);
    archive_store_close(restore->store);
    restore->store = archive_store_open(restore->settings, set, &other);
    if (!restore->store || !archive_month_manifest(restore->store, month, &restore->view, &restore->manifest, &other))
        return false;
    error_clear(err);
    return true;
}

static bool restore_month(struct restore *restore, const struct month_name *month, struct error *err)
{
    const struct archive_view *view = &restore->view;
    if (!archive_books_look(&restore->books, month, &restore->view, err))
        return false;
    restore->was_there = strcmp(view->state, "open") == 0 || strcmp(view->state, "restored") == 0;
    if (restore->was_there)
        return true;
    if (!view->is_known || strcmp(view->state, "archived") != 0)
        return error_set(err, ERROR_USAGE,
                         view->is_known ? "%s is %s: tallymill archive --cancel %s lets it stay" : "%s: there is no such month",
                         month->text, view->state, month->text);
    if (view->generation == 0 || strcmp(view->archive_state, "dropped") != 0 || strcmp(view->target, "none") == 0)
        return error_set(err, ERROR_USAGE, "%s: nothing of it was kept, or its archive is not in the books (tallymill.archives)",
                         month->text);
    return find_archive(restore, month, err) && bring_back(restore, month, err);
}

static bool replay(struct restore *restore, const struct month_name *month, struct error *err)
{
    const char *topic = settings_text(restore->settings, "topics.events");
    const struct dlq_choice choice = {.topic = topic, .target = topic, .reason = "archived_month", .month = month->text};
    return postgres_exec(restore->books.conn, "SET idle_session_timeout = 0", SHORT_US, err) &&
           dlq_replay(restore->books.conn, restore->settings, &choice, &restore->replayed, err);
}

static void print_late(const struct restore *restore, const struct month_name *month)
{
    char number[NUMBER_TEXT_BYTES];
    if (restore->should_replay)
        printf("; %s dead letters were sent again", number_text(number, restore->replayed.sent));
    else if (restore->waiting > 0)
        printf("; %s dead letters wait for it: tallymill restore %s --replay", number_text(number, restore->waiting), month->text);
    if (restore->emptied > 0)
        printf("; of %s the bytes are gone, they cannot come back", number_text(number, restore->emptied));
    putchar('\n');
}

static void print(const struct restore *restore, const struct month_name *month)
{
    char rows[NUMBER_TEXT_BYTES];
    if (restore->was_there)
        printf("%s is there (%s)", month->text, restore->view.state);
    else
        printf("%s restored: %s rows of generation %d, in %.1f s", month->text, number_text(rows, restore->manifest.rows),
               restore->view.generation, (double)restore->took_us / (double)CLOCK_SECOND_US);
    print_late(restore, month);
}

static void print_json(const struct restore *restore, const struct month_name *month)
{
    json_t *answer = json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I}", "month", month->text, "outcome",
                               restore->was_there ? "was there" : "restored", "generation", restore->view.generation, "rows",
                               (json_int_t)restore->manifest.rows, "took_us", (json_int_t)restore->took_us, "dead_letters_waiting",
                               (json_int_t)restore->waiting, "dead_letters_emptied", (json_int_t)restore->emptied, "replayed",
                               (json_int_t)restore->replayed.sent);
    answer_print(answer);
    json_decref(answer);
}

static bool run(struct restore *restore, const struct month_name *month, struct error *err)
{
    return archive_books_open(&restore->books, restore->settings, "tallymill restore", err) && restore_month(restore, month, err) &&
           archive_books_waiting(&restore->books, month, &restore->waiting, &restore->emptied, err) &&
           (!restore->should_replay || replay(restore, month, err));
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct restore *restore = context;
    struct month_name month;
    restore->settings = command->settings;
    if (command->check)
        return ground_check_also(
            command->settings,
            &(struct ground){"tallymill restore", "tallymill_admin",
                             restore->should_replay ? settings_text(command->settings, "topics.events") : NULL,
                             RD_KAFKA_ACL_OPERATION_WRITE},
            archive_store_check_target);
    if (command->argument_count != 1)
        error_set(err, ERROR_USAGE, "which month? tallymill restore 2025-01");
    else if (month_name_parse(command->arguments[0], &month, err) && run(restore, &month, err) && restore->as_json)
        print_json(restore, &month);
    else if (err->kind == ERROR_NONE)
        print(restore, &month);
    archive_manifest_reset(&restore->manifest);
    archive_store_close(restore->store);
    archive_books_close(&restore->books);
    return 0;
}

int restore_run(int argc, char **argv)
{
    struct restore restore = {0};
    const struct cli_option options[] = {
        {.name = "replay", .help = "then send the dead letters again that waited for the month", .flag = &restore.should_replay},
        {.name = "json", .help = "answer with one JSON object", .flag = &restore.as_json},
        {.name = NULL},
    };
    const struct cli cli = {
        .program = "tallymill restore",
        .usage = "[OPTION ...] MONTH",
        .summary = "Brings an archived month back into analytics_events, in one transaction: killed anywhere, it was not. Its "
                   "archive stays, and the\n"
                   "month is not due again for archive.restored_keep. Needs a login with tallymill_admin.\n",
        .examples =
            "  tallymill restore --config settings.ini 2025-01\n  tallymill restore --config settings.ini 2025-01 --replay\n",
        .exit_codes = "0 it is there; 1 its archive is damaged, or a server is away: nothing was changed; 2 usage, settings or "
                      "schema;\n3 needs a person.",
        .options = options,
        .programs = FOR_OPERATOR,
    };
    return command_work(&cli, argc, argv, work, &restore);
}
