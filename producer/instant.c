/* instant.c - see instant.h. */
#include "instant.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

static const char not_a_time[] = "is no RFC 3339 time with a zone (2026-01-15T09:30:00Z) and no number";
static const char unstated[] = "is a number without a unit: say --time-unit s, ms, us or ns";
static const char beyond[] = "is too far from 1970 to be a time";

bool instant_parse_unit(const char *text, enum time_unit *unit)
{
    static const struct {
        const char *name;
        enum time_unit unit;
    } units[] = {{"s", TIME_UNIT_S}, {"ms", TIME_UNIT_MS}, {"us", TIME_UNIT_US}, {"ns", TIME_UNIT_NS}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(text, units[i].name) == 0) {
            *unit = units[i].unit;
            return true;
        }
    return false;
}

static const char *from_integer(int64_t count, enum time_unit unit, int64_t *wall_us)
{
    if (unit == TIME_UNIT_NS) {
        *wall_us = count / 1000 - (count % 1000 < 0);
        return NULL;
    }
    return __builtin_mul_overflow(count, TIME_UNIT_US / (int64_t)unit, wall_us) ? beyond : NULL;
}

/* A double holds today's microseconds exactly, but a decimal fraction of a second is a hair off: the nearest microsecond is meant.
 */
static const char *from_real(double count, enum time_unit unit, int64_t *wall_us)
{
    double us = count * (1e6 / (double)unit);
    if (!(fabs(us) < 9e18))
        return beyond;
    *wall_us = unit == TIME_UNIT_NS ? (int64_t)floor(us) : llround(us);
    return NULL;
}

static const char *from_text(const char *text, enum time_unit unit, int64_t *wall_us)
{
    if (clock_parse_time(text, strlen(text), wall_us))
        return NULL;
    if (*text == '\0' || text[strspn(text, "0123456789.-")] != '\0')
        return not_a_time;
    char *end;
    errno = 0;
    long long count = strtoll(text, &end, 10);
    if (*end == '\0' && errno == 0)
        return unit == TIME_UNIT_UNSTATED ? unstated : from_integer(count, unit, wall_us);
    double real = strtod(text, &end);
    if (*end != '\0' || end == text)
        return not_a_time;
    return unit == TIME_UNIT_UNSTATED ? unstated : from_real(real, unit, wall_us);
}

const char *instant_read(const json_t *value, enum time_unit unit, int64_t *wall_us)
{
    if (json_is_string(value))
        return from_text(json_string_value(value), unit, wall_us);
    if (!json_is_number(value))
        return not_a_time;
    if (unit == TIME_UNIT_UNSTATED)
        return unstated;
    return json_is_integer(value) ? from_integer(json_integer_value(value), unit, wall_us)
                                  : from_real(json_real_value(value), unit, wall_us);
}
