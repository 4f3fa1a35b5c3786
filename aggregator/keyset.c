/* keyset.c - open addressing with linear probing, in one block of memory.
 *
 * Invariant: used <= limit < capacity, so a probe always ends at an empty entry. Entries never leave: sets are thrown away whole,
 * with their day, and so there are no tombstones. The slot is the high half of hash x capacity (Lemire, "Fast Random Integer
 * Generation in an Interval"): any capacity will do, and a set can grow by half where a power of two would have to double; at 24
 * bytes an entry and 0.7 full that is 34 to 51 bytes a session.
 *
 * Rejected: one set for each event name (5 times the memory with the plan's funnel, and a probe each for the same session); a
 * probabilistic sketch (the statistics are promised bit for bit).
 */
#include "aggregator/keyset.h"

#include <stdlib.h>
#include <string.h>

#include "aggregator/budget.h"

enum { FIRST_CAPACITY = 64 };

__extension__ typedef unsigned __int128 wide;

static inline uint64_t fold_multiply(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Folded multiplication with secret words, as in wyhash. */
static inline size_t home(const struct keyset *set, const struct keyset_secret *secret, const uint64_t *key)
{
    uint64_t second = set->key_words == 2 ? key[1] : 0;
    uint64_t hash = fold_multiply(key[0] ^ secret->words[0], second ^ secret->words[1]);
    hash = fold_multiply(hash ^ secret->words[2], secret->words[3]);
    return (size_t)((wide)hash * set->capacity >> 64);
}

static inline unsigned stride(const struct keyset *set)
{
    return set->key_words + 1;
}

static inline bool is_equal(const struct keyset *set, const uint64_t *entry, const uint64_t *key)
{
    return entry[0] == key[0] && (set->key_words == 1 || entry[1] == key[1]);
}

/* The key's entry, or the empty one where it belongs. */
static inline uint64_t *find(const struct keyset *set, const struct keyset_secret *secret, const uint64_t *key)
{
    size_t slot = home(set, secret, key);
    for (;;) { /* ends: an empty entry exists */
        uint64_t *entry = set->entries + slot * stride(set);
        if (entry[set->key_words] == 0 || is_equal(set, entry, key))
            return entry;
        if (++slot == set->capacity)
            slot = 0;
    }
}

static size_t table_bytes(const struct keyset *set, size_t capacity)
{
    return capacity * stride(set) * sizeof(uint64_t);
}

void keyset_init(struct keyset *set, unsigned key_words)
{
    *set = (struct keyset){.key_words = key_words};
}

void keyset_reset(struct keyset *set, struct budget *budget)
{
    if (set->entries)
        budget_give(budget, table_bytes(set, set->capacity));
    free(set->entries);
    keyset_init(set, set->key_words);
}

bool keyset_grow(struct keyset *set, const struct keyset_secret *secret, struct budget *budget)
{
    struct keyset grown = {.key_words = set->key_words, .used = set->used};
    grown.capacity = set->capacity ? set->capacity + set->capacity / 2 : FIRST_CAPACITY;
    grown.limit = grown.capacity / 10 * 7;
    if (!budget_take(budget, table_bytes(&grown, grown.capacity)))
        return false;
    grown.entries = calloc(grown.capacity * stride(&grown), sizeof(uint64_t));
    if (!grown.entries) {
        budget_give(budget, table_bytes(&grown, grown.capacity));
        return false;
    }
    for (size_t slot = 0; slot < set->capacity; slot++) {
        const uint64_t *entry = set->entries + slot * stride(set);
        if (entry[set->key_words] != 0)
            memcpy(find(&grown, secret, entry), entry, stride(set) * sizeof(uint64_t));
    }
    keyset_reset(set, budget);
    *set = grown;
    return true;
}

bool keyset_add(struct keyset *set, const struct keyset_secret *secret, const uint64_t *key, unsigned name)
{
    uint64_t *entry = find(set, secret, key);
    uint64_t bit = UINT64_C(1) << name;
    uint64_t *bits = entry + set->key_words;
    if (*bits & bit)
        return false;
    if (*bits == 0) {
        memcpy(entry, key, set->key_words * sizeof(uint64_t));
        set->used++;
    }
    *bits |= bit;
    return true;
}

void keyset_prefetch(const struct keyset *set, const struct keyset_secret *secret, const uint64_t *key)
{
    if (set->entries)
        __builtin_prefetch(set->entries + home(set, secret, key) * stride(set), 1);
}
