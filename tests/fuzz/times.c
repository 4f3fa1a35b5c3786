/* times.c - the fuzzer of times as texts: what is read lies where its text says, a format that is accepted reads what it wants to
 * and no more, and a zone gives the local time back.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/error.h"
#include "producer/import/civil.h"
#include "producer/import/time_format.h"
#include "producer/import/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *what, const char *text)
{
    fprintf(stderr, "%s: '%s'\n", what, text);
    abort();
}

/* Printed and read again it is the same instant; in the zone, libc shows the same clock. */
static void check(const struct civil *civil, const char *text)
{
    static struct zone *zone;
    struct error err;
    if (zone == NULL && (zone = zone_open("America/New_York", &err)) == NULL)
        fail(err.text, "");
    if (!civil_is_valid(civil))
        fail("no valid time was read", text);
    char printed[CLOCK_TIME_BYTES];
    int64_t local_us = civil_us(civil), again_us, wall_us;
    if (!clock_parse_time(printed, clock_format_time(printed, local_us), &again_us) || again_us != local_us)
        fail("printed, another time", text);
    if (zone_find(zone, local_us, &wall_us) != ZONE_FOUND)
        return;
    time_t seconds = (time_t)(wall_us / CLOCK_SECOND_US - (wall_us % CLOCK_SECOND_US < 0));
    struct tm shown;
    if (localtime_r(&seconds, &shown) == NULL || (wall_us + shown.tm_gmtoff * CLOCK_SECOND_US) != local_us)
        fail("the zone shows another time", text);
}

/* The format stands before the first NUL. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct civil civil;
    struct error err = {0};
    char *copy = malloc(size + 1);
    memcpy(copy, data, size);
    copy[size] = '\0';
    if (civil_read(copy, size, &civil))
        check(&civil, copy);
    size_t format = strlen(copy);
    if (format < size && time_format_check(copy, &err) && time_format_read(copy, copy + format + 1, size - format - 1, &civil))
        check(&civil, copy + format + 1);
    free(copy);
    return 0;
}
