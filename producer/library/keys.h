/* keys.h - the keys already used in the open maps of one event, so that a second one of the same name is noticed.
 *
 * Keys are not copied: an entry points into the event's bytes by position. Emptied in O(1), because it happens for each event. One
 * thread.
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_KEYS_H
#define TALLYMILL_PRODUCER_LIBRARY_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keys_entry {
    uint32_t map, position, length;
    uint32_t hash, generation; /* in the table only; an entry of an earlier generation is empty */
};

enum { KEYS_FEW = 32 };

struct keys {
    size_t count;
    /* The first KEYS_FEW, in the order in which they came. */
    uint64_t seen[4]; /* a bit by the mark: where it is not set, there is no need to look */
    uint64_t marks[KEYS_FEW];
    struct keys_entry few[KEYS_FEW];
    /* All, once there are more. */
    struct keys_entry *entries;
    size_t capacity; /* a power of two, or 0 */
    uint32_t generation;
    uint64_t seed;
};

enum keys_answer { KEYS_NEW, KEYS_USED, KEYS_NO_MEMORY };

void keys_init(struct keys *keys);
/* `to` was initialised and is brought to what `from` holds; both then stand for the same bytes. False: no memory. */
bool keys_copy(struct keys *to, const struct keys *from);

void keys_free(struct keys *keys);
void keys_reset(struct keys *keys);

/* Notes that `key`, which is also bytes[position, position + length), is used in the map with that number. `length` is not 0. */
enum keys_answer keys_add(struct keys *keys, const uint8_t *bytes, uint32_t map, size_t position, const char *key, size_t length);

#endif
