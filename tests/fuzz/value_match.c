/* value_match.c - see value_match.h. */
#include "value_match.h"

#include <string.h>

#include "producer/library/value.h"

static const struct value *next_left(const struct value *entry)
{
    while (entry != NULL && (entry->is_taken || entry->is_number_nan))
        entry = entry->next;
    return entry;
}

static bool entries_match(const struct value *one, const struct value *other)
{
    const struct value *left = next_left(one->entries.first), *right = next_left(other->entries.first);
    for (; left != NULL && right != NULL; left = next_left(left->next), right = next_left(right->next)) {
        bool has_key = left->key != NULL;
        if (has_key != (right->key != NULL) || !value_match(left, right))
            return false;
        if (has_key && (left->key_length != right->key_length || memcmp(left->key, right->key, left->key_length) != 0))
            return false;
    }
    return left == NULL && right == NULL;
}

bool value_match(const struct value *one, const struct value *other)
{
    if (one->type != other->type)
        return false;
    switch (one->type) {
    case VALUE_TEXT:
    case VALUE_BIG: return one->length == other->length && memcmp(one->text, other->text, one->length) == 0;
    case VALUE_INTEGER:
    case VALUE_UNSIGNED:
    case VALUE_REAL: return one->whole == other->whole;
    case VALUE_ARRAY:
    case VALUE_OBJECT: return entries_match(one, other);
    default: return true;
    }
}
