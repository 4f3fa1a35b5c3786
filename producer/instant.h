/* instant.h - the time of an event as files write it: RFC 3339 text, or a number since 1970 in a unit that was stated. */
#ifndef TALLYMILL_INSTANT_H
#define TALLYMILL_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/* How many of the unit make a second; UNSTATED refuses numbers: a guess between s, ms and us would be wrong by years in silence. */
enum time_unit { TIME_UNIT_UNSTATED = 0, TIME_UNIT_S = 1, TIME_UNIT_MS = 1000, TIME_UNIT_US = 1000000, TIME_UNIT_NS = 1000000000 };

/* "s", "ms", "us" or "ns". */
bool instant_parse_unit(const char *text, enum time_unit *unit);

/* *wall_us from a JSON text or number; below a microsecond it is cut downwards. NULL, or why not, as a constant. */
const char *instant_read(const json_t *value, enum time_unit unit, int64_t *wall_us);

#endif
