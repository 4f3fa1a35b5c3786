/* dlq_places.c - see dlq_places.h. */
#include "operator/dlq_places.h"

#include <string.h>

void dlq_places_init(struct dlq_places *places)
{
    *places = (struct dlq_places){.count = 0};
    array_text_begin(&places->topic_partitions);
    array_text_begin(&places->offsets);
}

void dlq_places_add(struct dlq_places *places, const char *topic_partition, const char *offset)
{
    places->count++;
    array_text_add(&places->topic_partitions, topic_partition, strlen(topic_partition));
    array_text_add(&places->offsets, offset, strlen(offset));
}

bool dlq_places_end(struct dlq_places *places, struct error *err)
{
    return (array_text_end(&places->topic_partitions) && array_text_end(&places->offsets)) ||
           error_set(err, ERROR_RETRY, "out of memory");
}

void dlq_places_reset(struct dlq_places *places)
{
    array_text_free(&places->topic_partitions);
    array_text_free(&places->offsets);
    places->count = 0;
}
