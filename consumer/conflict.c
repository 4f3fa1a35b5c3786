/* conflict.c - see conflict.h. Rows go in sorted by key, so that two workers with crossing duplicates take the index in one order;
 * RETURNING is counted, not the command tag (Citus counts what it routed).
 */
#include "conflict.h"

#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "transcode.h"
#include "tuple.h"

enum {
    OID_BOOL_ARRAY = 1000,
    OID_TEXT_ARRAY = 1009,
    OID_INT8_ARRAY = 1016,
    OID_TIMESTAMPTZ_ARRAY = 1185,
    OID_UUID_ARRAY = 2951,
    OID_JSONB_ARRAY = 3807
};
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_TEXT = 25,
    OID_TIMESTAMPTZ = 1184,
    OID_UUID = 2950,
    OID_JSONB = 3802,
    ARRAY_HEADER_BYTES = 20
};

/* In the order of TRANSCODE_COLUMNS. */
static const Oid array_types[TUPLE_COLUMNS] = {OID_INT8_ARRAY, OID_UUID_ARRAY,  OID_TIMESTAMPTZ_ARRAY,
                                               OID_BOOL_ARRAY, OID_JSONB_ARRAY, OID_TEXT_ARRAY,
                                               OID_TEXT_ARRAY, OID_TEXT_ARRAY,  OID_INT8_ARRAY};
static const uint32_t element_types[TUPLE_COLUMNS] = {OID_INT8, OID_UUID, OID_TIMESTAMPTZ, OID_BOOL, OID_JSONB,
                                                      OID_TEXT, OID_TEXT, OID_TEXT,        OID_INT8};

static const char insert_sql[] = "INSERT INTO public.analytics_events (" TRANSCODE_COLUMNS ") "
                                 "SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS e (" TRANSCODE_COLUMNS ") "
                                 "ORDER BY id, created_at ON CONFLICT (id, created_at) DO NOTHING RETURNING id, created_at";

/* Bytes of one column of a tuple with its length word. */
static size_t column_bytes(const uint8_t *column)
{
    const uint32_t length = get_32(column);
    return 4 + (length == UINT32_MAX ? 0 : length);
}

static void measure(const struct batch *batch, int first, int end, size_t sizes[TUPLE_COLUMNS])
{
    for (int column = 0; column < TUPLE_COLUMNS; column++)
        sizes[column] = ARRAY_HEADER_BYTES;
    for (int row = first; row < end; row++) {
        const uint8_t *at = batch->bytes + batch->rows[row].start + 2;
        for (int column = 0; column < TUPLE_COLUMNS; column++) {
            sizes[column] += column_bytes(at);
            at += column_bytes(at);
        }
    }
}

static void fill(const struct batch *batch, int first, int end, uint8_t *ends[TUPLE_COLUMNS])
{
    for (int column = 0; column < TUPLE_COLUMNS; column++) {
        uint8_t *at = put_32(ends[column], 1); /* dimensions */
        at = put_32(at, 1);                    /* may hold NULLs */
        at = put_32(at, element_types[column]);
        at = put_32(at, (uint32_t)(end - first));
        ends[column] = put_32(at, 1); /* first index */
    }
    for (int row = first; row < end; row++) {
        const uint8_t *at = batch->bytes + batch->rows[row].start + 2;
        for (int column = 0; column < TUPLE_COLUMNS; column++) {
            const size_t bytes = column_bytes(at);
            memcpy(ends[column], at, bytes);
            ends[column] += bytes;
            at += bytes;
        }
    }
}

bool conflict_send_insert(PGconn *conn, const struct batch *batch, int first, int end)
{
    size_t sizes[TUPLE_COLUMNS], total = 0;
    measure(batch, first, end, sizes);
    for (int column = 0; column < TUPLE_COLUMNS; column++)
        total += sizes[column];
    uint8_t *bytes = malloc(total);
    if (!bytes)
        return false;
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
    return sent;
}

bool conflict_take_result(struct batch *batch, const PGresult *result)
{
    const int inserted = PQntuples(result);
    if (inserted > batch->row_count)
        return false;
    for (int i = 0; i < batch->range_count; i++)
        batch->ranges[i].conflicts = batch->ranges[i].stored;
    for (int i = 0; i < inserted; i++) {
        if (PQgetlength(result, i, 0) != 16 || PQgetlength(result, i, 1) != 8)
            return false;
        const int row = batch_find_row(batch, (const uint8_t *)PQgetvalue(result, i, 0), (const uint8_t *)PQgetvalue(result, i, 1));
        if (row < 0)
            return false;
        batch->ranges[batch->rows[row].range].conflicts--;
    }
    return true;
}
