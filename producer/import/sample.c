/* sample.c - see sample.h. The first record alone was rejected: where its time is empty it does not show how times are written. */
#include "producer/import/sample.h"

#include <string.h>

#include "common/error.h"
#include "producer/library/value.h"

enum { FIELDS_MAX = 1024, LATER_BYTES_MAX = 1024 };

static bool says_nothing(const struct value *value)
{
    return value->type == VALUE_NULL || (value->type == VALUE_TEXT && value->length == 0);
}

static void add(struct value *sample, struct value_pool *pool, const struct value *entry)
{
    struct error ignored;
    struct value *known = value_find(sample, entry->key, entry->key_length);
    if (known != NULL && !says_nothing(known))
        return;
    struct value *copy = value_copy(pool, entry, &ignored),
                 *key = copy == NULL || known != NULL ? NULL : value_text(pool, entry->key, entry->key_length, &ignored);
    if (known != NULL && copy != NULL) {
        known->type = copy->type;
        known->length = copy->length;
        known->entries = copy->entries;
    } else if (key != NULL) {
        value_add(sample, key->text, entry->key_length, copy);
    }
}

void sample_add(struct value *sample, struct value_pool *pool, const struct value *record)
{
    const bool is_first = sample->length == 0;
    for (const struct value *entry = record->entries.first; entry != NULL; entry = entry->next) {
        const bool is_large = entry->type >= VALUE_TEXT && (entry->type != VALUE_TEXT || entry->length > LATER_BYTES_MAX);
        if (is_first || (!is_large && !says_nothing(entry) && sample->length < FIELDS_MAX))
            add(sample, pool, entry);
    }
}
