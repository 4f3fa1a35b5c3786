/* json_tree.c - see json_tree.h. The alternative, a tree in memory that is printed afterwards, costs an allocation per value and a second walk;
 * what it would buy, rejecting before writing, the caller has for free: what was written for a bad event is simply overwritten.
 */
#include "json_tree.h"

#include <stdlib.h>
#include <string.h>

#include "attributes.h"
#include "json_text.h"

enum { PAIRWISE_KEYS = 12 };

static bool same_key(const struct json_key *a, const struct json_key *b)
{
    return a->head == b->head && a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

/* Any order will do that puts equal keys side by side. Bounded: all keys together are no longer than event_data. */
static int by_length_then_bytes(const void *left, const void *right)
{
    const struct json_key *a = left, *b = right;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    if (a->head != b->head)
        return a->head < b->head ? -1 : 1;
    return memcmp(a->bytes, b->bytes, a->length);
}

enum reason json_tree_pop_unique(struct json_tree *tree, uint32_t first)
{
    struct json_key *keys = tree->keys + first;
    const uint32_t count = tree->key_count - first;
    tree->key_count = first;
    if (count <= PAIRWISE_KEYS) {
        for (uint32_t i = 1; i < count; i++)
            for (uint32_t k = 0; k < i; k++)
                if (same_key(&keys[i], &keys[k]))
                    return REASON_DUP_KEY;
        return REASON_NONE;
    }
    qsort(keys, count, sizeof *keys, by_length_then_bytes);
    for (uint32_t i = 1; i < count; i++)
        if (same_key(&keys[i - 1], &keys[i]))
            return REASON_DUP_KEY;
    return REASON_NONE;
}

static enum reason write_map(struct json_tree *tree, struct cursor *cursor, uint32_t pairs, int level, const struct attribute_node *node, uint8_t **out)
{
    uint32_t hint = 0;
    const uint32_t first = tree->key_count;
    *(*out)++ = '{';
    for (uint32_t i = 0; i < pairs; i++) {
        struct item key;
        if (i > 0)
            *(*out)++ = ',';
        enum reason reason = json_tree_key(cursor, &key);
        if (reason == REASON_NONE && cursor->at > tree->limit)
            reason = REASON_SIZE;
        if (reason == REASON_NONE)
            reason = json_write_text(out, key.bytes, key.length);
        if (reason != REASON_NONE)
            return reason;
        json_tree_push(tree, &key);
        *(*out)++ = ':';
        const struct attribute_node *child = node ? attribute_child(node, &hint, key.bytes, key.length) : NULL;
        reason = json_tree_write(tree, cursor, level + 1, child, out);
        if (reason != REASON_NONE)
            return reason;
    }
    *(*out)++ = '}';
    return json_tree_pop_unique(tree, first);
}

static enum reason write_array(struct json_tree *tree, struct cursor *cursor, uint32_t items, int level, uint8_t **out)
{
    *(*out)++ = '[';
    for (uint32_t i = 0; i < items; i++) {
        if (i > 0)
            *(*out)++ = ',';
        const enum reason reason = json_tree_write(tree, cursor, level + 1, NULL, out);
        if (reason != REASON_NONE)
            return reason;
    }
    *(*out)++ = ']';
    return REASON_NONE;
}

static void write_word(uint8_t **out, const char *word, size_t length)
{
    memcpy(*out, word, length);
    *out += length;
}

static enum reason write_time(const struct item *item, uint8_t **out)
{
    int64_t wall_us;
    const enum reason reason = item_time(item, &wall_us);
    return reason == REASON_NONE ? json_write_time(out, wall_us) : reason;
}

enum reason json_tree_write(struct json_tree *tree, struct cursor *cursor, int level, const struct attribute_node *node, uint8_t **out)
{
    struct item item;
    const uint8_t *start = cursor->at;
    enum reason reason = cursor_next(cursor, &item);
    if (reason != REASON_NONE)
        return reason;
    if (cursor->at > tree->limit) {
        cursor->at = start;
        return REASON_SIZE;
    }
    if (item.type >= ITEM_ARRAY && level > WIRE_DATA_DEPTH) {
        cursor->at = start;
        return REASON_DEPTH;
    }
    if (node && level > 1 && !attribute_agrees(node, &item))
        tree->disagrees = true;
    switch (item.type) {
    case ITEM_NIL: write_word(out, "null", 4); break;
    case ITEM_BOOL: item.uint ? write_word(out, "true", 4) : write_word(out, "false", 5); break;
    case ITEM_UINT: *out = json_write_uint(*out, item.uint); break;
    case ITEM_INT: *out = json_write_int(*out, item.sint); break;
    case ITEM_FLOAT32: reason = json_write_float32(out, item.float32); break;
    case ITEM_FLOAT64: reason = json_write_float64(out, item.float64); break;
    case ITEM_STR: reason = json_write_text(out, item.bytes, item.length); break;
    case ITEM_BIN: *out = json_write_base64(*out, item.bytes, item.length); break;
    case ITEM_EXT: reason = write_time(&item, out); break;
    case ITEM_ARRAY: return write_array(tree, cursor, item.length, level, out);
    case ITEM_MAP: return write_map(tree, cursor, item.length, level, node, out);
    }
    if (reason != REASON_NONE)
        cursor->at = start;
    return reason;
}
