/* range.c - see range.h. */
#include "operator/dashboard/range.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/utf8.h"

/* Days around these, such as those that a range is compared with, have four digits in their year as well: Postgres reads them. */
enum { EARLIEST_YEAR = 1000, LATEST_YEAR = 9990 };

enum { WEEK = 7, YEAR = 364, DAYS_BY_DAY = 31, DAYS_BY_WEEK = 190, DAYS_MOST = 3660 };

static const struct {
    const char *name;
    int days;
} ranges[] = {{"28d", 28}, {"7d", 7}, {"91d", 91}, {"12mo", YEAR}, {"today", 1}, {"custom", 0}};

/* The word of the list that was said, the first where none was; NULL: it is none of them. */
static const char *choose(const char *said, const char *const *words)
{
    if (!said || !*said)
        return words[0];
    for (; *words; words++)
        if (strcmp(said, *words) == 0)
            return *words;
    return NULL;
}

static bool read_day(const char *text, const char *name, int32_t *day, struct error *err)
{
    if (!text || !clock_parse_day(text, strlen(text), day))
        return error_set(err, ERROR_USAGE, "%s is a day such as 2026-11-24, not \"%.*s\"", name, UTF8_CUT(text ? text : "", 40));
    if (*day < clock_days_from_date(EARLIEST_YEAR, 1, 1) || *day > clock_days_from_date(LATEST_YEAR, 12, 31))
        return error_set(err, ERROR_USAGE, "%s is a day of the years %d to %d, not %s", name, EARLIEST_YEAR, LATEST_YEAR, text);
    return true;
}

static bool read_days(const struct range_query *query, int32_t today, struct range *range, struct error *err)
{
    const char *said = query->range && *query->range ? query->range : ranges[0].name;
    size_t i = 0;
    while (i < sizeof ranges / sizeof *ranges && strcmp(ranges[i].name, said) != 0)
        i++;
    if (i == sizeof ranges / sizeof *ranges)
        return error_set(err, ERROR_USAGE, "range is today, 7d, 28d, 91d, 12mo or custom, not \"%.*s\"", UTF8_CUT(said, 40));
    range->name = ranges[i].name;
    range->last = today - (strcmp(said, "today") != 0);
    range->first = range->last - ranges[i].days + 1;
    if (ranges[i].days > 0)
        return true;
    if (!read_day(query->first, "first", &range->first, err) || !read_day(query->last, "last", &range->last, err))
        return false;
    if (range->last < range->first || range->last - range->first >= DAYS_MOST)
        return error_set(err, ERROR_USAGE, "a range has its first day before its last, and at most %d days", DAYS_MOST);
    return true;
}

bool range_read(const struct range_query *query, int32_t today, struct range *range, struct error *err)
{
    static const char *const whos[] = {"external", "all", "internal", NULL}, *const compares[] = {"previous", "year", "off", NULL},
                             *const grains[] = {"auto", "day", "week", "month", NULL};
    const char *compare = choose(query->compare, compares);
    range->who = choose(query->who, whos);
    range->grain = choose(query->grain, grains);
    if (!range->who || !compare || !range->grain)
        return error_set(err, ERROR_USAGE, "%s",
                         !range->who ? "who is external, all or internal"
                         : !compare  ? "compare is previous, year or off"
                                     : "grain is auto, day, week or month");
    if (query->language && (strlen(query->language) >= sizeof range->language || !utf8_is_text(query->language)))
        return error_set(err, ERROR_USAGE, "a language is a text of at most %d bytes of UTF-8", RANGE_LANGUAGE_BYTES - 1);
    snprintf(range->language, sizeof range->language, "%s", query->language ? query->language : "");
    if (!read_days(query, today, range, err))
        return false;
    const int days = range->last - range->first + 1, shift = strcmp(compare, "year") == 0 ? YEAR : (days + WEEK - 1) / WEEK * WEEK;
    range->today = today;
    range->has_before = strcmp(compare, "off") != 0;
    range->before_first = range->first - shift;
    range->before_last = range->last - shift;
    if (strcmp(range->grain, "auto") == 0)
        range->grain = days <= DAYS_BY_DAY ? "day" : days <= DAYS_BY_WEEK ? "week" : "month";
    return true;
}
