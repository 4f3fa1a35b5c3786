/* json_tree.h - a msgpack value of any shape as JSON text: event_data and the unknown keys.
 *
 * Recursion is bounded by WIRE_DATA_DEPTH, output by the caller's limit on input bytes. Keys are checked for repeats with a scratch stack of
 * their hashes: pairwise for small maps, sorted for large ones, so that a hostile map of 30,000 keys costs n log n.
 */
#ifndef TALLYMILL_JSON_TREE_H
#define TALLYMILL_JSON_TREE_H

#include <stdint.h>

#include "cursor.h"
#include "wire.h"

struct json_key {
    uint64_t hash;
    const uint8_t *bytes;
    uint32_t length;
};

/* A pair takes at least three bytes: room for the keys of one event_data and of as many bytes of unknown top-level pairs. */
enum { JSON_KEYS = 2 * (WIRE_DATA_BYTES / 3 + 16) };

struct json_tree {
    struct json_key *keys; /* JSON_KEYS of them, owned by the caller; used as a stack */
    uint32_t key_count;
    const uint8_t *limit;  /* event_data may not reach beyond this byte of the input: SIZE */
};

/* Writes the value at the cursor; a container at it is nesting level `level`. *out advances. */
enum reason json_tree_write(struct json_tree *tree, struct cursor *cursor, int level, uint8_t **out);

/* A key: KEY_TYPE, KEY, KEY_LEN, or the cursor's own reasons. The text is not checked yet. */
enum reason json_tree_key(struct cursor *cursor, struct item *key);

/* Pushes a key for the check of repeats, and checks all keys from `first` on, which it pops: DUP_KEY. */
void json_tree_push(struct json_tree *tree, const struct item *key);
enum reason json_tree_pop_unique(struct json_tree *tree, uint32_t first);

#endif
