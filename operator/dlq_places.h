/* dlq_places.h - places of dead letters as two arrays that go to Postgres as parameters. One thread. */
#ifndef TALLYMILL_OPERATOR_DLQ_PLACES_H
#define TALLYMILL_OPERATOR_DLQ_PLACES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/array_text.h"
#include "common/error.h"

struct dlq_places {
    struct array_text topic_partitions, offsets; /* whose bytes are the arrays, once dlq_places_end() has answered true */
    size_t count;
};

void dlq_places_init(struct dlq_places *places);

/* Both are digits. */
void dlq_places_add(struct dlq_places *places, const char *topic_partition, const char *offset);

/* No more will be added. False without memory. */
MUST_CHECK bool dlq_places_end(struct dlq_places *places, struct error *err);

void dlq_places_reset(struct dlq_places *places);

#endif
