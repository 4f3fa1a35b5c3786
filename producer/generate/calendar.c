/* calendar.c - see calendar.h.
 *
 * Visits are spread by the inverse of their cumulative distribution, hour by hour, instead of being drawn (a Poisson process): any
 * number of events then covers the whole span and has the shape of a day, also a small one, and the arrivals come out in order
 * without a list.
 */
#include "producer/generate/calendar.h"

#include <stdlib.h>

#include "common/clock.h"

#define HOUR_US (CLOCK_DAY_US / 24)

/* Visits by hour of the UTC day: developers, most of them in Europe and America. */
static const double by_hour[24] = {22, 18, 15, 13, 14, 20, 34, 55, 78, 92, 97, 92, 88, 96, 100, 99, 94, 86, 76, 66, 56, 46, 36, 28};
/* By day of the week from Thursday on, which 1970-01-01 was. */
static const double by_weekday[7] = {1.05, 0.92, 0.42, 0.38, 0.97, 1.06, 1.10};

struct calendar {
    int64_t begin_us;
    int hours;
    double before[]; /* visits before each hour, and one more: all */
};

struct calendar *calendar_new(int days, int64_t until_us)
{
    int hours = days * 24;
    struct calendar *calendar = malloc(sizeof *calendar + ((size_t)hours + 1) * sizeof *calendar->before);
    if (calendar == NULL)
        return NULL;
    calendar->begin_us = until_us - days * CLOCK_DAY_US;
    calendar->hours = hours;
    double visits = 0;
    for (int i = 0; i < hours; i++) {
        calendar->before[i] = visits;
        int64_t middle_us = calendar->begin_us + i * HOUR_US + HOUR_US / 2;
        int32_t day = clock_day_of(middle_us);
        int hour = (int)((middle_us - day * CLOCK_DAY_US) / HOUR_US);
        visits += by_hour[hour] * by_weekday[(day % 7 + 7) % 7];
    }
    calendar->before[hours] = visits;
    return calendar;
}

void calendar_free(struct calendar *calendar)
{
    free(calendar);
}

int64_t calendar_at(const struct calendar *calendar, double share)
{
    double visits = share * calendar->before[calendar->hours];
    int low = 0, high = calendar->hours; /* before[low] <= visits < before[high] */
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (calendar->before[middle] <= visits)
            low = middle;
        else
            high = middle;
    }
    double within = (visits - calendar->before[low]) / (calendar->before[low + 1] - calendar->before[low]);
    return calendar->begin_us + low * HOUR_US + (int64_t)(within * (double)(HOUR_US - 1));
}
