/* instant.h - the time of an event as files write it: a text in a form that says by itself what it means (civil.h) or one that was
 * given, or a number since 1970 in a unit that was stated. One thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_INSTANT_H
#define TALLYMILL_PRODUCER_IMPORT_INSTANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct value;
struct zone;

/* How many of the unit make a second; UNSTATED refuses numbers: a guess between s, ms and us would be wrong by years in silence. */
enum time_unit { TIME_UNIT_UNSTATED = 0, TIME_UNIT_S = 1, TIME_UNIT_MS = 1000, TIME_UNIT_US = 1000000, TIME_UNIT_NS = 1000000000 };

enum { INSTANT_FORMATS_MAX = 16 };

/* How times are read: zero is a start. */
struct instant_rules {
    enum time_unit unit;
    char *formats[INSTANT_FORMATS_MAX]; /* owned; tried in order, before the known forms */
    size_t format_count;
    struct zone *zone; /* owned; of texts without an offset; NULL: such are refused */
};

/* "s", "ms", "us" or "ns". */
bool instant_parse_unit(const char *text, enum time_unit *unit);

/* One more format (time_format.h); the zone (zone.h), once. ERROR_USAGE. */
MUST_CHECK bool instant_add_format(struct instant_rules *rules, const char *format, struct error *err);
MUST_CHECK bool instant_set_zone(struct instant_rules *rules, const char *name, struct error *err);
void instant_reset(struct instant_rules *rules);

/* *wall_us from a text or number; below a microsecond it is cut downwards. NULL, or why not, as a constant. */
const char *instant_read(const struct instant_rules *rules, const struct value *value, int64_t *wall_us);

#endif
