/* instant.c - see instant.h. What is refused is reported with the option that would read it, and never with the text itself, which
 * does not belong into anybody's log. */
#include "producer/import/instant.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "producer/import/civil.h"
#include "producer/import/time_format.h"
#include "producer/import/zone.h"
#include "producer/library/value.h"

static const char not_a_time[] =
    "is no time such as 2026-01-15T09:30:00Z, 2026-01-15 09:30:00+01 or 15/Jan/2026:09:30:00 +0100, and no "
    "number: say --time-format FORMAT, such as '%a, %d %b %Y %H:%M:%S %z'";
static const char year_first[] =
    "is in no form that is known without an option: say --time-format '%Y/%m/%d %H:%M:%S', with %f for a "
    "fraction of a second and %z for an offset";
static const char ambiguous[] =
    "begins with day or month, and which is never guessed: say --time-format '%d/%m/%Y %H:%M:%S' or "
    "'%m/%d/%Y %H:%M:%S', as it is written (%I and %p for 12 hours, %f for a fraction, %z for an offset)";
static const char not_in_formats[] = "is not in the form of any --time-format, nor in one that is known without";
static const char no_zone[] = "has no time zone: say --time-zone ZONE, such as UTC or Europe/Berlin";
static const char skipped[] = "does not exist in the zone of --time-zone: clocks were set forward over it";
static const char repeated[] =
    "is there twice in the zone of --time-zone: clocks were set back over it, and which one is meant is not "
    "to be known";
static const char not_there[] = "names a day or a time of day that does not exist";
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

bool instant_add_format(struct instant_rules *rules, const char *format, struct error *err)
{
    if (rules->format_count == INSTANT_FORMATS_MAX)
        return error_set(err, ERROR_USAGE, "more than %d formats", INSTANT_FORMATS_MAX);
    if (!time_format_check(format, err))
        return false;
    if ((rules->formats[rules->format_count] = strdup(format)) == NULL)
        return error_set(err, ERROR_RETRY, "no memory");
    rules->format_count++;
    return true;
}

bool instant_set_zone(struct instant_rules *rules, const char *name, struct error *err)
{
    if (rules->zone != NULL)
        return error_set(err, ERROR_USAGE, "the zone was given already");
    rules->zone = zone_open(name, err);
    return rules->zone != NULL;
}

void instant_reset(struct instant_rules *rules)
{
    for (size_t i = 0; i < rules->format_count; i++)
        free(rules->formats[i]);
    zone_close(rules->zone);
    *rules = (struct instant_rules){0};
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

static const char *from_civil(const struct instant_rules *rules, const struct civil *civil, int64_t *wall_us)
{
    int64_t local_us = civil_us(civil);
    if (civil->has_offset) {
        *wall_us = local_us - civil->offset_s * INT64_C(1000000);
        return NULL;
    }
    if (rules->zone == NULL)
        return no_zone;
    switch (zone_find(rules->zone, local_us, wall_us)) {
    case ZONE_SKIPPED: return skipped;
    case ZONE_REPEATED: return repeated;
    default: return NULL;
    }
}

/* Which option would help. */
static const char *advise(const struct instant_rules *rules, const char *text, size_t length)
{
    struct civil civil;
    size_t digits = strspn(text, "0123456789");
    if (civil_is_form(text, length))
        return not_there;
    if (rules->format_count > 0)
        return not_in_formats;
    const struct time_form *form = time_format_find(text, length, &civil);
    if (form != NULL)
        return form->advice[!civil.has_offset && rules->zone == NULL];
    if (digits == 4 && text[digits] == '/')
        return year_first;
    return (digits == 1 || digits == 2) && text[digits] != '\0' && strchr("/.- ", text[digits]) != NULL ? ambiguous : not_a_time;
}

static const char *ask_unit(const struct instant_rules *rules, const char *text, size_t length)
{
    const struct time_form *form = time_format_find_digits(text, length);
    return form == NULL ? unstated : form->advice[rules->zone == NULL];
}

static const char *from_text(const struct instant_rules *rules, const char *text, size_t length, int64_t *wall_us)
{
    struct civil civil;
    for (size_t i = 0; i < rules->format_count; i++)
        if (time_format_read(rules->formats[i], text, length, &civil))
            return from_civil(rules, &civil, wall_us);
    if (civil_read(text, length, &civil))
        return from_civil(rules, &civil, wall_us);
    if (*text == '\0' || text[strspn(text, "0123456789.-")] != '\0')
        return advise(rules, text, length);
    char *end;
    errno = 0;
    long long count = strtoll(text, &end, 10);
    if (*end == '\0' && errno == 0)
        return rules->unit == TIME_UNIT_UNSTATED ? ask_unit(rules, text, length) : from_integer(count, rules->unit, wall_us);
    double real = strtod(text, &end);
    if (*end != '\0' || end == text)
        return advise(rules, text, length);
    return rules->unit == TIME_UNIT_UNSTATED ? unstated : from_real(real, rules->unit, wall_us);
}

/* Digits that are a date are a text in a form, whatever the file takes them for. */
static const char *from_number(const struct instant_rules *rules, int64_t number, int64_t *wall_us)
{
    char digits[24];
    if (rules->format_count == 0 && rules->unit != TIME_UNIT_UNSTATED)
        return from_integer(number, rules->unit, wall_us);
    return from_text(rules, digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)number), wall_us);
}

const char *instant_read(const struct instant_rules *rules, const struct value *value, int64_t *wall_us)
{
    if (value->type == VALUE_TEXT)
        return from_text(rules, value->text, value->length, wall_us);
    if (value->type == VALUE_UNSIGNED || value->type == VALUE_BIG)
        return beyond;
    if (value->type != VALUE_INTEGER && value->type != VALUE_REAL)
        return not_a_time;
    if (value->type == VALUE_INTEGER)
        return from_number(rules, value->integer, wall_us);
    return rules->unit == TIME_UNIT_UNSTATED ? unstated : from_real(value->real, rules->unit, wall_us);
}
