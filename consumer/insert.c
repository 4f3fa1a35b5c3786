/* insert.c - see insert.h. Rows go in sorted by key, so that two workers with crossing duplicates take the index in one order;
 * RETURNING is counted, not the command tag (Citus counts what it routed).
 */
#include "consumer/insert.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/oid.h"
#include "common/postgres_error.h"
#include "common/tuple.h"
#include "consumer/batch.h"

/* In the order of TUPLE_COLUMN_NAMES. */
static const Oid array_types[TUPLE_COLUMNS] = {OID_INT8_ARRAY, OID_UUID_ARRAY,  OID_TIMESTAMPTZ_ARRAY,
                                               OID_BOOL_ARRAY, OID_JSONB_ARRAY, OID_TEXT_ARRAY,
                                               OID_TEXT_ARRAY, OID_TEXT_ARRAY,  OID_INT8_ARRAY};
static const uint32_t element_types[TUPLE_COLUMNS] = {OID_INT8, OID_UUID, OID_TIMESTAMPTZ, OID_BOOL, OID_JSONB,
                                                      OID_TEXT, OID_TEXT, OID_TEXT,        OID_INT8};

static const char insert_sql[] = "INSERT INTO public.analytics_events (" TUPLE_COLUMN_NAMES ") "
                                 "SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS e (" TUPLE_COLUMN_NAMES ") "
                                 "ORDER BY id, created_at ON CONFLICT (id, created_at) DO NOTHING RETURNING id, created_at";

static bool no_memory(struct error *err, int rows)
{
    return error_set(err, ERROR_RETRY, "no memory for %d rows as parameters", rows);
}

static void measure(const struct batch *batch, int first, int end, size_t sizes[TUPLE_COLUMNS])
{
    for (int column = 0; column < TUPLE_COLUMNS; column++)
        sizes[column] = ARRAY_HEAD_BYTES;
    for (int row = first; row < end; row++) {
        const uint8_t *at = batch->bytes + batch->rows[row].start + TUPLE_FIRST_COLUMN;
        for (int column = 0; column < TUPLE_COLUMNS; column++) {
            sizes[column] += tuple_column_bytes(at);
            at += tuple_column_bytes(at);
        }
    }
}

static void fill(const struct batch *batch, int first, int end, uint8_t *ends[TUPLE_COLUMNS])
{
    for (int column = 0; column < TUPLE_COLUMNS; column++)
        ends[column] = put_array_head(ends[column], element_types[column], end - first);
    for (int row = first; row < end; row++) {
        const uint8_t *at = batch->bytes + batch->rows[row].start + TUPLE_FIRST_COLUMN;
        for (int column = 0; column < TUPLE_COLUMNS; column++) {
            const size_t bytes = tuple_column_bytes(at);
            memcpy(ends[column], at, bytes);
            ends[column] += bytes;
            at += bytes;
        }
    }
}

bool insert_send(PGconn *conn, const struct batch *batch, int first, int end, struct error *err)
{
    size_t sizes[TUPLE_COLUMNS], total = 0;
    measure(batch, first, end, sizes);
    for (int column = 0; column < TUPLE_COLUMNS; column++)
        total += sizes[column];
    uint8_t *bytes = malloc(total);
    if (!bytes)
        return no_memory(err, end - first);
    uint8_t *ends[TUPLE_COLUMNS];
    const char *values[TUPLE_COLUMNS];
    int lengths[TUPLE_COLUMNS], formats[TUPLE_COLUMNS];
    uint8_t *at = bytes;
    for (int column = 0; column < TUPLE_COLUMNS; column++) {
        ends[column] = at;
        values[column] = (const char *)at;
        lengths[column] = (int)sizes[column];
        formats[column] = 1;
        at += sizes[column];
    }
    fill(batch, first, end, ends);
    const bool sent = PQsendQueryParams(conn, insert_sql, TUPLE_COLUMNS, array_types, values, lengths, formats, 1) == 1;
    free(bytes);
    return sent || postgres_error(err, conn, NULL);
}

static int name_stranger(struct error *err)
{
    error_set(
        err, ERROR_FATAL,
        "Postgres returned rows that were not sent: a trigger changes id or created_at, or this is a bug; nothing was committed");
    return -1;
}

int insert_missing(const struct batch *batch, int first, int end, const PGresult *result, bool has_trigger, int *missing,
                   struct error *err)
{
    const int inserted = PQntuples(result), sent = end - first;
    int count = -1;
    if (inserted > sent)
        return name_stranger(err);
    bool *is_there = calloc((size_t)sent + 1, sizeof *is_there);
    if (!is_there) {
        no_memory(err, sent);
        return -1;
    }
    for (int i = 0; i < inserted; i++) {
        if (PQgetlength(result, i, 0) != 16 || PQgetlength(result, i, 1) != 8)
            goto out;
        const int row = batch_find_row(batch, (const uint8_t *)PQgetvalue(result, i, 0), (const uint8_t *)PQgetvalue(result, i, 1));
        if (row >= first && row < end)
            is_there[row - first] = true;
        else if (!has_trigger)
            goto out;
    }
    count = 0;
    for (int row = first; row < end; row++)
        if (!is_there[row - first])
            missing[count++] = row;
out:
    free(is_there);
    return count < 0 ? name_stranger(err) : count;
}

int insert_taken(int first, int end, const int *missing, int missing_count, int *taken)
{
    int count = 0;
    for (int row = first, next = 0; row < end; row++) {
        if (next < missing_count && missing[next] == row)
            next++;
        else
            taken[count++] = row;
    }
    return count;
}

static const char look_up_sql[] = "SELECT k.number FROM unnest($1, $2) WITH ORDINALITY AS k (id, created_at, number) "
                                  "CROSS JOIN LATERAL (SELECT FROM public.analytics_events e "
                                  "WHERE e.id = k.id AND e.created_at = k.created_at LIMIT 1) AS found";

/* By a function: tallymill_ingest may not read batch_id. */
static const char compare_sql[] = "SELECT k.number FROM tallymill.same_rows($1, $2, $3) AS k";

/* Asks about these rows by the first `columns` of id, created_at and batch id, as arrays. */
static bool send_keys(PGconn *conn, const char *sql, const struct batch *batch, const int *rows, int count, int columns,
                      struct error *err)
{
    enum { COLUMNS = 3 };
    static const Oid types[COLUMNS] = {OID_UUID_ARRAY, OID_TIMESTAMPTZ_ARRAY, OID_INT8_ARRAY};
    static const uint32_t elements[COLUMNS] = {OID_UUID, OID_TIMESTAMPTZ, OID_INT8};
    static const size_t places[COLUMNS] = {TUPLE_ID, TUPLE_CREATED_AT, TUPLE_BATCH_ID};
    static const uint32_t widths[COLUMNS] = {16, 8, 8};
    static const int formats[COLUMNS] = {1, 1, 1};
    const char *values[COLUMNS];
    int lengths[COLUMNS];
    size_t total = 0;
    for (int column = 0; column < columns; column++)
        total += ARRAY_HEAD_BYTES + (size_t)count * (4 + widths[column]);
    uint8_t *bytes = malloc(total), *at = bytes;
    if (!bytes)
        return no_memory(err, count);
    for (int column = 0; column < columns; column++) {
        const uint8_t *begin = at;
        at = put_array_head(at, elements[column], count);
        for (int i = 0; i < count; i++)
            at = put_column(at, batch->bytes + batch->rows[rows[i]].start + places[column], widths[column]);
        values[column] = (const char *)begin;
        lengths[column] = (int)(at - begin);
    }
    const bool is_sent = PQsendQueryParams(conn, sql, columns, types, values, lengths, formats, 1) == 1;
    free(bytes);
    return is_sent || postgres_error(err, conn, NULL);
}

bool insert_send_look_up(PGconn *conn, const struct batch *batch, const int *rows, int count, struct error *err)
{
    return send_keys(conn, look_up_sql, batch, rows, count, 2, err);
}

bool insert_send_compare(PGconn *conn, const struct batch *batch, const int *rows, int count, struct error *err)
{
    return send_keys(conn, compare_sql, batch, rows, count, 3, err);
}

int insert_take_look_up(const PGresult *result, int *rows, int count)
{
    for (int i = 0; i < PQntuples(result); i++) {
        const uint64_t number =
            PQgetlength(result, i, 0) == 8 ? (uint64_t)get_32((const uint8_t *)PQgetvalue(result, i, 0) + 4) : 0;
        if (number >= 1 && number <= (uint64_t)count)
            rows[number - 1] = -1;
    }
    int left = 0;
    for (int i = 0; i < count; i++)
        if (rows[i] >= 0)
            rows[left++] = rows[i];
    return left;
}

void insert_take_stored(struct batch *batch, const PGresult *result, int *rows)
{
    const int count = insert_take_look_up(result, rows, batch->row_count);
    for (int row = 0, next = 0; row < batch->row_count; row++) {
        if (next < count && rows[next] == row)
            next++;
        else
            batch_repeat_row(batch, row);
    }
    batch_compact(batch);
}
