/* zone.h - --time-zone: from a local time to the instant, by the system's time zone database. One zone a process; one thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_ZONE_H
#define TALLYMILL_PRODUCER_IMPORT_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct zone;

/* An IANA name, such as Europe/Berlin; UTC is known without the database. NULL: ERROR_USAGE, with the nearest name. */
MUST_CHECK struct zone *zone_open(const char *name, struct error *err);
void zone_close(struct zone *zone);

enum zone_answer {
    ZONE_FOUND,
    ZONE_SKIPPED /* clocks were set forward over it */,
    ZONE_REPEATED /* set back: it is there twice */
};

/* local_us: microseconds since 1970 as the clock on the wall shows them. */
enum zone_answer zone_find(struct zone *zone, int64_t local_us, int64_t *wall_us);

#endif
