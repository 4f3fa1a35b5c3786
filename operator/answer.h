/* answer.h - reading a query's result by the names of its columns, also as JSON.
 *
 * Plain PGresult in text format underneath. A column that the query does not have is a bug of ours (assert). Any thread.
 */
#ifndef TALLYMILL_OPERATOR_ANSWER_H
#define TALLYMILL_OPERATOR_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <libpq-fe.h>

/* "" for NULL; valid until PQclear. */
const char *answer_text(const PGresult *result, int row, const char *column);
/* 0 for NULL. */
int64_t answer_int(const PGresult *result, int row, const char *column);
bool answer_bool(const PGresult *result, int row, const char *column);
bool answer_is_null(const PGresult *result, int row, const char *column);

/* A row as an object, and all rows as an array: integers and booleans as such, NULL as null, times as RFC 3339 (the session must be
 * in UTC), everything else as text. NULL without memory; the caller owns it (json_decref). */
json_t *answer_object(const PGresult *result, int row);
json_t *answer_array(const PGresult *result);

/* Writes one JSON document to stdout, readable by people too. False when it could not be written. */
bool answer_print(const json_t *json);
/* The same on one line, for answers that follow each other. */
bool answer_print_line(const json_t *json);

#endif
