/* keys.c - see keys.h.
 *
 * An open-addressing table with a random seed: event_data may hold 30,000 keys and may come from strangers through a gateway, so
 * comparing each key with all before it (which is as fast for the usual ten) could be made to take seconds.
 */
#include "keys.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FIRST_CAPACITY = 64 };

void keys_init(struct keys *keys)
{
    *keys = (struct keys){.generation = 1};
    if (getentropy(&keys->seed, sizeof keys->seed) != 0)
        keys->seed = (uint64_t)(uintptr_t)keys; /* weaker, and still not known outside */
}

void keys_free(struct keys *keys)
{
    free(keys->entries);
    *keys = (struct keys){0};
}

void keys_reset(struct keys *keys)
{
    keys->count = 0;
    if (++keys->generation == 0) { /* once in four thousand million events: the old generations would come back to life */
        memset(keys->entries, 0, keys->capacity * sizeof *keys->entries);
        keys->generation = 1;
    }
}

/* The entry that equals this one, or the free one where it belongs. */
static struct keys_entry *find(struct keys *keys, const uint8_t *bytes, const struct keys_entry *key)
{
    size_t mask = keys->capacity - 1, at = key->hash & mask;
    for (; keys->entries[at].generation == keys->generation; at = (at + 1) & mask) {
        const struct keys_entry *entry = &keys->entries[at];
        if (entry->hash == key->hash && entry->map == key->map && entry->length == key->length &&
            memcmp(bytes + entry->position, bytes + key->position, key->length) == 0)
            break;
    }
    return &keys->entries[at];
}

static bool grow(struct keys *keys, const uint8_t *bytes)
{
    struct keys old = *keys;
    size_t capacity = old.capacity == 0 ? FIRST_CAPACITY : old.capacity * 2;
    struct keys_entry *entries = calloc(capacity, sizeof *entries);
    if (entries == NULL)
        return false;
    keys->entries = entries;
    keys->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++)
        if (old.entries[i].generation == keys->generation)
            *find(keys, bytes, &old.entries[i]) = old.entries[i];
    free(old.entries);
    return true;
}

enum keys_answer keys_add(struct keys *keys, const uint8_t *bytes, uint32_t map, size_t position, size_t length)
{
    if (keys->count * 2 >= keys->capacity && !grow(keys, bytes))
        return KEYS_NO_MEMORY;
    struct keys_entry key = {
        .generation = keys->generation, .map = map, .position = (uint32_t)position, .length = (uint32_t)length};
    key.hash = (uint32_t)XXH3_64bits_withSeed(bytes + position, length, keys->seed ^ map);
    struct keys_entry *entry = find(keys, bytes, &key);
    if (entry->generation == keys->generation)
        return KEYS_USED;
    *entry = key;
    keys->count++;
    return KEYS_NEW;
}
