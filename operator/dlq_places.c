/* dlq_places.c - see dlq_places.h. */
#include "operator/dlq_places.h"

#include <stdlib.h>

bool dlq_places_init(struct dlq_places *places, struct error *err)
{
    *places = (struct dlq_places){.count = 0};
    places->texts[0] = open_memstream(&places->topic_partitions, &places->lengths[0]);
    places->texts[1] = open_memstream(&places->offsets, &places->lengths[1]);
    return (places->texts[0] && places->texts[1]) || error_set(err, ERROR_RETRY, "out of memory");
}

void dlq_places_add(struct dlq_places *places, const char *topic_partition, const char *offset)
{
    const char separator = places->count++ > 0 ? ',' : '{';
    fprintf(places->texts[0], "%c%s", separator, topic_partition);
    fprintf(places->texts[1], "%c%s", separator, offset);
}

bool dlq_places_end(struct dlq_places *places, struct error *err)
{
    bool is_whole = true;
    for (int i = 0; i < 2; i++) {
        fputs(places->count > 0 ? "}" : "{}", places->texts[i]);
        is_whole = fflush(places->texts[i]) == 0 && !ferror(places->texts[i]) && is_whole;
    }
    return is_whole || error_set(err, ERROR_RETRY, "out of memory");
}

void dlq_places_reset(struct dlq_places *places)
{
    for (int i = 0; i < 2; i++) {
        if (places->texts[i]) {
            fclose(places->texts[i]);
        }
    }
    free(places->topic_partitions);
    free(places->offsets);
    *places = (struct dlq_places){.count = 0};
}
