/* resume.h - how far an import has come, in a file that outlives the process: --resume.
 *
 * The file holds what makes a resumed line the same event: the identity of each input (from which line_id.h makes the ids) and the
 * time of the import (the created_at of lines without one). It also says up to which line everything is acknowledged or rejected;
 * lines behind that may have been sent too, and are sent again with the same ids. One thread.
 */
#ifndef TALLYMILL_PRODUCER_IMPORT_RESUME_H
#define TALLYMILL_PRODUCER_IMPORT_RESUME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct resume;

struct resume_totals {
    uint64_t sent, rejected;
    int64_t reject_bytes; /* how long the reject file was */
};

/* Reads the file, or begins an import and writes it. `options` is a number that differs where the
 * mapping does. NULL: *err (ERROR_USAGE: damaged, other files, a file that is not what it was, other options). */
MUST_CHECK struct resume *resume_open(const char *path, char **inputs, int count, uint64_t options, struct error *err);
void resume_free(struct resume *resume);

/* The time of the import, Unix microseconds. */
int64_t resume_begun_us(const struct resume *resume);
/* 16 bytes; valid until resume_free. */
const uint8_t *resume_file_id(const struct resume *resume, int input);
/* The last line of the input that is done with; 0: none. */
uint64_t resume_line(const struct resume *resume, int input);
/* How the records of the input are told apart (form.h); kept with the next resume_save. False: ERROR_USAGE, lines are done with
 * that were told apart otherwise: the same number is another line now. */
MUST_CHECK bool resume_check_form(struct resume *resume, int input, const char *form, struct error *err);
/* What earlier runs have done. */
const struct resume_totals *resume_totals(const struct resume *resume);

/* Everything up to `line` of the input (and in all inputs before it) is acknowledged or rejected. On the disk when this returns
 * true; the file is replaced as a whole, so that there is always one. False: ERROR_RETRY. */
MUST_CHECK bool resume_save(struct resume *resume, int input, uint64_t line, const struct resume_totals *totals, struct error *err);

#endif
