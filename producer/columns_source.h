/* columns_source.h - what the two halves of columns.h share: where each column comes from. columns.c fills it in from the command
 * line, columns_fill.c uses it line by line. */
#ifndef TALLYMILL_COLUMNS_SOURCE_H
#define TALLYMILL_COLUMNS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "instant.h"

enum column { ID, EVENT_NAME, EVENT_CATEGORY, SESSION_ID, USER_ID, EVENT_DATA, IS_INTERNAL, CREATED_AT, COLUMNS };
enum { ATTRIBUTES_MAX = 256, FIELD_PART_BYTES = 256 };

struct source {
    char *field;      /* owned; NULL: none */
    json_t *value;    /* owned; a constant, or NULL */
    json_t *fallback; /* owned; where the field is absent, or NULL */
    json_t *holder;   /* while an object is filled in: where the field was found, borrowed */
    const char *key;
    json_t *found; /* its value, owned until the event is made */
};

struct attribute_source {
    char *name;
    struct source source;
};

struct columns {
    struct source columns[COLUMNS];
    struct attribute_source attributes[ATTRIBUTES_MAX];
    size_t attribute_count;
    bool is_mapped; /* --map or --rest was given */
    bool takes_rest, drops_rest;
    struct instant_rules times;
    uint64_t fingerprint;
};

#endif
