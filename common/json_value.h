/* json_value.h - a msgpack value of any shape as JSON text: event_data and the unknown keys.
 *
 * Recursion is bounded by WIRE_DATA_DEPTH, output by the caller's limit on input bytes. Keys are checked for repeats on a scratch
 * stack: pairwise for small maps, sorted for large ones, so that a hostile map of 30,000 keys costs n log n.
 */
#ifndef TALLYMILL_COMMON_JSON_VALUE_H
#define TALLYMILL_COMMON_JSON_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/msgpack.h"
#include "common/wire.h"

struct attribute_node;

struct json_key {
    uint64_t head; /* the first bytes, to tell most keys apart at once */
    const uint8_t *bytes;
    uint32_t length;
};

/* A pair takes at least three bytes: room for the keys of one event_data and of as many bytes of unknown top-level pairs. */
enum { JSON_KEYS = 2 * (WIRE_DATA_BYTES / 3 + 16) };

struct json_value {
    struct json_key *keys; /* JSON_KEYS of them, owned by the caller; used as a stack */
    uint32_t key_count;
    const uint8_t *limit; /* event_data may not reach beyond this byte of the input: SIZE */
    enum reason reason;   /* why nothing more was written */
    bool disagrees;       /* set where a value is not what the catalogue expects at its place */
};

/* Writes the value at the cursor; a container at it is nesting level `level`. *out advances, and up to 48 bytes behind it are
 * overwritten. node: what the catalogue knows of this place (of event_data itself: the root, which no value is held against), or
 * NULL. */
enum reason json_value_write(struct json_value *json, struct msgpack_cursor *cursor, int level, const struct attribute_node *node,
                             uint8_t **out);

/* A key: KEY_TYPE, KEY, KEY_LEN, or the cursor's own reasons. The text is not checked yet. */
static inline enum reason json_value_key(struct msgpack_cursor *cursor, struct msgpack_item *key)
{
    const uint8_t *start = cursor->at;
    enum reason reason = msgpack_next(cursor, key);
    if (reason != REASON_NONE)
        return reason;
    if (key->type == ITEM_STR && key->length > 0 && key->length <= WIRE_MAP_KEY_BYTES)
        return REASON_NONE;
    cursor->at = start;
    return key->type != ITEM_STR ? REASON_KEY_TYPE : key->length == 0 ? REASON_KEY : REASON_KEY_LEN;
}

/* Pushes a key for the check of repeats. */
static inline void json_value_push(struct json_value *json, const struct msgpack_item *key)
{
    json->keys[json->key_count++] = (struct json_key){bytes_head(key->bytes, key->length), key->bytes, key->length};
}

/* Checks all keys from `first` on, which it pops: DUP_KEY. */
enum reason json_value_pop_unique(struct json_value *json, uint32_t first);

#endif
