/* attributes.h - does an event_data agree with the catalogue? Types of the known attributes, and values of the closed lists.
 *
 * Attributes that are absent, nil or not in the catalogue are fine: the catalogue says what a known attribute looks like, not which
 * are there. A key that holds a dot is never taken for a path.
 *
 * Dotted paths become a tree of keys for each kind of event, so that the walk that writes event_data looks up each key among the
 * few that can stand there. Constant once made: any thread.
 */
#ifndef TALLYMILL_COMMON_ATTRIBUTES_H
#define TALLYMILL_COMMON_ATTRIBUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"
#include "common/msgpack.h"

struct catalogue;
struct event_kind;

/* A key as it stands in a message and as it stands in JSON, made once, so that a known key costs a comparison and a copy. */
struct attribute_node {
    uint64_t head, head_mask; /* the first bytes of `packed`, up to eight, as a word of the machine */
    uint8_t packed[32];       /* msgpack: a fixstr */
    uint8_t json[48];         /* ,"key": */
    uint8_t packed_length;    /* 0: too long for a fixstr, or not plain text; it is found by its name alone */
    uint8_t json_length;
    uint16_t types;  /* bits of enum msgpack_type: what may stand here */
    uint32_t length; /* of name */
    uint32_t child_count;
    const char *name;          /* the key; borrowed from the catalogue */
    const char *const *values; /* the closed list of texts, or NULL */
    struct attribute_node *children;
};

struct attributes;

/* For all kinds of the catalogue, which must outlive it. NULL and ERROR_RETRY without memory. */
MUST_CHECK struct attributes *attributes_new(const struct catalogue *catalogue, struct error *err);
void attributes_free(struct attributes *attributes);

/* The tree of a kind, or NULL when none of its attributes is known. */
const struct attribute_node *attributes_of(const struct attributes *attributes, const struct event_kind *kind);

/* The child with that key, or NULL. *hint, 0 at first, is where the search begins: keys mostly come in one order. */
static inline const struct attribute_node *attribute_child(const struct attribute_node *node, uint32_t *hint, const uint8_t *key,
                                                           uint32_t length)
{
    uint32_t at = *hint;
    for (uint32_t left = node->child_count; left > 0; left--) {
        if (at >= node->child_count)
            at = 0;
        const struct attribute_node *child = &node->children[at++];
        if (child->length == length && bytes_equal(child->name, key, length)) {
            *hint = at;
            return child;
        }
    }
    return NULL;
}

/* The child whose key stands at [at, end), packed the short way, or NULL: attribute_child() then decides. */
static inline const struct attribute_node *attribute_packed(const struct attribute_node *node, uint32_t *hint, const uint8_t *at,
                                                            const uint8_t *end)
{
    if (end - at < 32)
        return NULL;
    const uint64_t head = load_8(at);
    uint32_t i = *hint;
    for (uint32_t left = node->child_count; left > 0; left--) {
        if (i >= node->child_count)
            i = 0;
        const struct attribute_node *child = &node->children[i++];
        if ((head & child->head_mask) == child->head && child->packed_length != 0 &&
            (child->packed_length <= 8 || bytes_equal(child->packed, at, child->packed_length))) {
            *hint = i;
            return child;
        }
    }
    return NULL;
}

/* Is this text in the node's closed list? */
bool attribute_is_listed(const struct attribute_node *node, const struct msgpack_item *item);

/* Is this value one that the catalogue expects at this node? */
static inline bool attribute_agrees(const struct attribute_node *node, const struct msgpack_item *item)
{
    if (!(node->types & 1u << item->type))
        return false;
    return !node->values || item->type != ITEM_STR || attribute_is_listed(node, item);
}

/* A whole event_data, which json_value_write has accepted, in a walk of its own: for events whose name stands behind it. */
bool attributes_agree(const struct attribute_node *root, const uint8_t *data, size_t length);

#endif
