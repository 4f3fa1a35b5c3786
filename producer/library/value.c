/* value.c - see value.h.
 *
 * Blocks of memory, handed out from their beginning and never given back one by one: a record costs no malloc() once the first ones
 * have been seen. A tree of counted references (jansson's) costs one for each value and each key, which was two thirds of an
 * import.
 */
#include "producer/library/value.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/error.h"
#include "common/utf8.h"

enum { BLOCK_BYTES = 128 * 1024, KEPT_BYTES = 1024 * 1024, FEW_KEYS = 12 };

struct block {
    struct block *next;
    size_t capacity, used;
    alignas(max_align_t) char bytes[];
};

struct value_pool {
    struct block *first, *current;
    size_t count; /* of values */
};

struct value_pool *value_pool_new(void)
{
    return calloc(1, sizeof(struct value_pool));
}

static void free_blocks(struct block *block)
{
    while (block != NULL) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
}

void value_pool_free(struct value_pool *pool)
{
    if (pool == NULL)
        return;
    free_blocks(pool->first);
    free(pool);
}

void value_pool_reset(struct value_pool *pool)
{
    size_t kept = 0;
    for (struct block *block = pool->first; block != NULL; block = block->next) {
        block->used = 0;
        kept += block->capacity;
        if (block->next != NULL && kept + block->next->capacity > KEPT_BYTES) {
            free_blocks(block->next);
            block->next = NULL;
        }
    }
    pool->current = pool->first;
    pool->count = 0;
}

static bool add_block(struct value_pool *pool, size_t bytes)
{
    size_t capacity = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    struct block *block = malloc(sizeof *block + capacity);
    if (block == NULL)
        return false;
    *block = (struct block){.capacity = capacity};
    if (pool->current == NULL) {
        pool->first = block;
    } else {
        block->next = pool->current->next;
        pool->current->next = block;
    }
    pool->current = block;
    return true;
}

static void *take(struct value_pool *pool, size_t bytes, struct error *err)
{
    bytes = (bytes + 7) & ~(size_t)7;
    while (pool->current == NULL || pool->current->capacity - pool->current->used < bytes) {
        if (pool->current != NULL && pool->current->next != NULL) {
            pool->current = pool->current->next;
        } else if (!add_block(pool, bytes)) {
            error_set(err, ERROR_RETRY, "no memory");
            return NULL;
        }
    }
    void *room = pool->current->bytes + pool->current->used;
    pool->current->used += bytes;
    return room;
}

struct value *value_new(struct value_pool *pool, enum value_type type, struct error *err)
{
    if (pool->count == VALUE_COUNT_MAX) {
        error_set(err, ERROR_REJECT, "it holds more than %d values", VALUE_COUNT_MAX);
        return NULL;
    }
    struct value *value = take(pool, sizeof *value, err);
    if (value == NULL)
        return NULL;
    pool->count++;
    *value = (struct value){.type = (uint8_t)type};
    return value;
}

char *value_room(struct value_pool *pool, size_t length, struct error *err)
{
    return take(pool, length + 1, err);
}

struct value *value_text(struct value_pool *pool, const char *text, size_t length, struct error *err)
{
    char *copy = value_room(pool, length, err);
    struct value *value = copy == NULL ? NULL : value_new(pool, VALUE_TEXT, err);
    if (value == NULL)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    value->text = copy;
    value->length = length;
    return value;
}

struct value *value_share(struct value_pool *pool, const struct value *value, struct error *err)
{
    struct value *shared = value_new(pool, value->type, err);
    if (shared == NULL)
        return NULL;
    *shared = *value;
    shared->key = NULL;
    shared->next = NULL;
    shared->is_taken = false;
    return shared;
}

struct value *value_copy(struct value_pool *pool, const struct value *value, struct error *err)
{
    if (value->type == VALUE_TEXT || value->type == VALUE_BIG) {
        struct value *text = value_text(pool, value->text, value->length, err);
        if (text != NULL)
            text->type = value->type;
        return text;
    }
    struct value *copy = value_share(pool, value, err);
    if (copy == NULL || value->type < VALUE_ARRAY)
        return copy;
    copy->entries.first = copy->entries.last = NULL;
    copy->length = 0;
    for (const struct value *entry = value->entries.first; entry != NULL; entry = entry->next) {
        struct value *inner = value_copy(pool, entry, err); /* no deeper than VALUE_DEPTH_MAX: readers refuse more */
        struct value *key = inner == NULL || entry->key == NULL ? NULL : value_text(pool, entry->key, entry->key_length, err);
        if (inner == NULL || (entry->key != NULL && key == NULL))
            return NULL;
        value_add(copy, key == NULL ? NULL : key->text, entry->key_length, inner);
    }
    return copy;
}

void value_add(struct value *container, const char *key, size_t key_length, struct value *value)
{
    value->key = key;
    value->key_length = (uint32_t)key_length;
    value->next = NULL;
    if (container->entries.first == NULL)
        container->entries.first = value;
    else
        container->entries.last->next = value;
    container->entries.last = value;
    container->length++;
}

struct value *value_find(const struct value *object, const char *key, size_t key_length)
{
    if (object == NULL || object->type != VALUE_OBJECT)
        return NULL;
    for (struct value *entry = object->entries.first; entry != NULL; entry = entry->next)
        if (entry->key_length == key_length && memcmp(entry->key, key, key_length) == 0)
            return entry;
    return NULL;
}

bool value_has_rest(const struct value *object)
{
    for (const struct value *entry = object->entries.first; entry != NULL; entry = entry->next)
        if (!entry->is_taken)
            return true;
    return false;
}

static bool refuse(const struct value *entry, struct error *err)
{
    return error_set(err, ERROR_REJECT, "the key '%.*s' is a duplicate: it stands twice in one object", UTF8_CUT(entry->key, 60));
}

/* Open addressing in a table that is at most half full. */
static bool many_are_unique(struct value_pool *pool, const struct value *object, struct error *err)
{
    size_t size = 64;
    while (size < object->length * 2)
        size *= 2;
    const struct value **table = (const struct value **)value_room(pool, size * sizeof *table, err);
    if (table == NULL)
        return false;
    memset(table, 0, size * sizeof *table);
    for (const struct value *entry = object->entries.first; entry != NULL; entry = entry->next) {
        size_t at = XXH3_64bits(entry->key, entry->key_length) & (size - 1);
        for (; table[at] != NULL; at = (at + 1) & (size - 1))
            if (table[at]->key_length == entry->key_length && memcmp(table[at]->key, entry->key, entry->key_length) == 0)
                return refuse(entry, err);
        table[at] = entry;
    }
    return true;
}

bool value_keys_are_unique(struct value_pool *pool, const struct value *object, struct error *err)
{
    if (object->length > FEW_KEYS)
        return many_are_unique(pool, object, err);
    for (const struct value *entry = object->entries.first; entry != NULL; entry = entry->next)
        for (const struct value *other = object->entries.first; other != entry; other = other->next)
            if (other->key_length == entry->key_length && memcmp(other->key, entry->key, entry->key_length) == 0)
                return refuse(entry, err);
    return true;
}
