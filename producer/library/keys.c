/* keys.c - see keys.h.
 *
 * The usual ten keys have a mark of eight bytes each and a bit in a set of 256, by the mark: as long as a key's bit is free it is
 * new, and that is nearly always all there is to do. Hashing each into a table took 40 % of the time of an event. But event_data
 * may hold 30,000 keys and may come from strangers through a gateway; so from the 33rd on there is a table, with a random seed.
 * Marks need none: whatever keys are chosen to have the same mark, there are 32.
 *
 * The mark is made from the caller's text and not from its copy: reading what was written a moment ago in other pieces makes the
 * processor wait until it has left the store buffer, which costs more than all the rest.
 */
#include "producer/library/keys.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FIRST_CAPACITY = 128 };

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

bool keys_copy(struct keys *to, const struct keys *from)
{
    struct keys_entry *entries = NULL;
    if (from->capacity != 0 && (entries = malloc(from->capacity * sizeof *entries)) == NULL)
        return false;
    if (entries != NULL)
        memcpy(entries, from->entries, from->capacity * sizeof *entries);
    free(to->entries);
    *to = *from;
    to->entries = entries;
    return true;
}

void keys_reset(struct keys *keys)
{
    keys->count = 0;
    memset(keys->seen, 0, sizeof keys->seen);
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

static enum keys_answer add_to_table(struct keys *keys, const uint8_t *bytes, struct keys_entry key)
{
    if (keys->count * 2 >= keys->capacity && !grow(keys, bytes))
        return KEYS_NO_MEMORY;
    key.generation = keys->generation;
    key.hash = (uint32_t)XXH3_64bits_withSeed(bytes + key.position, key.length, keys->seed ^ key.map);
    struct keys_entry *entry = find(keys, bytes, &key);
    if (entry->generation == keys->generation)
        return KEYS_USED;
    *entry = key;
    return KEYS_NEW;
}

/* The first that does not fit among the few takes them along into the table. */
static enum keys_answer add_to_many(struct keys *keys, const uint8_t *bytes, const struct keys_entry *key)
{
    if (keys->count == KEYS_FEW)
        for (size_t i = 0; i < KEYS_FEW; i++)
            if (add_to_table(keys, bytes, keys->few[i]) == KEYS_NO_MEMORY)
                return KEYS_NO_MEMORY;
    enum keys_answer answer = add_to_table(keys, bytes, *key);
    keys->count += answer == KEYS_NEW;
    return answer;
}

static uint64_t load(const char *at, size_t length)
{
    uint64_t word = 0;
    memcpy(&word, at, length);
    return word;
}

/* Of keys of up to 16 bytes nothing is left out; of longer ones the middle. */
static uint64_t mark_of(const char *key, uint32_t length, uint32_t map)
{
    uint64_t word;
    if (length >= 8)
        word = load(key, 8) * UINT64_C(0x9E3779B97F4A7C15) ^ load(key + length - 8, 8);
    else if (length >= 4)
        word = load(key, 4) << 32 | load(key + length - 4, 4);
    else
        word = load(key, 1) << 16 | load(key + length / 2, 1) << 8 | load(key + length - 1, 1);
    return word + ((uint64_t)map << 40 | length) * UINT64_C(0xD6E8FEB86659FD93);
}

static bool is_among_few(const struct keys *keys, const uint8_t *bytes, const struct keys_entry *key, uint64_t mark)
{
    for (size_t i = 0; i < keys->count; i++) {
        const struct keys_entry *other = &keys->few[i];
        if (keys->marks[i] == mark && other->map == key->map && other->length == key->length &&
            memcmp(bytes + other->position, bytes + key->position, key->length) == 0)
            return true;
    }
    return false;
}

enum keys_answer keys_add(struct keys *keys, const uint8_t *bytes, uint32_t map, size_t position, const char *key, size_t length)
{
    if (keys->count >= KEYS_FEW)
        return add_to_many(keys, bytes,
                           &(struct keys_entry){.map = map, .position = (uint32_t)position, .length = (uint32_t)length});
    struct keys_entry *entry = &keys->few[keys->count]; /* filled in place, for the reason above */
    entry->map = map;
    entry->position = (uint32_t)position;
    entry->length = (uint32_t)length;
    uint64_t mark = mark_of(key, entry->length, map), place = mark * UINT64_C(0x9E3779B97F4A7C15) >> 56;
    uint64_t *word = &keys->seen[place / 64], bit = UINT64_C(1) << (place % 64);
    if ((*word & bit) != 0 && is_among_few(keys, bytes, entry, mark))
        return KEYS_USED;
    *word |= bit;
    keys->marks[keys->count++] = mark;
    return KEYS_NEW;
}
