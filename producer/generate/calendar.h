/* calendar.h - when people come: days and nights, weekdays and weekends over the last days before a moment. */
#ifndef TALLYMILL_PRODUCER_GENERATE_CALENDAR_H
#define TALLYMILL_PRODUCER_GENERATE_CALENDAR_H

#include <stdint.h>

struct calendar;

/* The `days` (1 or more) that end at until_us. NULL: no memory. */
struct calendar *calendar_new(int days, int64_t until_us);
void calendar_free(struct calendar *calendar);

/* The time by which a share (0 <= share < 1) of all visits has come; increasing. Unix microseconds before until_us. */
int64_t calendar_at(const struct calendar *calendar, double share);

#endif
