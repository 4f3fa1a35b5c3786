/* archive_newer.c - see archive_newer.h.
 *
 * Of a generation that the books do not know only the manifest speaks; that it is whole is known from its bytes and hashes. What it
 * has less than the books' was erased, and stays entered as removed. What it has more cannot be: the books would count it twice.
 * Rejected: to take it without being asked. That a store has what the books do not know may also be a wrong archive.target.
 */
#include "operator/archive_newer.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/postgres.h"
#include "operator/answer.h"
#include "operator/archive_store.h"

#define SHORT_US (60 * CLOCK_SECOND_US)
#define SCAN_US  (3600 * CLOCK_SECOND_US)

extern const char archive_mark_days_sql[];

enum { GENERATIONS_MAX = 200 };

static const char take_sql[] =
    "WITH older AS (UPDATE tallymill.archives o SET state = 'superseded', parts = 0 WHERE o.month = $1::date AND o.generation < "
    "$2::integer AND o.state <> 'superseded') "
    "INSERT INTO tallymill.archives AS a (month, generation, target, state, rows, foreign_rows, row_hash, bytes, parts, "
    "manifest_sha256, proven_at, dropped_at) VALUES ($1::date, $2::integer, $3, 'dropped', $4::bigint, $5::bigint, $6, $7::bigint, "
    "$8::integer, $9, clock_timestamp(), clock_timestamp()) ON CONFLICT (month, generation) DO UPDATE SET target = "
    "excluded.target, state = "
    "excluded.state, rows = excluded.rows, foreign_rows = excluded.foreign_rows, row_hash = excluded.row_hash, bytes = "
    "excluded.bytes, parts = excluded.parts, manifest_sha256 = excluded.manifest_sha256, proven_at = excluded.proven_at, "
    "dropped_at = excluded.dropped_at, server_hash = NULL";

bool archive_newer_find(struct archive_manifest *manifest, struct archive_store *store, const struct month_name *month,
                        int generation, bool *is_there, struct error *err)
{
    *manifest = (struct archive_manifest){0};
    *is_there = false;
    for (int next = generation + 1; next <= generation + GENERATIONS_MAX; next++) {
        struct archive_manifest one;
        bool is_one;
        if (!archive_manifest_get(&one, store, month->text, next, &is_one, err)) {
            archive_manifest_reset(&one);
            return false;
        }
        if (is_one) {
            archive_manifest_reset(manifest);
            *manifest = one;
            *is_there = true;
        }
    }
    return true;
}

bool archive_newer_explain(struct archive_store *store, const struct month_name *month, int generation, struct error *err)
{
    struct archive_manifest newer;
    struct error ignored = {0};
    bool is_there = false;
    const bool is_asked = archive_newer_find(&newer, store, month, generation, &is_there, &ignored);
    if (is_asked && is_there)
        error_set(err, ERROR_REJECT,
                  "DAMAGED: generation %d of %s has no manifest in %.120s, which has generation %d: so the month was archived anew "
                  "after this database, a restored backup perhaps, was copied. tallymill restore %s --newer brings that one back",
                  generation, month->text, archive_store_target(store), newer.generation, month->text);
    else
        error_set(err, ERROR_REJECT,
                  "DAMAGED: generation %d of %s has no manifest in %.200s: bring its folder back from a copy of the store",
                  generation, month->text, archive_store_target(store));
    archive_manifest_reset(&newer);
    return false;
}

/* Rows that the books cannot know. */
static bool has_only_known(PGconn *conn, const char *month, const char *table, struct error *err)
{
    char sql[400];
    const char *const values[] = {month};
    snprintf(sql, sizeof sql,
             "SELECT count(*) AS rows FROM %s e WHERE e.batch_id > (SELECT coalesce(max(r.last_batch_id), 0) FROM "
             "tallymill.removals r WHERE r.month = $1::date AND r.reason = 'archived')",
             table);
    PGresult *later = postgres_query_params(conn, sql, 1, values, SCAN_US, err);
    const int64_t rows = later ? answer_int(later, 0, "rows") : 0;
    PQclear(later);
    return later && (rows == 0 || error_set(err, ERROR_REJECT,
                                            "%" PRId64 " rows of the newer archive were stored after this database had archived "
                                            "%.7s, and Kafka brings them again: bring the folder of the older generation back "
                                            "from a copy of the store",
                                            rows, month));
}

bool archive_newer_take(PGconn *conn, const struct archive_manifest *manifest, const char *table, const char *target,
                        struct error *err)
{
    struct archive_figures text;
    const char *const values[] = {text.month,         text.generation, target,     text.rows,       text.foreign_rows,
                                  manifest->row_hash, text.bytes,      text.parts, manifest->sha256};
    archive_manifest_figures(manifest, &text);
    const bool is_known = has_only_known(conn, text.month, table, err);
    PGresult *taken = is_known ? postgres_query_params(conn, take_sql, 9, values, SHORT_US, err) : NULL;
    PQclear(taken);
    return taken != NULL;
}

bool archive_newer_mark_days(PGconn *conn, const struct month_name *month, struct error *err)
{
    const char *const values[] = {month->first};
    PGresult *marked = postgres_query_params(conn, archive_mark_days_sql, 1, values, SHORT_US, err);
    PQclear(marked);
    return marked != NULL;
}
