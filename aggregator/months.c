/* months.c - a small list of months, kept over cycles for what is known of their tails. */
#include "aggregator/months.h"

#include <stdlib.h>

#include "common/array_text.h"
#include "common/clock.h"
#include "common/error.h"

void months_free(struct months *months)
{
    free(months->months);
    *months = (struct months){0};
}

void months_forget(struct months *months)
{
    for (size_t i = 0; i < months->count; i++)
        month_tail_forget(&months->months[i].tail);
}

static struct month *find(const struct months *months, int32_t first_day)
{
    for (size_t i = 0; i < months->count; i++)
        if (months->months[i].first_day == first_day)
            return &months->months[i];
    return NULL;
}

static struct month *get(struct months *months, int32_t first_day, struct error *err)
{
    struct month *found = find(months, first_day);
    if (found)
        return found;
    if (months->count == months->capacity) {
        size_t capacity = months->capacity ? months->capacity * 2 : 32;
        struct month *wider = realloc(months->months, capacity * sizeof *wider);
        if (!wider) {
            error_set(err, ERROR_RETRY, "no memory for %zu months", capacity);
            return NULL;
        }
        months->months = wider;
        months->capacity = capacity;
    }
    struct month *month = &months->months[months->count++];
    *month = (struct month){.first_day = first_day};
    month_tail_forget(&month->tail);
    return month;
}

void months_detach(struct months *months)
{
    for (size_t i = 0; i < months->count; i++)
        months->months[i].is_attached = false;
}

bool months_attach(struct months *months, int32_t first_day, int64_t pages, bool is_by_parent, struct error *err)
{
    struct month *month = get(months, first_day, err);
    if (!month)
        return false;
    month->is_attached = true;
    month->is_by_parent = is_by_parent;
    if (pages >= 0)
        month->tail.look_pages = pages;
    return true;
}

void months_list_followed(const struct months *months, struct array_text *dates)
{
    int listed = 0;
    int32_t before = INT32_MAX;
    while (listed < MONTHS_FOLLOWED) { /* ends: each turn lists a month, or there is none left */
        const struct month *newest = NULL;
        for (size_t i = 0; i < months->count; i++) {
            const struct month *month = &months->months[i];
            if (month->tail.tail_page >= 0 && month->first_day < before && (!newest || month->first_day > newest->first_day))
                newest = month;
        }
        if (!newest)
            break;
        array_text_add_date(dates, newest->first_day);
        before = newest->first_day;
        listed++;
    }
}

bool months_is_attached(const struct months *months, int32_t day)
{
    const struct month *month = find(months, clock_month_of(day));
    return month && month->is_attached;
}

bool months_look(struct months *months, int32_t first_day, int64_t pages, struct error *err)
{
    struct month *month = get(months, first_day, err);
    if (month)
        month->tail.look_pages = pages;
    return month != NULL;
}

bool months_is_by_index(const struct months *months, int32_t first_day, int64_t now_us)
{
    const struct month *month = find(months, first_day);
    return !month || month_tail_is_by_index(&month->tail, now_us);
}

bool months_is_ready(const struct months *months, int32_t day, int64_t now_us)
{
    const struct month *month = find(months, clock_month_of(day));
    return !month || !month->is_attached || (month->tail.look_pages >= 0 && !month_tail_is_by_index(&month->tail, now_us));
}

bool months_miss(struct months *months, int32_t day, int64_t now_us)
{
    struct month *month = find(months, clock_month_of(day));
    return month && month_tail_miss(&month->tail, now_us);
}

void months_advance(struct months *months, bool is_all)
{
    for (size_t i = 0; i < months->count; i++)
        month_tail_advance(&months->months[i].tail, is_all);
}

bool months_summarize(struct months *months, struct session *session, int32_t day, int64_t now_us, struct error *err)
{
    struct month *month = get(months, clock_month_of(day), err);
    return month && month_tail_summarize(&month->tail, session, month->first_day, now_us, err);
}
