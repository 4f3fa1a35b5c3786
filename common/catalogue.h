/* catalogue.h - the known events: name, category, attributes with their types and closed lists of values.
 *
 * Read from JSON (schemas/catalogue.json; a copy is built in). Constant after loading, so any thread may look things up.
 * Attribute paths are dotted ("llm.latency.ttft") and looked for inside event_data.
 */
#ifndef TALLYMILL_COMMON_CATALOGUE_H
#define TALLYMILL_COMMON_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct catalogue;

enum attribute_type {
    ATTRIBUTE_TEXT,
    ATTRIBUTE_INTEGER,
    ATTRIBUTE_NUMBER,
    ATTRIBUTE_BOOL,
    ATTRIBUTE_MAP,
    ATTRIBUTE_ARRAY,
    ATTRIBUTE_ANY
};

struct attribute {
    const char *path; /* dotted */
    size_t path_length;
    enum attribute_type type;
    const char *const *values; /* the closed list of texts, NULL-terminated; NULL: any */
};

struct event_kind {
    const char *name;
    size_t name_length;
    const char *category;
    size_t category_length;
    bool is_derived; /* producers need not send it (generation_started, generation_completed) */
    const struct attribute *attributes;
    size_t attribute_count;
};

/* From a file, or the built-in copy when path is NULL or "". NULL and ERROR_USAGE with file, line and what is wrong. */
MUST_CHECK struct catalogue *catalogue_load(const char *path, struct error *err);
void catalogue_free(struct catalogue *catalogue);
bool catalogue_is_same(const struct catalogue *one, const struct catalogue *other);

/* The kind with that name, or NULL. O(1), no allocation. Borrowed: valid until catalogue_free. */
const struct event_kind *catalogue_find(const struct catalogue *catalogue, const char *name, size_t length);

/* All kinds, in the file's order. */
const struct event_kind *catalogue_kinds(const struct catalogue *catalogue, size_t *count);

#endif
