/* settings_value.c - see settings_value.h.
 *
 * A number is digits and a unit, nothing else: no sign, no fraction, no "1e6". A duration without a unit is refused rather than
 * guessed, because half of the world's settings mean seconds by it and the other half milliseconds.
 */
#include "common/settings_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/nearest.h"
#include "common/settings_table.h"
#include "common/utf8.h"

enum { AGE_MONTHS_MAX = 1200, AGE_DAYS_MAX = 36600, CHOICE_COUNT = 8, SHOWN_BYTES = 60 };

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit byte_units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", INT64_C(1) << 10},
    {"MiB", INT64_C(1) << 20},
    {"GiB", INT64_C(1) << 30},
    {"kB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {NULL, 0},
};
static const struct unit time_units[] = {
    {"us", 1},
    {"ms", 1000},
    {"s", CLOCK_SECOND_US},
    {"min", 60 * CLOCK_SECOND_US},
    {"h", 3600 * CLOCK_SECOND_US},
    {"days", CLOCK_DAY_US},
    {"day", CLOCK_DAY_US},
    {NULL, 0},
};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

/* Reads the digits at *text and moves past them and the spaces behind. False without digits or above INT64_MAX. */
static bool take_number(const char **text, int64_t *number)
{
    const char *at = *text;
    int64_t value = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *at - '0', &value))
            return false;
    if (at == *text)
        return false;
    *text = at + strspn(at, " ");
    *number = value;
    return true;
}

/* Digits and a unit of `units`. */
static bool read_quantity(const char *text, const struct unit *units, int64_t *value)
{
    int64_t number;
    if (!take_number(&text, &number))
        return false;
    for (; units->name != NULL; units++)
        if (strcmp(units->name, text) == 0)
            return !__builtin_mul_overflow(number, units->factor, value);
    return false;
}

/* Writes a value with the largest unit that divides it, as an operator would. */
static const char *show_quantity(char *buffer, size_t bytes, int64_t value, const struct unit *units)
{
    const struct unit *best = units;
    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        bool is_singular = unit->factor == best->factor && value == unit->factor;
        if (value != 0 && value % unit->factor == 0 && (unit->factor > best->factor || is_singular))
            best = unit;
    }
    snprintf(buffer, bytes, "%" PRId64 "%s%s", value / best->factor, best->name[0] != '\0' ? " " : "", best->name);
    return buffer;
}

static bool parse_quantity(const struct setting *setting, const char *text, const struct unit *units, const char *form,
                           int64_t *number, struct error *err)
{
    if (!read_quantity(text, units, number))
        return error_set(err, ERROR_USAGE, "\"%.*s\" is not %s", UTF8_CUT(text, SHOWN_BYTES), form);
    if (*number >= setting->min && *number <= setting->max)
        return true;
    char min[32], max[32];
    return error_set(err, ERROR_USAGE, "%.*s is out of range: %s to %s", UTF8_CUT(text, SHOWN_BYTES),
                     show_quantity(min, sizeof min, setting->min, units), show_quantity(max, sizeof max, setting->max, units));
}

static bool parse_text(const struct setting *setting, const char *text, struct error *err)
{
    size_t length = strlen(text);
    if (length < (size_t)setting->min)
        return error_set(err, ERROR_USAGE, "must not be empty");
    if (setting->max > 0 && length > (size_t)setting->max)
        return error_set(err, ERROR_USAGE, "%zu bytes are too long: at most %" PRId64, length, setting->max);
    return true;
}

static bool parse_choice(const struct setting *setting, const char *text, struct error *err)
{
    char copy[256];
    const char *words[CHOICE_COUNT];
    size_t count = 0;
    snprintf(copy, sizeof copy, "%s", setting->choices);
    char *rest = copy;
    for (char *word; count < CHOICE_COUNT && (word = strsep(&rest, "|")) != NULL;) {
        if (strcmp(word, text) == 0)
            return true;
        words[count++] = word;
    }
    const char *nearest = nearest_word(text, words, count);
    if (nearest != NULL)
        return error_set(err, ERROR_USAGE, "\"%.*s\" is not one of %s; did you mean %s?", UTF8_CUT(text, SHOWN_BYTES),
                         setting->choices, nearest);
    return error_set(err, ERROR_USAGE, "\"%.*s\" is not one of %s", UTF8_CUT(text, SHOWN_BYTES), setting->choices);
}

static bool read_age(const char *text, int32_t *date, int64_t *months, int64_t *days)
{
    *months = *days = -1;
    if (clock_parse_day(text, strlen(text), date))
        return true;
    int64_t number;
    if (!take_number(&text, &number))
        return false;
    if (strcmp(text, "month") == 0 || strcmp(text, "months") == 0)
        *months = number;
    else if (strcmp(text, "day") == 0 || strcmp(text, "days") == 0)
        *days = number;
    else
        return false;
    return *months <= AGE_MONTHS_MAX && *days <= AGE_DAYS_MAX;
}

bool settings_value_parse(const struct setting *setting, const char *text, int64_t *number, struct error *err)
{
    int32_t date;
    int64_t months, days;
    *number = 0;
    switch (setting->type) {
    case SETTING_TEXT: return parse_text(setting, text, err);
    case SETTING_COUNT: return parse_quantity(setting, text, no_units, "a whole number", number, err);
    case SETTING_BYTES:
        return parse_quantity(setting, text, byte_units, "a size such as \"64 MiB\" (B, KiB, MiB, GiB, kB, MB, GB)", number, err);
    case SETTING_DURATION:
        return parse_quantity(setting, text, time_units, "a time with its unit, such as \"5 s\" (us, ms, s, min, h, day, days)",
                              number, err);
    case SETTING_CHOICE: return parse_choice(setting, text, err);
    case SETTING_AGE:
        if (read_age(text, &date, &months, &days))
            return true;
        return error_set(err, ERROR_USAGE,
                         "\"%.*s\" is not an age such as \"13 months\" or \"90 days\" (at most %d months, %d days), nor a date "
                         "such as 2026-01-31",
                         UTF8_CUT(text, SHOWN_BYTES), AGE_MONTHS_MAX, AGE_DAYS_MAX);
    }
    return error_set(err, ERROR_FATAL, "type %d of a setting is unknown", (int)setting->type);
}

int64_t settings_value_age_us(const char *text, int64_t wall_us)
{
    int32_t day = 0;
    int64_t months, days;
    if (!read_age(text, &day, &months, &days))
        return 0;
    int32_t today = clock_day_of(wall_us);
    if (months >= 0)
        day = clock_month_add(clock_month_of(today), (int)-months);
    else if (days >= 0)
        day = today - (int32_t)days;
    return day * CLOCK_DAY_US;
}
