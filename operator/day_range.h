/* day_range.h - the days that a command is asked for: "2026-11-24", "2026-11-01..2026-11-24", "2026-11-01..", "..2026-11-24". */
#ifndef TALLYMILL_OPERATOR_DAY_RANGE_H
#define TALLYMILL_OPERATOR_DAY_RANGE_H

#include <stdbool.h>

#include "common/clock.h"
#include "common/error.h"

struct day_range {
    char first[CLOCK_DAY_BYTES], last[CLOCK_DAY_BYTES]; /* "2026-11-24", both included; "" is open */
};

/* False: ERROR_USAGE, naming what is wrong. */
MUST_CHECK bool day_range_parse(const char *text, struct day_range *range, struct error *err);

#endif
