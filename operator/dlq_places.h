/* dlq_places.h - places of dead letters as two arrays that go to Postgres as parameters: "{3,3}" and "{4711,4712}". One thread. */
#ifndef TALLYMILL_OPERATOR_DLQ_PLACES_H
#define TALLYMILL_OPERATOR_DLQ_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/error.h"

struct dlq_places {
    char *topic_partitions, *offsets; /* the arrays, once dlq_places_end() has answered true; owned until dlq_places_reset() */
    FILE *texts[2];
    size_t lengths[2];
    size_t count;
};

/* False without memory; reset it all the same. */
bool dlq_places_init(struct dlq_places *places, struct error *err);

/* Both are digits. */
void dlq_places_add(struct dlq_places *places, const char *topic_partition, const char *offset);

/* No more will be added. False without memory. */
bool dlq_places_end(struct dlq_places *places, struct error *err);

void dlq_places_reset(struct dlq_places *places);

#endif
