/* preview.h - a look at the files of an import before its first event: what cannot be read, and fields that no header has. */
#ifndef TALLYMILL_PRODUCER_IMPORT_PREVIEW_H
#define TALLYMILL_PRODUCER_IMPORT_PREVIEW_H

#include <stdbool.h>

#include "common/error.h"

struct import_plan;

/* Reads the beginning of each file that can be read twice (stdin and pipes cannot). False: ERROR_USAGE: a file is not there, is of
 * a format that is not read, or every header is without a field that was mapped. */
MUST_CHECK bool preview_files(const struct import_plan *plan, struct error *err);

#endif
