/* export_output.h - one COPY of an export written to one place, row by row. One thread. */
#ifndef TALLYMILL_OPERATOR_EXPORT_OUTPUT_H
#define TALLYMILL_OPERATOR_EXPORT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/progress.h"
#include "operator/export_columns.h"
#include "operator/export_file.h"
#include "operator/export_row.h"
#include "operator/row_hash.h"

struct snapshot;

enum { EXPORT_SHOWN_MAX = 20 };

/* How far the export is; outputs that are over are in rows_before. */
struct export_progress {
    struct progress bar;
    int64_t rows_before;
};

/* How all outputs of an export are written; borrowed. */
struct export_style {
    const struct export_columns *columns;
    enum export_form form;
    enum export_packing packing;
    struct export_progress *progress;
};

/* A cell that got a ' in front; rows are counted as a spreadsheet does, the header is 1. */
struct export_guarded {
    int64_t row;
    size_t column;
};

/* What was written. row_hash: of the rows as Postgres sent them (row_hash.h). */
struct export_written {
    int64_t rows, bytes, guarded;
    char row_hash[ROW_HASH_BYTES], file_hash[EXPORT_HASH_BYTES];
    struct export_guarded shown[EXPORT_SHOWN_MAX]; /* the first of the guarded */
    size_t shown_count;
};

/* Runs `sql` (export_source_copy) and writes what comes to `path` (NULL: stdout). Which cells were guarded, where any were, is in
 * PATH.guarded.csv. */
MUST_CHECK bool export_output_write(struct snapshot *snapshot, const char *sql, const char *path, const struct export_style *style,
                                    struct export_written *written, struct error *err);

/* Reads the rows and writes nothing: rows and row_hash alone. */
MUST_CHECK bool export_output_read(struct snapshot *snapshot, const char *sql, struct export_progress *progress,
                                   struct export_written *written, struct error *err);

/* Says on stderr which cells were guarded; nothing where none was. */
void export_output_tell(const struct export_written *written, const struct export_columns *columns, const char *path);

#endif
