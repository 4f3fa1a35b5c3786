/* rollups.c - see rollups.h.
 *
 * The query is first given to Postgres to be parsed as it stands in the file, so that an error has the file's own line; then looked
 * through for what no two runs would agree on; then tallymill.define_rollup() makes or widens the table. The lock of migrate makes
 * two at once take turns. A rollup without a file goes on: the directory is more likely another one than last time than an operator
 * wants it gone, and he can say so by its name. Rejected: building the files into the program, as the migrations are; an operator's
 * own query must not need a compiler.
 */
#include "operator/rollups.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/array_text.h"
#include "common/clock.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/settings.h"
#include "common/statement.h"
#include "operator/rollup_file.h"

extern const char rollup_faults_sql[];

#define SHORT_US (30 * CLOCK_SECOND_US)
#define LOCK_US  (120 * CLOCK_SECOND_US)

enum { MAX_FILE_BYTES = 1 << 20, PATH_BYTES = 2048 };

static const char before_query[] = "SELECT * FROM (\n", after_query[] = "\n) AS q";

/* Sets where the files are: rollups.dir, or what was installed beside the program. */
static void find_directory(const struct settings *settings, struct rollups_report *report)
{
    const char *directory = settings_text(settings, "rollups.dir");
    char program[ROLLUPS_DIRECTORY_BYTES / 2] = "";
    if (directory[0] == '\0' && readlink("/proc/self/exe", program, sizeof program - 1) > 0)
        snprintf(report->directory, sizeof report->directory, "%s/" TALLYMILL_DATA_FROM_BIN "/rollups", dirname(program));
    else
        snprintf(report->directory, sizeof report->directory, "%s", directory);
    char real[PATH_MAX];
    if (realpath(report->directory, real) && strlen(real) < sizeof report->directory)
        snprintf(report->directory, sizeof report->directory, "%s", real);
}

void rollups_report_free(struct rollups_report *report)
{
    json_decref(report->refused);
    json_decref(report->lines);
    report->refused = report->lines = NULL;
}

static void refuse(struct rollups_report *report, const char *path, int line, struct error *err)
{
    char place[PATH_BYTES + 16], text[PATH_BYTES + ERROR_TEXT_BYTES + 32];
    snprintf(place, sizeof place, line > 0 ? "%s:%d" : "%s", path, line);
    snprintf(text, sizeof text, "%s: %s", place, err->text);
    json_array_append_new(report->refused, json_string(text));
    error_clear(err);
}

/* The file's bytes and a NUL, or NULL: it cannot be read, is too large, or holds a NUL. */
static char *read_file(const char *path, struct error *err)
{
    FILE *in = fopen(path, "rb");
    char *text = in ? malloc(MAX_FILE_BYTES + 1) : NULL;
    if (!text) {
        error_set(err, ERROR_USAGE, in ? "no memory to read it" : "it cannot be read: %s", strerror(errno));
        if (in)
            fclose(in);
        return NULL;
    }
    size_t length = fread(text, 1, MAX_FILE_BYTES + 1, in);
    bool is_fine = !ferror(in) && length <= MAX_FILE_BYTES;
    fclose(in);
    text[is_fine ? length : 0] = '\0';
    if (is_fine && strlen(text) == length)
        return text;
    error_set(err, ERROR_USAGE, is_fine ? "it holds a NUL byte" : "it cannot be read, or is larger than 1 MiB");
    free(text);
    return NULL;
}

/* Has the query parsed. *line: where the error is, 0 when Postgres does not say. */
static bool parse_query(PGconn *conn, const char *query, int *line, struct error *err)
{
    size_t length = strlen(query) + sizeof before_query + sizeof after_query;
    char *sql = malloc(length);
    *line = 0;
    if (!sql)
        return error_set(err, ERROR_RETRY, "out of memory");
    snprintf(sql, length, "%s%s%s", before_query, query, after_query);
    struct statement_wait wait = statement_wait_for(SHORT_US);
    wait.sql = query;
    bool is_waited =
        PQsendPrepare(conn, "", sql, 0, NULL) == 1 ? statement_flush(conn, &wait, err) : postgres_error(err, conn, NULL);
    PGresult *result = NULL;
    while (is_waited && (is_waited = statement_next(conn, &wait, &result, err)) &&
           result) { /* ends: at the deadline, or after the last result */
        if (PQresultStatus(result) != PGRES_COMMAND_OK) {
            const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
            if (position) /* the first line is before_query */
                *line = rollup_file_line_of(sql, strtol(position, NULL, 10)) - 1;
            postgres_error(err, conn, result);
        }
        PQclear(result);
    }
    free(sql);
    return err->kind == ERROR_NONE;
}

/* Whether the query is one that can be compared: the same rows whenever it runs, of types that have an equality. *line as above. */
static bool check_query(PGconn *conn, const char *query, int *line, struct error *err)
{
    static const char create[] = "CREATE VIEW tallymill.rollup_query AS ";
    const size_t length = sizeof create + sizeof before_query + strlen(query) + sizeof after_query;
    char *sql = malloc(length);
    if (!sql)
        return error_set(err, ERROR_RETRY, "out of memory");
    snprintf(sql, length, "%s%s%s%s", create, before_query, query, after_query);
    bool is_good = postgres_exec(conn, sql, SHORT_US, err);
    free(sql);
    if (!is_good)
        return false;
    const char *const values[] = {query};
    PGresult *set = postgres_query_params(conn, "SELECT set_config('tallymill.query', $1, true)", 1, values, SHORT_US, err);
    PGresult *faults = set ? postgres_query(conn, rollup_faults_sql, SHORT_US, err) : NULL;
    PQclear(set);
    if (faults && PQntuples(faults) > 0) {
        *line = rollup_file_line_with(query, PQgetvalue(faults, 0, 0));
        error_set(err, ERROR_USAGE, "%s", PQgetvalue(faults, 0, 1));
        postgres_mark(err, POSTGRES_CONTRACT);
    }
    PQclear(faults);
    return err->kind == ERROR_NONE && postgres_exec(conn, "DROP VIEW tallymill.rollup_query", SHORT_US, err);
}

bool rollups_try_query(PGconn *conn, const char *query, int *line, struct error *err)
{
    return parse_query(conn, query, line, err) && check_query(conn, query, line, err);
}

static bool define(PGconn *conn, const struct rollup_file *file, struct rollups_report *report, struct error *err)
{
    char cadence[32];
    snprintf(cadence, sizeof cadence, "%" PRId64 " microseconds", file->cadence_us);
    const char *const values[] = {
        file->name, file->target, file->keys, cadence, file->looks_back ? "t" : "f", file->query, file->is_range ? "t" : "f"};
    PGresult *result = postgres_query_params(
        conn, "SELECT tallymill.define_rollup($1, $2, $3::text[], $4::interval, $5::boolean, $6, $7::boolean)", 7, values, SHORT_US,
        err);
    if (!result)
        return false;
    const char *outcome = PQgetvalue(result, 0, 0);
    report->made += strcmp(outcome, "made") == 0;
    report->changed += strcmp(outcome, "changed") == 0;
    PQclear(result);
    return true;
}

bool rollups_begin(PGconn *conn, struct error *err)
{
    return postgres_exec(
        conn,
        POSTGRES_BEGIN(
            "READ COMMITTED") "; SET LOCAL client_min_messages = warning; SET LOCAL jit = off; SET LOCAL lock_timeout = 0; SELECT "
                              "pg_advisory_xact_lock(hashtextextended('tallymill.migrate', 0)); SET LOCAL lock_timeout = '5s'; "
                              "SET LOCAL ROLE tallymill_admin; SET LOCAL search_path = pg_catalog, public",
        LOCK_US, err);
}

/* Tries the query with Postgres's own names alone. Where that will do, nothing that anybody plants in `public` is taken for what it
 * calls, and the rest of the transaction goes on like that. */
static bool choose_names(PGconn *conn, const char *query, bool *is_closed, struct error *err)
{
    int ignored = 0;
    struct error refused = {.kind = ERROR_NONE};
    if (!postgres_exec(conn, "SAVEPOINT names; SET LOCAL search_path = pg_catalog, pg_temp", SHORT_US, err))
        return false;
    *is_closed = parse_query(conn, query, &ignored, &refused);
    return postgres_exec(conn, *is_closed ? "RELEASE SAVEPOINT names" : "ROLLBACK TO SAVEPOINT names", SHORT_US, err);
}

static bool note_names(PGconn *conn, const struct rollup_file *file, bool is_closed, struct error *err)
{
    const char *const values[] = {file->name, is_closed ? "pg_catalog, pg_temp" : "pg_catalog, public, pg_temp"};
    PGresult *result = postgres_query_params(conn, "UPDATE tallymill.rollups SET names = $2 WHERE rollup = $1 AND names <> $2", 2,
                                             values, SHORT_US, err);
    PQclear(result);
    return result != NULL;
}

/* That table tallymill.rollups says what was written to it, as `sql` (with these parameters) answers with rollups that are not so.
 */
static bool is_written(PGconn *conn, const char *sql, int count, const char *const *values, struct error *err)
{
    PGresult *wrong = postgres_query_params(conn, sql, count, values, SHORT_US, err);
    if (wrong && PQntuples(wrong) > 0)
        error_ignore(postgres_exec(conn, "SELECT tallymill.kept_out('tallymill.rollups', 1, 0)", SHORT_US, err)); /* it raises */
    PQclear(wrong);
    return wrong && err->kind == ERROR_NONE;
}

static bool is_defined(PGconn *conn, const struct rollup_file *file, bool is_closed, struct error *err)
{
    char cadence[32];
    snprintf(cadence, sizeof cadence, "%" PRId64 " microseconds", file->cadence_us);
    const char *const values[] = {file->name, cadence, file->looks_back ? "t" : "f", file->query,
                                  is_closed ? "pg_catalog, pg_temp" : "pg_catalog, public, pg_temp"};
    return is_written(conn,
                      "SELECT WHERE NOT EXISTS (SELECT FROM tallymill.rollups r WHERE r.rollup = $1 AND r.cadence = $2::interval "
                      "AND r.looks_back = $3::boolean "
                      "AND r.query = $4 AND r.names = $5 AND r.retired_at IS NULL)",
                      5, values, err);
}

/* One file, one transaction. False: the server, not the file. */
static bool define_file(PGconn *conn, const char *path, const struct rollup_file *file, struct rollups_report *report,
                        struct error *err)
{
    int line = 0;
    bool is_closed = false;
    if (rollups_begin(conn, err) && choose_names(conn, file->query, &is_closed, err) &&
        rollups_try_query(conn, file->query, &line, err) && define(conn, file, report, err) &&
        note_names(conn, file, is_closed, err) && is_defined(conn, file, is_closed, err))
        return postgres_exec(conn, "COMMIT", SHORT_US, err);
    if (PQstatus(conn) != CONNECTION_OK || !postgres_is(err, POSTGRES_REFUSED) || err->kind == ERROR_RETRY)
        return error_wrap(err, "rollup %s", file->name);
    refuse(report, path, line > 0 ? line : file->key_line, err);
    return postgres_exec(conn, "ROLLBACK", SHORT_US, err);
}

static void add_line(struct rollups_report *report, const char *name, const char *what)
{
    char text[ROLLUPS_DIRECTORY_BYTES + 256];
    snprintf(text, sizeof text, "rollup %s %s", name, what);
    json_array_append_new(report->lines, json_string(text));
}

/* What a file would change. A database of before the rollups has none. */
static bool compare_file(PGconn *conn, const struct rollup_file *file, struct rollups_report *report, struct error *err)
{
    char cadence[32];
    snprintf(cadence, sizeof cadence, "%" PRId64 " microseconds", file->cadence_us);
    const char *const values[] = {file->name, cadence, file->looks_back ? "t" : "f", file->query};
    PGresult *known = postgres_query(conn, "SELECT to_regclass('tallymill.rollups') IS NOT NULL", SHORT_US, err);
    if (known && PQgetvalue(known, 0, 0)[0] == 't') {
        PQclear(known);
        known = postgres_query_params(
            conn,
            "SELECT r.query = $4 AND r.looks_back = $3::boolean AND r.cadence = $2::interval AND r.retired_at IS NULL "
            "FROM tallymill.rollups r WHERE r.rollup = $1",
            4, values, SHORT_US, err);
        if (known && PQntuples(known) == 0)
            add_line(report, file->name, "would be made");
        else if (known && PQgetvalue(known, 0, 0)[0] != 't')
            add_line(report, file->name, "would be changed");
    } else if (known) {
        add_line(report, file->name, "would be made");
    }
    PQclear(known);
    return known != NULL;
}

static const char without_file_sql[] = "SELECT r.rollup, r.rollup = ANY ($2::text[]) FROM tallymill.rollups r "
                                       "WHERE r.retired_at IS NULL AND r.rollup <> ALL ($1::text[]) ORDER BY 1";
static const char wrong_sql[] = "SELECT n.name, n.name = ANY ($1::text[]) FROM unnest($2::text[]) AS n (name) "
                                "WHERE n.name = ANY ($1::text[]) OR NOT EXISTS (SELECT FROM tallymill.rollups r WHERE r.rollup = "
                                "n.name AND r.retired_at IS NULL)";

/* Those that have no file go on, unless they are to be retired; who is to be and is not there, or has a file, is refused. names:
 * those with a file. */
static bool look_at_the_rest(PGconn *conn, const char *names, const char *retired, bool is_check, struct rollups_report *report,
                             struct error *err)
{
    const char *const values[] = {names, retired};
    PGresult *known = postgres_query(conn, "SELECT to_regclass('tallymill.rollups') IS NOT NULL", SHORT_US, err);
    if (!known || PQgetvalue(known, 0, 0)[0] != 't') {
        PQclear(known);
        return known != NULL;
    }
    PQclear(known);
    PGresult *wrong = postgres_query_params(conn, wrong_sql, 2, values, SHORT_US, err);
    if (wrong && PQntuples(wrong) > 0)
        error_set(err, ERROR_USAGE, "--retire %s: %s", PQgetvalue(wrong, 0, 0),
                  PQgetvalue(wrong, 0, 1)[0] == 't'
                      ? "it has a file in rollups.dir, which would define it again: take the file away first"
                      : "there is no such rollup, or it was retired before");
    const bool is_right = wrong && PQntuples(wrong) == 0;
    PQclear(wrong);
    PGresult *rest = is_right ? postgres_query_params(conn, without_file_sql, 2, values, SHORT_US, err) : NULL;
    for (int row = 0; rest && row < PQntuples(rest); row++) {
        const bool is_ending = PQgetvalue(rest, row, 1)[0] == 't';
        if (is_ending && is_check)
            add_line(report, PQgetvalue(rest, row, 0), "would be retired");
        else if (!is_ending)
            add_line(report, PQgetvalue(rest, row, 0),
                     "has no file in rollups.dir and goes on as it was defined; to end it: tallymill migrate --retire ROLLUP");
    }
    PQclear(rest);
    return rest != NULL;
}

static bool retire(PGconn *conn, const char *retired, struct rollups_report *report, struct error *err)
{
    const char *const values[] = {retired};
    if (!rollups_begin(conn, err))
        return false;
    PGresult *result = postgres_query_params(
        conn, "UPDATE tallymill.rollups SET retired_at = clock_timestamp() WHERE retired_at IS NULL AND rollup = ANY ($1::text[])",
        1, values, SHORT_US, err);
    report->retired = result ? (int)strtol(PQcmdTuples(result), NULL, 10) : 0;
    PQclear(result);
    return result &&
           is_written(conn, "SELECT FROM tallymill.rollups r WHERE r.rollup = ANY ($1::text[]) AND r.retired_at IS NULL", 1, values,
                      err) &&
           postgres_exec(conn, "COMMIT", SHORT_US, err);
}

static int is_sql(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 4 && strcmp(entry->d_name + length - 4, ".sql") == 0;
}

/* Everything with each file; is_check: changes nothing. *names: the rollups that have a file. */
static bool take_files(PGconn *conn, bool is_check, struct dirent **entries, int count, struct rollups_report *report,
                       struct array_text *names, struct error *err)
{
    array_text_begin(names);
    bool succeeded = true;
    for (int i = 0; i < count && succeeded; i++) {
        struct rollup_file file = {.query = NULL};
        char path[PATH_BYTES];
        int line = 0;
        snprintf(path, sizeof path, "%s/%s", report->directory, entries[i]->d_name);
        char *text = read_file(path, err);
        if (!text || !rollup_file_parse(entries[i]->d_name, text, &file, &line, err))
            refuse(report, path, line, err);
        else
            succeeded = is_check ? compare_file(conn, &file, report, err) : define_file(conn, path, &file, report, err);
        if (file.name[0] != '\0')
            array_text_add(names, file.name, strlen(file.name));
        free(text);
    }
    return succeeded && (array_text_end(names) || error_set(err, ERROR_RETRY, "out of memory"));
}

static bool take_directory(PGconn *conn, bool is_check, const struct settings *settings, const char *retired,
                           struct rollups_report *report, struct error *err)
{
    struct dirent **entries = NULL;
    find_directory(settings, report);
    report->refused = json_array();
    report->lines = json_array();
    int count = scandir(report->directory, &entries, is_sql, alphasort);
    if (count < 0) {
        report->is_missing = settings_text(settings, "rollups.dir")[0] == '\0';
        return report->is_missing
                   ? look_at_the_rest(conn, "{}", retired, is_check, report, err) &&
                         (is_check || retire(conn, retired, report, err))
                   : error_set(err, ERROR_USAGE, "rollups.dir: %s cannot be read: %s", report->directory, strerror(errno));
    }
    report->files = count;
    struct array_text names = {0};
    bool succeeded = report->refused && report->lines;
    if (!succeeded)
        error_set(err, ERROR_RETRY, "out of memory");
    succeeded = succeeded && take_files(conn, is_check, entries, count, report, &names, err) &&
                look_at_the_rest(conn, names.bytes, retired, is_check, report, err) &&
                (is_check || retire(conn, retired, report, err));
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    array_text_free(&names);
    return succeeded;
}

bool rollups_tables(const struct settings *settings, struct array_text *tables, struct error *err)
{
    struct dirent **entries = NULL;
    struct rollups_report report;
    find_directory(settings, &report);
    const int count = scandir(report.directory, &entries, is_sql, alphasort);
    array_text_begin(tables);
    for (int i = 0; i < count; i++) {
        struct rollup_file file = {.query = NULL};
        struct error refused = {.kind = ERROR_NONE};
        char path[PATH_BYTES];
        int line = 0;
        snprintf(path, sizeof path, "%s/%s", report.directory, entries[i]->d_name);
        char *text = read_file(path, &refused);
        if (text && rollup_file_parse(entries[i]->d_name, text, &file, &line, &refused))
            array_text_add(tables, file.target, strlen(file.target));
        free(text);
        free(entries[i]);
    }
    free(entries);
    return array_text_end(tables) || error_set(err, ERROR_RETRY, "out of memory");
}

/* The table is too small for autovacuum ever to look at it, and without a look the planner takes one rollup for all that are not
 * retired: every question about periods then ran by nested loops, the list of `verify` 13 s at 257 months, where it takes 0.3. */
static bool count_rollups(PGconn *conn, struct error *err)
{
    return rollups_begin(conn, err) && postgres_exec(conn, "ANALYZE tallymill.rollups", SHORT_US, err) &&
           postgres_exec(conn, "COMMIT", SHORT_US, err);
}

bool rollups_define(PGconn *conn, const struct settings *settings, const char *retired, struct rollups_report *report,
                    struct error *err)
{
    return take_directory(conn, false, settings, retired, report, err) && count_rollups(conn, err);
}

bool rollups_check(PGconn *conn, const struct settings *settings, const char *retired, struct rollups_report *report,
                   struct error *err)
{
    return take_directory(conn, true, settings, retired, report, err);
}
