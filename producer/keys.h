/* keys.h - the keys already used in the open maps of one event, so that a second one of the same name is noticed.
 *
 * Keys are not copied: an entry points into the event's bytes by position. Emptied in O(1), because it happens for each event. One
 * thread.
 */
#ifndef TALLYMILL_KEYS_H
#define TALLYMILL_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keys_entry {
    uint32_t generation; /* an entry of an earlier generation is empty */
    uint32_t map;
    uint32_t hash;
    uint32_t position;
    uint32_t length;
};

struct keys {
    struct keys_entry *entries;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    uint32_t generation;
    uint64_t seed;
};

enum keys_answer { KEYS_NEW, KEYS_USED, KEYS_NO_MEMORY };

void keys_init(struct keys *keys);
void keys_free(struct keys *keys);
void keys_reset(struct keys *keys);

/* Notes that the key bytes[position, position + length) is used in the map with that number. */
enum keys_answer keys_add(struct keys *keys, const uint8_t *bytes, uint32_t map, size_t position, size_t length);

#endif
