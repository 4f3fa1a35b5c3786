/* export_row.h - a row of COPY as a line of CSV or NDJSON. Pure: no I/O. One thread. */
#ifndef TALLYMILL_OPERATOR_EXPORT_ROW_H
#define TALLYMILL_OPERATOR_EXPORT_ROW_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "operator/export_columns.h"

enum export_form { EXPORT_CSV, EXPORT_CSV_RAW, EXPORT_NDJSON };

struct export_row {
    const struct export_columns *columns; /* borrowed */
    enum export_form form;
    char *line; /* the line as it was made last, its end included; valid until the next call */
    size_t length, room;
    size_t guarded[EXPORT_COLUMNS_MAX]; /* the columns of it that got a ' in front */
    size_t guarded_count;
};

/* The caller's memory; export_row_reset() frees what it holds. */
void export_row_init(struct export_row *row, const struct export_columns *columns, enum export_form form);
void export_row_reset(struct export_row *row);

/* The line of CSV that names the columns; nothing for NDJSON. */
MUST_CHECK bool export_row_head(struct export_row *row, struct error *err);

/* Makes a line of one message of COPY in text format, which is changed in place. ERROR_FATAL: it has not as many fields as there
 * are columns; ERROR_RETRY: no memory. */
MUST_CHECK bool export_row_make(struct export_row *row, char *message, size_t length, struct error *err);

#endif
