/* outside.h - events of an import that lie outside the window of times that the workers take, as far as this program's settings
 * tell. */
#ifndef TALLYMILL_PRODUCER_IMPORT_OUTSIDE_H
#define TALLYMILL_PRODUCER_IMPORT_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct settings;
struct tally_event;

struct outside {
    int64_t oldest_us, newest_us; /* the window */
    uint64_t before, behind, all;
};

/* The window as it is at wall_us. */
void outside_init(struct outside *outside, const struct settings *settings, int64_t wall_us);

/* One event that is sent. */
void outside_add(struct outside *outside, const struct tally_event *event);

/* Says how many lie where and what will become of them; nothing where none does. */
void outside_report(const struct outside *outside, const struct settings *settings, FILE *file);

#endif
