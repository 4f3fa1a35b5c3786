/* civil.c - see civil.h.
 *
 * 05/06/2026 is not read here, whatever the other lines of a file look like: day and month are never guessed. Nor are names of
 * zones other than UTC's own: IST is three of them.
 */
#include "producer/import/civil.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"

bool civil_take_digits(const char **at, const char *end, int least, int most, int *value)
{
    int count = 0, number = 0;
    while (count < most && *at + count < end && (*at)[count] >= '0' && (*at)[count] <= '9')
        number = number * 10 + ((*at)[count++] - '0');
    if (count < least)
        return false;
    *at += count;
    *value = number;
    return true;
}

bool civil_take_fraction(const char **at, const char *end, int *fraction_us)
{
    int count = 0, unit = 100000;
    *fraction_us = 0;
    for (; *at + count < end && (*at)[count] >= '0' && (*at)[count] <= '9'; count++, unit /= 10)
        *fraction_us += ((*at)[count] - '0') * unit;
    *at += count;
    return count > 0;
}

static bool take_word(const char **at, const char *end, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(end - *at) < length || strncasecmp(*at, word, length) != 0)
        return false;
    *at += length;
    return true;
}

bool civil_take_month(const char **at, const char *end, bool is_short, int *month)
{
    static const char *const names[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};
    for (int i = 0; i < 12; i++) {
        const char part[4] = {names[i][0], names[i][1], names[i][2], '\0'};
        if ((!is_short && take_word(at, end, names[i])) || take_word(at, end, part)) {
            *month = i + 1;
            return true;
        }
    }
    return false;
}

static bool take_char(const char **at, const char *end, const char *wanted)
{
    if (*at == end || strchr(wanted, **at) == NULL)
        return false;
    ++*at;
    return true;
}

bool civil_take_offset(const char **at, const char *end, struct civil *civil)
{
    int hour = 0, minute = 0, second = 0;
    const char *from = *at;
    bool is_west = take_char(at, end, "-"), has_sign = is_west || take_char(at, end, "+");
    if (!has_sign && (take_word(at, end, "UTC") || take_word(at, end, "GMT") || take_word(at, end, "Z"))) {
        civil->has_offset = true;
        civil->offset_s = 0;
        return true;
    }
    bool ok = has_sign && civil_take_digits(at, end, 2, 2, &hour);
    if (ok && take_char(at, end, ":")) {
        ok = civil_take_digits(at, end, 2, 2, &minute);
        if (ok && take_char(at, end, ":"))
            ok = civil_take_digits(at, end, 2, 2, &second);
    } else if (ok) {
        civil_take_digits(at, end, 2, 2, &minute);
    }
    if (!ok || hour > 23 || minute > 59 || second > 59) {
        *at = from;
        return false;
    }
    civil->has_offset = true;
    civil->offset_s = ((hour * 60 + minute) * 60 + second) * (is_west ? -1 : 1);
    return true;
}

/* "09:30", "09:30:00", "09:30:00.25"; without its colons in the basic form. */
static bool take_time(const char **at, const char *end, bool is_basic, struct civil *civil)
{
    const char *colon = is_basic ? "" : ":";
    if (!civil_take_digits(at, end, 2, 2, &civil->hour) || (!is_basic && !take_char(at, end, colon)) ||
        !civil_take_digits(at, end, 2, 2, &civil->minute))
        return false;
    if (is_basic ? !civil_take_digits(at, end, 2, 2, &civil->second) : !take_char(at, end, colon))
        return true;
    return (is_basic || civil_take_digits(at, end, 2, 2, &civil->second)) &&
           (!take_char(at, end, ".,") || civil_take_fraction(at, end, &civil->fraction_us));
}

/* "[Europe/Berlin]" to the end. */
static bool is_zone_name(const char *at, const char *end)
{
    if (end - at < 3 || *at != '[' || end[-1] != ']')
        return false;
    for (at++; at < end - 1; at++)
        if (!isalnum((unsigned char)*at) && strchr("/_+-:", *at) == NULL)
            return false;
    return true;
}

/* What may stand behind a time: nothing, or an offset, behind a space or not. */
static bool take_end(const char **at, const char *end, struct civil *civil)
{
    if (*at == end)
        return true;
    take_char(at, end, " ");
    return civil_take_offset(at, end, civil) && (*at == end || is_zone_name(*at, end));
}

static bool read_iso(const char *at, const char *end, struct civil *civil)
{
    if (!civil_take_digits(&at, end, 4, 4, &civil->year))
        return false;
    bool is_basic = !take_char(&at, end, "-");
    if (!civil_take_digits(&at, end, 2, 2, &civil->month) || (!is_basic && !take_char(&at, end, "-")) ||
        !civil_take_digits(&at, end, 2, 2, &civil->day))
        return false;
    if (at == end)
        return !is_basic; /* eight digits are a number */
    return take_char(&at, end, is_basic ? "Tt" : "Tt ") && take_time(&at, end, is_basic, civil) && take_end(&at, end, civil);
}

static bool read_combined(const char *at, const char *end, struct civil *civil)
{
    if (end - at > 2 && *at == '[' && end[-1] == ']') {
        at++;
        end--;
    }
    return civil_take_digits(&at, end, 2, 2, &civil->day) && take_char(&at, end, "/") &&
           civil_take_month(&at, end, true, &civil->month) && take_char(&at, end, "/") &&
           civil_take_digits(&at, end, 4, 4, &civil->year) && take_char(&at, end, ":") && take_time(&at, end, false, civil) &&
           take_end(&at, end, civil);
}

bool civil_is_valid(const struct civil *civil)
{
    if (civil->month < 1 || civil->month > 12 || civil->day < 1 || civil->hour > 23 || civil->minute > 59 || civil->second > 60)
        return false;
    int32_t first = clock_days_from_date(civil->year, civil->month, 1);
    return civil->day <= clock_month_add(first, 1) - first;
}

static bool read_form(const char *text, size_t length, struct civil *civil)
{
    const char *end = text + length;
    *civil = (struct civil){0};
    if (read_iso(text, end, civil))
        return true;
    *civil = (struct civil){0};
    return read_combined(text, end, civil);
}

bool civil_read(const char *text, size_t length, struct civil *civil)
{
    return read_form(text, length, civil) && civil_is_valid(civil);
}

bool civil_is_form(const char *text, size_t length)
{
    struct civil civil;
    return read_form(text, length, &civil);
}

int64_t civil_us(const struct civil *civil)
{
    return clock_days_from_date(civil->year, civil->month, civil->day) * CLOCK_DAY_US +
           ((civil->hour * 60 + civil->minute) * 60 + civil->second) * CLOCK_SECOND_US + civil->fraction_us;
}
