/* csv.h - a record of CSV (RFC 4180) into a JSON object, by the names in the file's first record. No I/O; one thread. */
#ifndef TALLYMILL_CSV_H
#define TALLYMILL_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct csv;
struct error;

/* is_typed: a field without quotes that is exactly a JSON number, true or false becomes that; else every field is a text. NULL: no
 * memory. */
struct csv *csv_new(char delimiter, bool is_typed);
void csv_free(struct csv *csv);

/* The first record: the names, each once and none empty. False: ERROR_REJECT. */
bool csv_header(struct csv *csv, const char *record, size_t length, struct error *err);
bool csv_has_header(const struct csv *csv);

/* Any other: one field a name. A field that is empty and without quotes is absent, "" is an empty text. NULL: ERROR_REJECT. */
json_t *csv_object(struct csv *csv, const char *record, size_t length, struct error *err);

#endif
