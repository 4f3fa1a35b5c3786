/* options_file.h - the settings of tally_open_file: an INI file, read as Tallymill's programs read theirs. One thread. */
#ifndef TALLYMILL_PRODUCER_LIBRARY_OPTIONS_FILE_H
#define TALLYMILL_PRODUCER_LIBRARY_OPTIONS_FILE_H

#include <tallymill/producer.h>

#include "common/error.h"

struct options_file;

/* What the file says, but for the keys that `more` (may be NULL) has, which then follow. NULL: *err, with file, line and key. */
MUST_CHECK struct options_file *options_file_read(const char *path, const struct tally_setting *more, struct tally_error *err);
/* NULL is fine. */
void options_file_free(struct options_file *file);

/* For tally_open; ended by a NULL key, valid until the file is freed. */
const struct tally_setting *options_file_settings(const struct options_file *file);
/* What somebody should look at, as one line; NULL: nothing. */
const char *options_file_warning(const struct options_file *file);

#endif
