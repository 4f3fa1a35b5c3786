/* csv_rows.h - cuts a stream of CSV, in pieces of any size, into rows: a line end between quotes belongs to the value. One thread.
 */
#ifndef TALLYMILL_OPERATOR_CSV_ROWS_H
#define TALLYMILL_OPERATOR_CSV_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buffer.h"
#include "common/error.h"

/* Zeroed at first. */
struct csv_rows {
    struct buffer rest; /* the begin of a row whose end has not come */
    bool is_quoted;
};

/* `row` is valid for the call and ends with its '\n'. False with err set to stop. */
typedef bool csv_rows_take(void *context, const char *row, size_t length, struct error *err);

/* The rows that end in this piece. False: `take` said so, no memory, or a row of more than CSV_ROW_MAX bytes. */
enum { CSV_ROW_MAX = 1 << 30 };
MUST_CHECK bool csv_rows_feed(struct csv_rows *rows, const char *bytes, size_t length, csv_rows_take *take, void *context,
                              struct error *err);

/* Whether the stream ended with a row's end. */
bool csv_rows_is_whole(const struct csv_rows *rows);

void csv_rows_reset(struct csv_rows *rows);

#endif
