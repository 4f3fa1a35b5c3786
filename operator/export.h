/* export.h - one run of `tallymill export`: what was asked for, and what it writes with. Private to export*.c. */
#ifndef TALLYMILL_OPERATOR_EXPORT_H
#define TALLYMILL_OPERATOR_EXPORT_H

#include <stdbool.h>

#include <jansson.h>

#include "common/error.h"
#include "operator/export_columns.h"
#include "operator/export_months.h"
#include "operator/export_output.h"
#include "operator/export_source.h"

struct snapshot;

struct export_run {
    struct export_choice choice;
    const char *format, *compress, *output; /* of the command line */
    bool is_raw, without_archived, as_json;
    struct snapshot *snapshot;
    struct export_source source;
    struct export_columns columns;
    struct export_months months;
    struct export_style style;
    struct export_progress progress;
    json_t *answer; /* of --json: {files: [...], without_archived: [...]} */
};

/* A file of the answer; takes the extra members over. */
void export_answer_add(struct export_run *run, const char *path, const struct export_written *written, json_t *more);

/* Exports to a directory (made where it is not there): a file a month, and export.json. A month whose file is whole and whose rows
 * are the same is left as it is. ERROR_USAGE: what lies there was exported with another choice; ERROR_RETRY: another export is at
 * work there, a disk, a server. */
MUST_CHECK bool export_directory(struct export_run *run, struct error *err);

#endif
