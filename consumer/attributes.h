/* attributes.h - does an event_data agree with the catalogue? Types of the known attributes, and values of the closed lists.
 *
 * Attributes that are absent, nil or not in the catalogue are fine: the catalogue says what a known attribute looks like, not which are there. A key that holds a
 * dot is never taken for a path.
 *
 * Dotted paths become a tree of keys for each kind of event, so that the walk that writes event_data looks up each key among the few that can stand there.
 * Constant once made: any thread.
 */
#ifndef TALLYMILL_ATTRIBUTES_H
#define TALLYMILL_ATTRIBUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

struct attribute;
struct catalogue;
struct error;
struct event_kind;
struct item;

struct attribute_node {
    const char *name; /* the key; borrowed from the catalogue */
    uint32_t length;
    uint32_t child_count;
    const struct attribute *attribute; /* whose path ends here, or NULL */
    struct attribute_node *children;
};

struct attributes;

/* For all kinds of the catalogue, which must outlive it. NULL and ERROR_RETRY without memory. */
struct attributes *attributes_new(const struct catalogue *catalogue, struct error *err);
void attributes_free(struct attributes *attributes);

/* The tree of a kind, or NULL when none of its attributes is known. */
const struct attribute_node *attributes_of(const struct attributes *attributes, const struct event_kind *kind);

/* The child with that key, or NULL. *hint, 0 at first, is where the search begins: keys mostly come in one order. */
static inline const struct attribute_node *attribute_child(const struct attribute_node *node, uint32_t *hint, const uint8_t *key, uint32_t length)
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

/* Is this value one that the catalogue expects at this node? */
bool attribute_agrees(const struct attribute_node *node, const struct item *item);

/* A whole event_data, which json_tree_write has accepted, in a walk of its own: for events whose name stands behind it. */
bool attributes_agree(const struct attribute_node *root, const uint8_t *data, size_t length);

#endif
