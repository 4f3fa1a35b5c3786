/* verify.h - the comparison behind `tallymill verify`, for a command that shows it in its own way. One thread. */
#ifndef TALLYMILL_OPERATOR_VERIFY_H
#define TALLYMILL_OPERATOR_VERIFY_H

#include <jansson.h>

#include "common/error.h"

struct day_range;
struct snapshot;

/* Compares the statistics, the rollups and the uniques of first_day ("2026-11-24"; "": of all) and later with the raw events.
 * Returns an object with the arrays differences, damages, set_aside, rollups_set_aside and uniques_set_aside, and pending_rows, as
 * `tallymill verify --json` has them; owned by the caller (json_decref). Where err is set, it is what was found until then; NULL:
 * no memory. */
MUST_CHECK json_t *verify_from(struct snapshot *snapshot, const char *first_day, struct error *err);

/* The same of these days alone. */
MUST_CHECK json_t *verify_range(struct snapshot *snapshot, const struct day_range *range, struct error *err);

#endif
