/* tuple_delta.h - a COPY tuple as an entry of its batch's delta (common/delta.h). Pure. */
#ifndef TALLYMILL_CONSUMER_TUPLE_DELTA_H
#define TALLYMILL_CONSUMER_TUPLE_DELTA_H

#include <stdint.h>

struct delta;

/* tuple: one that transcode() wrote; day: of its created_at, UTC, since 1970-01-01. */
void tuple_delta_add(struct delta *delta, const uint8_t *tuple, int32_t day);

#endif
