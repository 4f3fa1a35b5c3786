/* time_format.c - see time_format.h.
 *
 * Not strptime() itself: it knows no fraction of a second, and calling it twice, before and behind one, loses what it remembers
 * (%p far behind %I). It also reads 30 February, and names of months in whatever locale a program was started in.
 */
#include "producer/import/time_format.h"

#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/error.h"
#include "producer/import/civil.h"

/* What the letters have said so far. */
struct parts {
    struct civil *civil;
    int day_of_year; /* 0: not said */
    int half;        /* of the day: 0, or 'A' or 'P' */
    bool is_12_hour;
};

static const char *compound(char letter)
{
    switch (letter) {
    case 'F': return "%Y-%m-%d";
    case 'T': return "%H:%M:%S";
    case 'R': return "%H:%M";
    case 'D': return "%m/%d/%y";
    case 'r': return "%I:%M:%S %p";
    case 'c': return "%a %b %e %H:%M:%S %Y";
    default: return NULL;
    }
}

bool time_format_check(const char *format, struct error *err)
{
    bool has_year = false, has_month = false, has_day = false;
    for (const char *at = format; (at = strchr(at, '%')) != NULL; at += 2) {
        if (at[1] == '\0' || strchr("YymdejbBhHkIlMSpfzZsaAFTRDcrnt%", at[1]) == NULL)
            return error_set(err, ERROR_USAGE,
                             "'%%%c' is no letter of a time; they are strptime's: %%Y %%y %%m %%d %%e %%j %%b %%H %%I %%p %%M %%S "
                             "%%f (fraction) %%z %%Z %%s %%a %%F %%T %%R %%D %%c %%r %%%%",
                             at[1] == '\0' ? '?' : at[1]);
        has_year |= strchr("YyFDcs", at[1]) != NULL;
        has_month |= strchr("mbBhjFDcs", at[1]) != NULL;
        has_day |= strchr("dejFDcs", at[1]) != NULL;
    }
    return (has_year && has_month && has_day) ||
           error_set(err, ERROR_USAGE, "a time needs year, month and day, such as '%%Y/%%m/%%d %%H:%%M:%%S'");
}

static bool take_weekday(const char **at, const char *end)
{
    static const char *const names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
    for (size_t i = 0; i < 7; i++)
        for (size_t length = strlen(names[i]);; length = 3) {
            if ((size_t)(end - *at) >= length && strncasecmp(*at, names[i], length) == 0) {
                *at += length;
                return true;
            }
            if (length == 3)
                break;
        }
    return false;
}

static bool take_half(const char **at, const char *end, struct parts *parts)
{
    if (end - *at < 2 || ((*at)[1] | 0x20) != 'm' || (((*at)[0] | 0x20) != 'a' && ((*at)[0] | 0x20) != 'p'))
        return false;
    parts->half = (*at)[0] & ~0x20;
    *at += 2;
    return true;
}

static bool take_number(const char **at, const char *end, int most_digits, int low, int high, int *value)
{
    while (*at < end && **at == ' ')
        ++*at;
    return civil_take_digits(at, end, 1, most_digits, value) && *value >= low && *value <= high;
}

static bool take_short_year(const char **at, const char *end, int *year)
{
    if (!take_number(at, end, 2, 0, 99, year))
        return false;
    *year += *year < 69 ? 2000 : 1900; /* POSIX */
    return true;
}

/* Seconds since 1970. */
static bool take_epoch(const char **at, const char *end, struct civil *civil)
{
    bool is_before = *at < end && **at == '-';
    int64_t seconds = 0;
    int digit, count = 0;
    for (*at += is_before; count < 12 && civil_take_digits(at, end, 1, 1, &digit); count++)
        seconds = seconds * 10 + digit;
    if (count == 0)
        return false;
    int64_t wall_us = (is_before ? -seconds : seconds) * CLOCK_SECOND_US;
    int32_t day = clock_day_of(wall_us);
    int of_day = (int)((wall_us - day * CLOCK_DAY_US) / CLOCK_SECOND_US);
    clock_date_from_days(day, &civil->year, &civil->month, &civil->day);
    if (civil->year < 0 || civil->year > 9999)
        return false;
    civil->hour = of_day / 3600;
    civil->minute = of_day / 60 % 60;
    civil->second = of_day % 60;
    civil->has_offset = true;
    civil->offset_s = 0;
    return true;
}

static bool take_format(const char *format, const char **at, const char *end, struct parts *parts);

static bool take_part(char letter, const char **at, const char *end, struct parts *parts)
{
    struct civil *civil = parts->civil;
    if (compound(letter) != NULL)
        return take_format(compound(letter), at, end, parts);
    switch (letter) {
    case 'Y': return take_number(at, end, 4, 0, 9999, &civil->year);
    case 'y': return take_short_year(at, end, &civil->year);
    case 'm': return take_number(at, end, 2, 1, 12, &civil->month);
    case 'd':
    case 'e': return take_number(at, end, 2, 1, 31, &civil->day);
    case 'j': return take_number(at, end, 3, 1, 366, &parts->day_of_year);
    case 'b':
    case 'B':
    case 'h': return civil_take_month(at, end, false, &civil->month);
    case 'H':
    case 'k': return take_number(at, end, 2, 0, 23, &civil->hour);
    case 'I':
    case 'l': parts->is_12_hour = true; return take_number(at, end, 2, 1, 12, &civil->hour);
    case 'M': return take_number(at, end, 2, 0, 59, &civil->minute);
    case 'S': return take_number(at, end, 2, 0, 60, &civil->second);
    case 'p': return take_half(at, end, parts);
    case 'f': return civil_take_fraction(at, end, &civil->fraction_us);
    case 'z': return civil_take_offset(at, end, civil);
    case 'Z': return *at < end && **at != '+' && **at != '-' && civil_take_offset(at, end, civil);
    case 's': return take_epoch(at, end, civil);
    case 'a':
    case 'A': return take_weekday(at, end);
    default: return *at < end && *(*at)++ == letter; /* %% */
    }
}

static bool take_format(const char *format, const char **at, const char *end, struct parts *parts)
{
    for (; *format != '\0'; format++) {
        bool is_letter = *format == '%';
        format += is_letter;
        if (strchr(is_letter ? "nt" : " \t", *format) != NULL) {
            while (*at < end && (**at == ' ' || **at == '\t'))
                ++*at;
        } else if (is_letter ? !take_part(*format, at, end, parts) : *at == end || *(*at)++ != *format) {
            return false;
        }
    }
    return true;
}

bool time_format_read(const char *format, const char *text, size_t length, struct civil *civil)
{
    const char *at = text, *end = text + length;
    struct parts parts = {.civil = civil};
    *civil = (struct civil){0};
    if (!take_format(format, &at, end, &parts) || at != end)
        return false;
    if (parts.is_12_hour)
        civil->hour = civil->hour % 12 + (parts.half == 'P' ? 12 : 0);
    if (parts.day_of_year != 0) {
        int year;
        clock_date_from_days(clock_days_from_date(civil->year, 1, 1) + parts.day_of_year - 1, &year, &civil->month, &civil->day);
        if (year != civil->year)
            return false;
    }
    return civil_is_valid(civil);
}

#define ADVICE(format) "is in no form that is known without an option: say --time-format '" format "'"
#define FORM(format)                                                                                                               \
    {                                                                                                                              \
        format,                                                                                                                    \
        {                                                                                                                          \
            ADVICE(format), ADVICE(format) " and --time-zone ZONE, such as UTC or Europe/Berlin"                                   \
        }                                                                                                                          \
    }

const struct time_form *time_format_find(const char *text, size_t length, struct civil *civil)
{
    /* Of two that read the same texts the shorter one comes first. */
    static const struct time_form forms[] = {
        FORM("%Y/%m/%d"), FORM("%Y/%m/%d %H:%M"), FORM("%Y/%m/%d %H:%M:%S"), FORM("%Y/%m/%d %H:%M:%S.%f"),
        FORM("%Y/%m/%d %H:%M:%S %z"), FORM("%Y/%m/%d %H:%M:%S.%f %z"), FORM("%Y/%m/%d %I:%M %p"), FORM("%Y/%m/%d %I:%M:%S %p"),
        FORM("%Y.%m.%d"), FORM("%Y.%m.%d %H:%M"), FORM("%Y.%m.%d %H:%M:%S"), FORM("%Y:%m:%d %H:%M:%S"),
        FORM("%Y-%m-%d"), FORM("%Y-%m-%d %H:%M"), FORM("%Y-%m-%d %H:%M:%S"), FORM("%Y-%m-%d %H:%M:%S.%f"),
        FORM("%Y-%m-%d %H:%M:%S %z"), FORM("%Y-%m-%d %H:%M:%S.%f %z"), FORM("%Y-%m-%d %I:%M %p"), FORM("%Y-%m-%d %I:%M:%S %p"),
        FORM("%Y-%m-%dT%H:%M:%S"), FORM("%Y-%m-%dT%H:%M:%S.%f"), FORM("%Y-%m-%dT%H:%M:%S%z"), FORM("%Y-%m-%dT%H:%M:%S.%f%z"),
        FORM("%Y-%m-%d-%H.%M.%S.%f"), FORM("%Y-%m-%d-%H:%M:%S"), FORM("%Y-%m-%d_%H:%M:%S"), FORM("%Y-%m-%d, %H:%M:%S"),
        FORM("%b %d %Y"), FORM("%b %d, %Y"), FORM("%b %d %Y %H:%M:%S"), FORM("%b %d, %Y %H:%M"),
        FORM("%b %d, %Y %H:%M:%S"), FORM("%b %d, %Y %I:%M %p"), FORM("%b %d, %Y %I:%M:%S %p"), FORM("%b %d, %Y, %I:%M %p"),
        FORM("%b %d, %Y, %I:%M:%S %p"), FORM("%b %d, %Y at %I:%M %p"),
        FORM("%d %b %Y"), FORM("%d %b %Y %H:%M"), FORM("%d %b %Y %H:%M:%S"), FORM("%d %b %Y %H:%M:%S %z"),
        FORM("%d %b %Y, %H:%M"), FORM("%d %b %Y, %H:%M:%S"), FORM("%d-%b-%Y"), FORM("%d-%b-%Y %H:%M"), FORM("%d-%b-%Y %H:%M:%S"),
        FORM("%d-%b-%Y %H:%M:%S.%f"), FORM("%d/%b/%Y"), FORM("%d/%b/%Y %H:%M:%S"),
        FORM("%a, %d %b %Y"), FORM("%a, %d %b %Y %H:%M:%S"), FORM("%a, %d %b %Y %H:%M:%S %z"), FORM("%a, %b %d, %Y"),
        FORM("%a %b %d %Y"), FORM("%a %b %d %Y %H:%M:%S"), FORM("%a %b %d %H:%M:%S %Y"), FORM("%a %b %d %H:%M:%S %z %Y"),
        FORM("%a %d %b %Y %H:%M:%S"), FORM("%a %d %b %Y %H:%M:%S %z"), FORM("%a %d %b %Y %I:%M:%S %p %z"),
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (time_format_read(forms[i].format, text, length, civil) && civil->year >= 1000) /* 1/2/26 begins with no year */
            return &forms[i];
    return NULL;
}

#define DIGITS_ADVICE(format)                                                                                                      \
    "is a number without a unit: say --time-unit s, ms, us or ns; or, if it is a date, --time-format '" format "'"
#define DIGITS_FORM(format)                                                                                                        \
    {                                                                                                                              \
        format,                                                                                                                    \
        {                                                                                                                          \
            DIGITS_ADVICE(format), DIGITS_ADVICE(format) " and --time-zone ZONE"                                                   \
        }                                                                                                                          \
    }

const struct time_form *time_format_find_digits(const char *text, size_t length)
{
    static const struct time_form day = DIGITS_FORM("%Y%m%d"), second = DIGITS_FORM("%Y%m%d%H%M%S");
    struct civil civil;
    const struct time_form *form = length == 8 ? &day : length == 14 ? &second : NULL;
    return form != NULL && time_format_read(form->format, text, length, &civil) && civil.year >= 1900 && civil.year < 2200 ? form
                                                                                                                           : NULL;
}
