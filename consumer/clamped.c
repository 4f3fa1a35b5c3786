/* clamped.c - see clamped.h.
 *
 * The table's key is (id, created_at), and created_at of a clamped event is not its own: so the key refuses no repeat of it. It
 * leads with id, which makes the look-up an index probe a month. Two workers that have the same event at once are kept apart by
 * advisory locks on hashed ids, few enough for any max_locks_per_transaction; clamped events are rare, and batches without them
 * take no lock. A unique index on id was rejected: a partitioned table has none without its partition key.
 */
#include "consumer/clamped.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/oid.h"
#include "common/postgres_error.h"
#include "common/tuple.h"
#include "common/uuid.h"
#include "consumer/batch.h"

enum { LOCKS = 64, LOCK_CLASS = 1952541811 }; /* "tals" in ASCII; that of the aggregator's cycles, (1952541804, 1), is "tall" */

static const char look_up_sql[] =
    "SELECT k.number FROM pg_catalog.unnest($1) WITH ORDINALITY AS k (id, number) CROSS JOIN LATERAL "
    "(SELECT FROM public.analytics_events e WHERE e.id = k.id AND e.created_at >= $2 AND e.created_at < $3 LIMIT 1) AS found";

static int by_id_and_place(const void *left, const void *right, void *context)
{
    const struct batch *batch = context;
    const int a = *(const int *)left, b = *(const int *)right;
    const int order = memcmp(batch_row_id(batch, a), batch_row_id(batch, b), UUID_BYTES);
    return order != 0 ? order : (a > b) - (a < b);
}

void clamped_drop_repeats(struct batch *batch)
{
    bool has_repeats = false;
    int *rows = batch->clamped_count > 0 ? malloc((size_t)batch->row_count * sizeof *rows) : NULL;
    if (!rows) /* without memory the repeat is stored: a row too many, and none too few */
        return;
    for (int row = 0; row < batch->row_count; row++)
        rows[row] = row;
    qsort_r(rows, (size_t)batch->row_count, sizeof *rows, by_id_and_place, batch);
    for (int i = 1; i < batch->row_count; i++) {
        const bool is_repeat = batch->rows[rows[i]].is_clamped &&
                               memcmp(batch_row_id(batch, rows[i - 1]), batch_row_id(batch, rows[i]), UUID_BYTES) == 0;
        if (is_repeat)
            batch_repeat_row(batch, rows[i]);
        has_repeats |= is_repeat;
    }
    free(rows);
    if (has_repeats)
        batch_compact(batch);
}

char *clamped_lock_sql(const struct batch *batch, const char *begin_sql)
{
    bool is_taken[LOCKS] = {false};
    char *sql = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&sql, &length);
    if (!out)
        return NULL;
    for (int row = 0; row < batch->row_count; row++)
        if (batch->rows[row].is_clamped)
            is_taken[batch_row_id(batch, row)[UUID_BYTES - 1] % LOCKS] = true; /* random in every version that is in use */
    fprintf(out, "%s; SELECT pg_catalog.pg_advisory_xact_lock(%d, b) FROM pg_catalog.unnest('{", begin_sql, LOCK_CLASS);
    for (int lock = 0, count = 0; lock < LOCKS; lock++)
        if (is_taken[lock])
            fprintf(out, "%s%d", count++ ? "," : "", lock); /* all in one order: no deadlock */
    fputs("}'::integer[]) AS b", out);
    if (fclose(out) == 0)
        return sql;
    free(sql);
    return NULL;
}

static bool no_memory(const struct batch *batch, struct error *err)
{
    return error_set(err, ERROR_RETRY, "no memory for the look-up of %d clamped events", batch->clamped_count);
}

bool clamped_send_look_up(PGconn *conn, const struct batch *batch, struct error *err)
{
    static const Oid types[] = {OID_UUID_ARRAY, OID_TIMESTAMPTZ, OID_TIMESTAMPTZ};
    static const int formats[] = {1, 1, 1};
    const size_t length = ARRAY_HEAD_BYTES + (size_t)batch->clamped_count * (4 + UUID_BYTES);
    uint8_t *ids = malloc(length), oldest[8], newest[8];
    if (!ids)
        return no_memory(batch, err);
    uint8_t *at = put_array_head(ids, OID_UUID, batch->clamped_count);
    for (int row = 0; row < batch->row_count; row++)
        if (batch->rows[row].is_clamped)
            at = put_column(at, batch_row_id(batch, row), UUID_BYTES);
    /* All of the oldest month: an event that was stored at its own time is there when the window has moved past that time. */
    const int64_t month_us = clock_month_of(clock_day_of(batch->oldest_us)) * CLOCK_DAY_US;
    put_64(oldest, (uint64_t)(month_us - CLOCK_POSTGRES_EPOCH_US));
    put_64(newest, (uint64_t)(batch->newest_us - CLOCK_POSTGRES_EPOCH_US));
    const char *const values[] = {(const char *)ids, (const char *)oldest, (const char *)newest};
    const int lengths[] = {(int)length, sizeof oldest, sizeof newest};
    const bool sent = PQsendQueryParams(conn, look_up_sql, 3, types, values, lengths, formats, 1) == 1;
    free(ids);
    return sent || postgres_error(err, conn, NULL);
}

bool clamped_take_look_up(struct batch *batch, const PGresult *result, struct error *err)
{
    const int found = PQntuples(result);
    if (found == 0)
        return true;
    bool *is_stored = calloc((size_t)batch->clamped_count, sizeof *is_stored);
    if (!is_stored)
        return no_memory(batch, err);
    for (int i = 0; i < found; i++) {
        const uint32_t number = PQgetlength(result, i, 0) == 8 ? get_32((const uint8_t *)PQgetvalue(result, i, 0) + 4) : 0;
        if (number >= 1 && number <= (uint32_t)batch->clamped_count)
            is_stored[number - 1] = true;
    }
    for (int row = 0, number = 0; row < batch->row_count; row++)
        if (batch->rows[row].is_clamped && is_stored[number++])
            batch_repeat_row(batch, row);
    free(is_stored);
    batch_compact(batch);
    return true;
}
