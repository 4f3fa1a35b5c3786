/* month_name.c - see month_name.h. */
#include "operator/month_name.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"

bool month_name_parse(const char *text, struct month_name *month, struct error *err)
{
    char first[CLOCK_DAY_BYTES];
    int32_t day = -1;
    snprintf(first, sizeof first, "%.7s-01", text);
    if (strlen(text) != 7 || !clock_parse_day(first, strlen(first), &day) || day < 0)
        return error_set(err, ERROR_USAGE, "%.40s: a month is written as 2025-01", text);
    snprintf(month->text, sizeof month->text, "%s", text);
    memcpy(month->first, first, sizeof month->first);
    clock_format_day(month->days.first, day);
    clock_format_day(month->days.last, clock_month_add(day, 1) - 1);
    return true;
}
