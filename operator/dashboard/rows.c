/* rows.c - see rows.h.
 *
 * A numeric that is a whole number goes out as an integer, so that sums stay exact up to 2^63; one with a fraction as the nearest
 * double, which a browser would make of it anyway. CSV has every digit.
 */
#include "operator/dashboard/rows.h"

#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/csv.h"
#include "common/oid.h"

static bool is_number(Oid type)
{
    return type == OID_INT8 || type == OID_INT2 || type == OID_INT4 || type == OID_FLOAT4 || type == OID_FLOAT8 ||
           type == OID_NUMERIC;
}

static json_t *number_json(const char *text)
{
    char *end;
    errno = 0;
    const long long whole = strtoll(text, &end, 10);
    if (errno == 0 && *end == '\0')
        return json_integer(whole);
    json_t *real = json_real(strtod(text, NULL));
    return real ? real : json_string(text); /* NaN, infinity */
}

static json_t *cell_json(const PGresult *result, int row, int column)
{
    const char *text = PQgetvalue(result, row, column);
    const Oid type = PQftype(result, column);
    if (PQgetisnull(result, row, column))
        return json_null();
    if (is_number(type))
        return number_json(text);
    return type == OID_BOOL ? json_boolean(text[0] == 't') : json_string(text);
}

json_t *rows_columns(const PGresult *result)
{
    json_t *names = json_array();
    for (int column = 0; column < PQnfields(result); column++)
        json_array_append_new(names, json_string(PQfname(result, column)));
    return names;
}

json_t *rows_json(const PGresult *result)
{
    json_t *rows = json_array();
    for (int row = 0; row < PQntuples(result); row++) {
        json_t *cells = json_array();
        for (int column = 0; column < PQnfields(result); column++)
            json_array_append_new(cells, cell_json(result, row, column));
        json_array_append_new(rows, cells);
    }
    return rows;
}

json_t *rows_object(const PGresult *result, int row)
{
    json_t *object = json_object();
    for (int column = 0; column < PQnfields(result); column++)
        json_object_set_new(object, PQfname(result, column), cell_json(result, row, column));
    return object;
}

json_t *rows_objects(const PGresult *result)
{
    json_t *rows = json_array();
    for (int row = 0; row < PQntuples(result); row++)
        json_array_append_new(rows, rows_object(result, row));
    return rows;
}

/* ---- CSV ---- */

static bool put_cell(FILE *out, const char *text, bool is_guarded)
{
    const size_t length = strlen(text);
    char small[512], *cell = csv_room(length) <= sizeof small ? small : malloc(csv_room(length));
    if (!cell)
        return false;
    const char *end = is_guarded ? csv_put_guarded(cell, text, length) : csv_put(cell, text, length);
    fwrite(cell, 1, (size_t)(end - cell), out);
    if (cell != small)
        free(cell);
    return true;
}

bool rows_csv_head(const PGresult *result, FILE *out)
{
    for (int column = 0; column < PQnfields(result); column++) {
        if (column > 0)
            putc(',', out);
        if (!put_cell(out, PQfname(result, column), true))
            return false;
    }
    fputs("\r\n", out);
    return true;
}

bool rows_csv(const PGresult *result, bool is_raw, FILE *out)
{
    for (int row = 0; row < PQntuples(result); row++) {
        for (int column = 0; column < PQnfields(result); column++) {
            if (column > 0)
                putc(',', out);
            if (!PQgetisnull(result, row, column) &&
                !put_cell(out, PQgetvalue(result, row, column), !is_raw && !is_number(PQftype(result, column))))
                return false;
        }
        fputs("\r\n", out);
    }
    return true;
}
