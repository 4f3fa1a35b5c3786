/* archive_rights.h - what in a target that is a directory keeps somebody out. One thread. */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_RIGHTS_H
#define TALLYMILL_OPERATOR_ARCHIVE_RIGHTS_H

#include <stdbool.h>

#include "common/error.h"

struct archive_rights;

/* Fills `rights` (archive_store.h) and changes nothing. ERROR_USAGE: the target itself may not be used by us; ERROR_RETRY: it is
 * gone, or cannot be asked. */
MUST_CHECK bool archive_rights_look(const char *target_path, struct archive_rights *rights, struct error *err);

#endif
