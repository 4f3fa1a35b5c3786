/* keyset.h - an exact set of keys, each with the set of event names (of up to 64) that it was seen under.
 *
 * COUNT(DISTINCT session_id) of every event name of a day in one table: a session is stored once, with one bit for each name it
 * had. One probe an event, and a session of eight names costs one entry, not eight.
 * Keys are one word (a user's bigint) or two (16 bytes of a session). No key value is reserved: an entry without a bit is empty.
 * One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_KEYSET_H
#define TALLYMILL_AGGREGATOR_KEYSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget;

enum { KEYSET_NAMES = 64 };

struct keyset {
    uint64_t *entries; /* capacity x (words of key, then the bits); NULL until it first grows */
    size_t capacity, used, limit;
    unsigned key_words; /* 1 or 2 */
};

/* Keys are spread over the table by this secret, so that nobody outside can make them collide. Filled once at the start. */
struct keyset_secret {
    uint64_t words[4];
};

void keyset_init(struct keyset *set, unsigned key_words);

/* Frees its memory and gives it back to the budget. The set is empty and usable again. */
void keyset_reset(struct keyset *set, struct budget *budget);

/* Whether one more key finds room without growing. */
static inline bool keyset_has_room(const struct keyset *set)
{
    return set->used < set->limit;
}

/* Half as large again, or the first table. False: the budget or the system has not enough; the set is as before. While it moves,
 * both tables are counted. */
bool keyset_grow(struct keyset *set, const struct keyset_secret *secret, struct budget *budget);

/* Notes that `key` had the name number `name` (0..63). True if that is new. The set must have room. */
bool keyset_add(struct keyset *set, const struct keyset_secret *secret, const uint64_t *key, unsigned name);

/* Asks the processor to fetch the entry that keyset_add(key) will look at. */
void keyset_prefetch(const struct keyset *set, const struct keyset_secret *secret, const uint64_t *key);

#endif
