/* answer.c - see answer.h.
 *
 * Columns are found by name: a number would silently read the neighbour once somebody adds a column to a .sql file.
 */
#include "operator/answer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/oid.h"

/* From pg_type.dat: they are part of the protocol and never change. */

static int column_of(const PGresult *result, const char *column)
{
    int number = PQfnumber(result, column);
    assert(number >= 0);
    return number;
}

const char *answer_text(const PGresult *result, int row, const char *column)
{
    return PQgetvalue(result, row, column_of(result, column));
}

int64_t answer_int(const PGresult *result, int row, const char *column)
{
    return strtoll(answer_text(result, row, column), NULL, 10);
}

bool answer_bool(const PGresult *result, int row, const char *column)
{
    return answer_text(result, row, column)[0] == 't';
}

bool answer_is_null(const PGresult *result, int row, const char *column)
{
    return PQgetisnull(result, row, column_of(result, column)) == 1;
}

/* "2026-11-24 11:51:24.123+00" to "2026-11-24T11:51:24.123Z". */
static json_t *time_json(const char *text)
{
    size_t length = strlen(text);
    char moved[64];
    if (length < 14 || length >= sizeof moved || strcmp(text + length - 3, "+00") != 0) {
        return json_string(text); /* infinity */
    }
    memcpy(moved, text, length - 3);
    moved[10] = 'T';
    moved[length - 3] = 'Z';
    return json_stringn(moved, length - 2);
}

static json_t *cell_json(const PGresult *result, int row, int column)
{
    const char *text = PQgetvalue(result, row, column);
    if (PQgetisnull(result, row, column)) {
        return json_null();
    }
    switch (PQftype(result, column)) {
    case OID_BOOL: return json_boolean(text[0] == 't');
    case OID_INT2:
    case OID_INT4:
    case OID_INT8: return json_integer(strtoll(text, NULL, 10));
    case OID_TIMESTAMPTZ: return time_json(text);
    default: return json_string(text);
    }
}

json_t *answer_object(const PGresult *result, int row)
{
    json_t *object = json_object();
    for (int column = 0; object && column < PQnfields(result); column++) {
        if (json_object_set_new(object, PQfname(result, column), cell_json(result, row, column)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

json_t *answer_array(const PGresult *result)
{
    json_t *array = json_array();
    for (int row = 0; array && row < PQntuples(result); row++) {
        if (json_array_append_new(array, answer_object(result, row)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

bool answer_print(const json_t *json)
{
    return json && json_dumpf(json, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF && fflush(stdout) == 0;
}

bool answer_print_line(const json_t *json)
{
    return json && json_dumpf(json, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF && fflush(stdout) == 0;
}
