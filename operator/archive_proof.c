/* archive_proof.c - see archive_proof.h.
 *
 * A checksum says that the bytes are those that were written; not that they can become the month again. So the archive is loaded
 * into a table like the events' own, by the COPY that a restore uses, and the server's own hash of its values must be that of the
 * month; then it is copied out once more and must be the rows that the manifest says. The table is a temporary one in a transaction
 * that is rolled back: whatever ends this process, nothing is left behind, and nothing of it is in the WAL. Where the role may make
 * none, it is a plain one.
 *
 * Rejected: an unlogged one. Where the server crashes within a moment of the rollback, before the WAL says so on disk, Postgres 15
 * does not start again: it makes the init fork anew, and finds a file there ("could not create file ...: File exists", seen).
 */
#include "operator/archive_proof.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/copy_out.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/postgres_open.h"
#include "common/progress.h"
#include "common/settings.h"
#include "common/statement.h"
#include "operator/answer.h"
#include "operator/archive_parts.h"
#include "operator/copy_in.h"

#define CONNECT_US (10 * CLOCK_SECOND_US)
#define SHORT_US   (60 * CLOCK_SECOND_US)
#define SCAN_US    (3600 * CLOCK_SECOND_US)

enum { TABLE_BYTES = 40 };

static bool load_row(void *context, const char *row, size_t length, struct error *err)
{
    return copy_in_put(context, row, length, err);
}

static bool hash_row(void *context, char *row, size_t length, struct error *err)
{
    (void)err;
    row_hash_add(context, row, length);
    return true;
}

static char *copy_sql(const char *table, const struct archive_manifest *manifest, const char *direction, struct error *err)
{
    char *columns = archive_manifest_columns(manifest);
    const size_t size = (columns ? strlen(columns) : 0) + strlen(table) + 60;
    char *sql = columns ? malloc(size) : NULL;
    if (sql)
        snprintf(sql, size, "COPY %s (%s) %s (FORMAT csv)", table, columns, direction);
    else
        error_set(err, ERROR_RETRY, "out of memory");
    free(columns);
    return sql;
}

static bool load(PGconn *conn, const char *table, struct archive_store *store, const struct archive_manifest *manifest,
                 struct error *err)
{
    char what[40], *sql = copy_sql(table, manifest, "FROM STDIN", err);
    struct progress progress;
    snprintf(what, sizeof what, "rows of %s read back", manifest->month);
    progress_init(&progress, what, manifest->rows, clock_now_us());
    const bool is_loaded = sql && copy_in_begin(conn, sql, err) &&
                           archive_parts_read(store, manifest, load_row, conn, &progress, err) && copy_in_end(conn, err);
    progress_clear(&progress);
    free(sql);
    return is_loaded;
}

static bool compare_sums(PGconn *conn, const char *table, const struct archive_manifest *manifest, const char *server_hash,
                         struct error *err)
{
    PGresult *sums = postgres_query_params(conn, "SELECT rows, hash::text AS hash FROM tallymill.month_sums($1::regclass)", 1,
                                           &table, SCAN_US, err);
    if (!sums)
        return false;
    const bool is_equal = answer_int(sums, 0, "rows") == manifest->rows && strcmp(answer_text(sums, 0, "hash"), server_hash) == 0;
    PQclear(sums);
    return is_equal || error_set(err, ERROR_REJECT, "DAMAGED: the archive of %s, loaded again, is not the month", manifest->month);
}

bool archive_proof_rows(PGconn *conn, const char *table, const struct archive_manifest *manifest, struct error *err)
{
    struct row_hash hash = {0, 0};
    struct statement_wait wait = statement_wait_for(SCAN_US);
    char text[ROW_HASH_BYTES], *sql = copy_sql(table, manifest, "TO STDOUT", err);
    const bool is_read = sql && copy_out(conn, sql, &wait, hash_row, &hash, err);
    free(sql);
    return is_read && (strcmp(row_hash_text(text, &hash), manifest->row_hash) == 0 ||
                       error_set(err, ERROR_REJECT, "DAMAGED: the archive of %s, loaded and copied again, is not what was written",
                                 manifest->month));
}

/* In the transaction at hand; *table is its name. */
static bool make_table(PGconn *conn, char table[TABLE_BYTES], struct error *err)
{
    char sql[200];
    PGresult *asked =
        postgres_query(conn, "SELECT has_database_privilege(current_database(), 'TEMP') AS is_temporary", SHORT_US, err);
    const bool is_asked = asked != NULL, is_temporary = asked && answer_bool(asked, 0, "is_temporary");
    PQclear(asked);
    snprintf(table, TABLE_BYTES, "%s.archive_proof", is_temporary ? "pg_temp" : "tallymill");
    snprintf(sql, sizeof sql,
             "CREATE TABLE %s (LIKE public.analytics_events INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION)", table);
    return is_asked && postgres_exec(conn, sql, SHORT_US, err);
}

bool archive_proof(const struct settings *settings, struct archive_store *store, const struct archive_manifest *manifest,
                   const char *server_hash, struct error *err)
{
    PGconn *conn = postgres_open(settings_text(settings, "postgres.dsn"), "tallymill archive", CONNECT_US, err);
    char table[TABLE_BYTES];
    bool is_proven = conn &&
                     postgres_exec(conn, POSTGRES_BEGIN("READ COMMITTED") "; SET LOCAL ROLE tallymill_admin", SHORT_US, err) &&
                     make_table(conn, table, err) && load(conn, table, store, manifest, err);
    FAILPOINT("archive_loaded");
    is_proven =
        is_proven && compare_sums(conn, table, manifest, server_hash, err) && archive_proof_rows(conn, table, manifest, err);
    PQfinish(conn); /* what it began never was */
    return is_proven;
}
