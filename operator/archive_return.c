/* archive_return.c - see archive_return.h.
 *
 * The table is filled before it has indexes and attached last: so nobody waits, and whatever ends this process, nothing was. That
 * the rows are those that left is known twice: from the bytes (each part's SHA-256, the hash of all rows) and from the books, in
 * which the archive's hash stands too.
 */
#include "operator/archive_return.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/progress.h"
#include "common/settings.h"
#include "operator/archive_generation.h"
#include "operator/archive_newer.h"
#include "operator/archive_parts.h"
#include "operator/archive_proof.h"
#include "operator/archive_store.h"
#include "operator/copy_in.h"

extern const char archive_columns_sql[];

#define SHORT_US (60 * CLOCK_SECOND_US)
#define INDEX_US (12 * 3600 * CLOCK_SECOND_US)

static bool ask(PGconn *conn, const char *sql, int count, const char *const *values, struct error *err)
{
    PGresult *result = postgres_query_params(conn, sql, count, values, INDEX_US, err);
    PQclear(result);
    return result != NULL;
}

static bool load_row(void *context, const char *row, size_t length, struct error *err)
{
    return copy_in_put(context, row, length, err);
}

static bool load(struct archive_return *back, PGconn *conn, const char *table, struct error *err)
{
    char what[40], *columns = archive_manifest_columns(&back->manifest);
    const size_t size = columns ? strlen(columns) + strlen(table) + 80 : 0;
    char *sql = columns ? malloc(size) : NULL;
    struct progress progress;
    snprintf(what, sizeof what, "rows of %s loaded", back->manifest.month);
    progress_init(&progress, what, back->manifest.rows, clock_now_us());
    if (sql)
        snprintf(sql, size, "COPY %s (%s) FROM STDIN (FORMAT csv)", table, columns);
    const bool is_loaded = (sql || error_set(err, ERROR_RETRY, "out of memory")) && copy_in_begin(conn, sql, err) &&
                           archive_parts_read(back->store, &back->manifest, load_row, conn, &progress, err) &&
                           copy_in_end(conn, err);
    progress_clear(&progress);
    free(sql);
    free(columns);
    return is_loaded;
}

/* The values are those that left by the hash of their bytes, as long as they are read by the types that wrote them. Where a column
 * has another by now, what stands in the table is copied out again. */
static bool check_values(const struct archive_return *back, PGconn *conn, const char *table, struct error *err)
{
    bool has_more;
    PGresult *columns = postgres_query(conn, archive_columns_sql, SHORT_US, err);
    const bool is_asked = columns != NULL, is_fitting = columns && archive_manifest_fits(&back->manifest, columns, &has_more);
    PQclear(columns);
    if (!is_asked || is_fitting || archive_proof_rows(conn, table, &back->manifest, err))
        return is_asked;
    if (err->kind == ERROR_REJECT)
        error_set(err, ERROR_USAGE,
                  "a column of analytics_events has another type or collation than when it left, and its values would not come back "
                  "as they were: the manifest of generation %d names the types",
                  back->manifest.generation);
    return false;
}

/* The books name the archive, and the month. */
static bool attach(struct archive_return *back, PGconn *conn, const struct month_name *month, const char *table, struct error *err)
{
    char number[16];
    const char *const returned[] = {month->first, number, table};
    snprintf(number, sizeof number, "%d", back->manifest.generation);
    return (!back->is_newer || archive_newer_take(conn, &back->manifest, table, archive_store_target(back->store), err)) &&
           ask(conn, "SELECT tallymill.return_month($1::date, $2::integer, $3::regclass)", 3, returned, err) &&
           (!back->is_newer || archive_newer_mark_days(conn, month, err));
}

bool archive_return_month(struct archive_return *back, struct archive_books *books, const struct month_name *month,
                          bool (*note)(void *context, PGconn *conn, struct error *err), void *context, struct error *err)
{
    PGconn *conn = books->conn;
    char table[160];
    const char *const made[] = {month->first}, *const filled[] = {table};
    const int64_t begun_us = clock_now_us();
    PGresult *named =
        postgres_exec(conn, POSTGRES_BEGIN("READ COMMITTED") "; SET LOCAL ROLE tallymill_admin", SHORT_US, err)
            ? postgres_query_params(conn, "SELECT tallymill.make_month_table($1::date, false)", 1, made, SHORT_US, err)
            : NULL;
    snprintf(table, sizeof table, "%s", named ? PQgetvalue(named, 0, 0) : "");
    bool is_back = named && load(back, conn, table, err) && check_values(back, conn, table, err);
    PQclear(named);
    FAILPOINT("restore_loaded");
    is_back = is_back && ask(conn, "SELECT tallymill.index_month_table($1::regclass)", 1, filled, err);
    FAILPOINT("restore_indexed");
    is_back = is_back && attach(back, conn, month, table, err) &&
              (!note || note(context, conn, err)) && postgres_exec(conn, "COMMIT", SHORT_US, err);
    FAILPOINT("restore_committed");
    back->took_us = clock_now_us() - begun_us;
    return is_back || error_wrap(err, "%s stays archived", month->text);
}

bool archive_return_find(struct archive_return *back, const struct settings *settings, const struct month_name *month,
                         const struct archive_view *view, struct error *err)
{
    const char *set = settings_text(settings, "archive.target");
    struct error other = {0};
    back->store = archive_store_open(settings, view->target, err);
    if (back->store && archive_generation_manifest(back->store, month, view, &back->manifest, err))
        return true;
    if (set[0] == '\0' || strcmp(set, "none") == 0 || strcmp(set, view->target) == 0)
        return false;
    const bool has_any = back->manifest.sha256[0] != '\0'; /* then it is damaged, or another's */
    archive_return_close(back);
    back->store = archive_store_open(settings, set, &other);
    const bool is_found = back->store && archive_generation_manifest(back->store, month, view, &back->manifest, &other);
    if (is_found)
        *err = other;
    else if (other.kind == ERROR_REJECT && !has_any && err->kind != ERROR_RETRY) /* it counts what the place says where they are */
        *err = other;
    return is_found;
}

bool archive_return_find_newer(struct archive_return *back, const struct settings *settings, const struct month_name *month,
                               const struct archive_view *view, struct error *err)
{
    const char *set = settings_text(settings, "archive.target");
    const bool is_moved = set[0] != '\0' && strcmp(set, "none") != 0;
    bool is_there = false;
    back->store = archive_store_open(settings, is_moved ? set : view->target, err);
    if (!back->store || !archive_newer_find(&back->manifest, back->store, month, view->generation, &is_there, err))
        return false;
    back->is_newer = is_there;
    return is_there || archive_newer_explain(back->store, month, view->generation, err);
}

void archive_return_close(struct archive_return *back)
{
    archive_manifest_reset(&back->manifest);
    archive_store_close(back->store);
    *back = (struct archive_return){0};
}
