/* month_name.h - a month as a person writes it: 2025-01. Any thread. */
#ifndef TALLYMILL_OPERATOR_MONTH_NAME_H
#define TALLYMILL_OPERATOR_MONTH_NAME_H

#include <stdbool.h>

#include "common/error.h"
#include "common/clock.h"
#include "operator/day_range.h"

struct month_name {
    char text[8];                /* "2025-01" */
    char first[CLOCK_DAY_BYTES]; /* "2025-01-01" */
    struct day_range days;       /* its first and last day */
};

/* ERROR_USAGE for whatever is not a year and a month from 1970-01 to 9999-12. */
MUST_CHECK bool month_name_parse(const char *text, struct month_name *month, struct error *err);

#endif
