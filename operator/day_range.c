/* day_range.c - see day_range.h. */
#include "operator/day_range.h"

#include <stdio.h>
#include <string.h>

/* Empty is open; else it must be a real date. */
static bool take_day(const char *text, size_t length, char day[CLOCK_DAY_BYTES], int32_t *number, struct error *err)
{
    if (length > 0 && !clock_parse_day(text, length, number)) {
        return error_set(err, ERROR_USAGE, "%.*s is no day; write it like 2026-11-24, or two of them like 2026-11-01..2026-11-24",
                         (int)length, text);
    }
    snprintf(day, CLOCK_DAY_BYTES, "%.*s", (int)length, text);
    return true;
}

bool day_range_parse(const char *text, struct day_range *range, struct error *err)
{
    const char *dots = strstr(text, "..");
    const char *last = dots ? dots + 2 : text;
    int32_t first_number = INT32_MIN, last_number = INT32_MAX;
    if (text[0] == '\0' || strcmp(text, "..") == 0) {
        return error_set(err, ERROR_USAGE, "which days? write one like 2026-11-24, or two of them like 2026-11-01..2026-11-24");
    }
    if (!take_day(text, dots ? (size_t)(dots - text) : strlen(text), range->first, &first_number, err) ||
        !take_day(last, strlen(last), range->last, &last_number, err)) {
        return false;
    }
    return first_number <= last_number || error_set(err, ERROR_USAGE, "%s ends before it begins", text);
}
