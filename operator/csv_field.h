/* csv_field.h - one value of a row of CSV, as COPY writes rows: quotes inside of quotes are doubled. Any thread. */
#ifndef TALLYMILL_OPERATOR_CSV_FIELD_H
#define TALLYMILL_OPERATOR_CSV_FIELD_H

#include <stdbool.h>
#include <stddef.h>

/* As it stands in the row, without the quotes around it; valid as long as the row. A NULL of Postgres is empty and not quoted. */
struct csv_field {
    const char *bytes;
    size_t length;
    bool is_quoted;
};

/* The field at `index`, from 0, of a row that ends with its '\n'. False: the row has no such field. */
bool csv_field_find(const char *row, size_t length, int index, struct csv_field *field);

/* Whether its value is this text. A NULL is none. */
bool csv_field_is(const struct csv_field *field, const char *text, size_t length);

#endif
