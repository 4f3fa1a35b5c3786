/* csv.h - a record of CSV (RFC 4180) into an object, by the names in the file's first record. No I/O; one thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_CSV_H
#define TALLYMILL_PRODUCER_IMPORT_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

struct csv;
struct value;
struct value_pool;

/* is_typed: a field without quotes that is exactly a JSON number, or true or false (True, False), becomes that; else every field is
 * a text. NULL: no memory. */
struct csv *csv_new(char delimiter, bool is_typed);
void csv_free(struct csv *csv);

/* For the next file. */
void csv_set_delimiter(struct csv *csv, char delimiter);

/* The first record: the names, each once. A column without a name is dropped. False: ERROR_REJECT. */
MUST_CHECK bool csv_header(struct csv *csv, const char *record, size_t length, struct error *err);
bool csv_has_header(const struct csv *csv);
size_t csv_columns(const struct csv *csv);
/* The record is the header once more, byte for byte. */
bool csv_is_header(const struct csv *csv, const char *record, size_t length);
/* Where some name is a number or a time, the file may have no header, and this is its first record: puts what to do behind the text
 * of the error. NULL is fine. */
void csv_advise(const struct csv *csv, struct error *err);
/* NULL: the column has no name. Valid until the next header. */
const char *csv_name(const struct csv *csv, size_t column);

/* Any other: one field a name. A field that is empty, or \N as MySQL and Postgres write NULL, and without quotes is absent, "" is
 * an empty text. NULL: ERROR_REJECT. */
MUST_CHECK struct value *csv_object(struct csv *csv, struct value_pool *pool, const char *record, size_t length, struct error *err);

#endif
