/* nest.h - of a JSON object that is no event but holds them: the array in which they are. No I/O; any thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_NEST_H
#define TALLYMILL_PRODUCER_IMPORT_NEST_H

#include <stdbool.h>
#include <stddef.h>

enum { NEST_PATH_BYTES = 128 };

/* The first array of objects among the fields of the object, or among the fields of these: as jq writes where it is (".features",
 * ".hits.hits"). The text may be cut anywhere, and need be no JSON. False: there is none. */
bool nest_find(const char *text, size_t length, char path[NEST_PATH_BYTES]);

#endif
