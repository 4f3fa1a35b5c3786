/* columns_source.h - what the two halves of columns.h share: where each column comes from. columns.c fills it in from the command
 * line, columns_fill.c uses it line by line. */
#ifndef TALLYMILL_PRODUCER_IMPORT_COLUMNS_SOURCE_H
#define TALLYMILL_PRODUCER_IMPORT_COLUMNS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "producer/import/fields.h"
#include "producer/import/instant.h"

enum column { ID, EVENT_NAME, EVENT_CATEGORY, SESSION_ID, USER_ID, EVENT_DATA, IS_INTERNAL, CREATED_AT, COLUMNS };
enum { ATTRIBUTES_MAX = 256, FIELD_PART_BYTES = 256 };

struct source {
    char *field;                  /* owned; NULL: none */
    const struct value *value;    /* a constant, or NULL */
    const struct value *fallback; /* where the field is absent, or NULL */
    bool is_seen;                 /* some header or record has the field */
    struct value *entry;          /* while an object is filled in: the field, or NULL */
    const struct value *found;    /* its value, or what stands for it */
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
    bool takes_text_ids;
    uint8_t id_space[16]; /* in which they become UUIDs */
    uint64_t fingerprint;
    struct fields fields;         /* that were seen */
    unsigned dropped, told;       /* columns of our own table that a record had, by bits; of these, told */
    struct value_pool *constants; /* `value` and `fallback` of all */
    struct value_pool *scratch;   /* of one event */
    struct json *json;
};

#endif
