/* rows.h - a query's result as JSON rows, numbers as numbers, and as CSV. Any thread. */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_ROWS_H
#define TALLYMILL_OPERATOR_DASHBOARD_ROWS_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>
#include <libpq-fe.h>

/* The names of the columns, and each row as an array in their order. NULL without memory. Owned by the caller. */
json_t *rows_columns(const PGresult *result);
json_t *rows_json(const PGresult *result);

/* One row of named members, and all of them; [] where there is none. */
json_t *rows_object(const PGresult *result, int row);
json_t *rows_objects(const PGresult *result);

/* RFC 4180, UTF-8. Texts that a spreadsheet would take for a formula get a ' in front unless raw. False: out of memory. */
bool rows_csv_head(const PGresult *result, FILE *out);
bool rows_csv(const PGresult *result, bool is_raw, FILE *out);

#endif
