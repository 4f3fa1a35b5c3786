/* place.h - a place in a topic on the command line: TOPIC_PARTITION, TOPIC_PARTITION:OFFSET or TOPIC_PARTITION:end. Digits only: a
 * sign is no number here. */
#ifndef TALLYMILL_OPERATOR_PLACE_H
#define TALLYMILL_OPERATOR_PLACE_H

#include <stdbool.h>

struct place {
    char topic_partition[12]; /* digits, as they go to the server */
    char offset[20];          /* digits, or "" when none was given */
    bool is_end;              /* "end" stood for the offset */
};

/* False when text is none of the three. */
bool place_parse(const char *text, struct place *place);

#endif
