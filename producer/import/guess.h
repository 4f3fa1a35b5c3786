/* guess.h - --guess: proposes the mapping of a file that nobody has mapped yet, from its first records. */
#ifndef TALLYMILL_PRODUCER_IMPORT_GUESS_H
#define TALLYMILL_PRODUCER_IMPORT_GUESS_H

#include <stdbool.h>

#include "common/error.h"

struct import_plan;

/* Prints the command to run on stdout, and on stderr what the file was taken for. config: of the settings, or NULL. has_format: the
 * user has said the format. False: *err, nothing could be made of the first file. */
MUST_CHECK bool guess_print(const struct import_plan *plan, const char *config, bool has_format, struct error *err);

#endif
