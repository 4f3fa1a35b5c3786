/* first_look.h - what the first records of a file show: the fields that they have, how those are written, and which of them is
 * likely which column. One thread.
 */
#ifndef TALLYMILL_PRODUCER_IMPORT_FIRST_LOOK_H
#define TALLYMILL_PRODUCER_IMPORT_FIRST_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "producer/import/day_order.h"
#include "producer/import/fields.h"
#include "producer/import/nest.h"
#include "producer/import/reader.h"

struct value;
struct value_pool;

/* The columns that fields are looked for, in the order in which they are proposed. */
enum look_column {
    LOOK_ID,
    LOOK_EVENT_NAME,
    LOOK_SESSION_ID,
    LOOK_EVENT_CATEGORY,
    LOOK_USER_ID,
    LOOK_IS_INTERNAL,
    LOOK_CREATED_AT,
    LOOK_COLUMNS
};

struct first_look {
    struct reader_kind kind; /* as the user said it, or as the file looks */
    struct fields fields;
    uint64_t records;
    char nest[NEST_PATH_BYTES]; /* of the first record: the array of objects in it; else "" */
    struct value_pool *pool;
    struct value *sample;   /* shows how ids and times are written */
    const char *time_field; /* of `fields`: the one that is likely created_at, or NULL */
    bool is_time_named;     /* ... by its name, and not by how it is written */
    struct day_order days;  /* in which it has days and months, if it has them so */
};

/* Nothing is read yet. ERROR_RETRY without memory; to be reset either way. */
MUST_CHECK bool first_look_begin(struct first_look *look, const struct reader_kind *kind, struct error *err);
void first_look_reset(struct first_look *look);

/* Reads as look->kind says. False: *err, and no record can be read so; *is_other: it looks like what look->kind is now, and may be
 * read once more. */
MUST_CHECK bool first_look_read(struct first_look *look, const char *path, bool *is_other, struct error *err);

/* A field as it is spelt in the file, or NULL. Valid as long as the look. */
const char *first_look_find(const struct first_look *look, const char *name);

/* The field that is likely this column, or NULL; and the column's name. */
const char *first_look_column(const struct first_look *look, enum look_column column);
const char *look_column_name(enum look_column column);

/* A value that a field has, or NULL. */
const struct value *first_look_value(const struct first_look *look, const char *field);

/* Names with control characters (of a terminal, of lines) are not proposed. */
bool first_look_is_printable(const char *name, size_t length);

#endif
