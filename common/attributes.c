/* attributes.c - the catalogue's paths as trees of keys, and values held against them.
 *
 * Invariant: each key of a path is one node, and a node's children have different names. Comparing every path with every key was
 * the first version; it took half of the reader's time. A hash table a node was rejected: most nodes have fewer than ten children,
 * and the hint finds them at the first try.
 */
#include "common/attributes.h"

#include <stdlib.h>
#include <string.h>

#include "common/catalogue.h"
#include "common/msgpack.h"
#include "common/error.h"
#include "common/json_text.h"
#include "common/wire.h"

struct attributes {
    const struct event_kind *kinds;
    struct attribute_node *roots; /* one a kind */
    size_t count;
};

/* The key's two forms. */
static void write_key(struct attribute_node *node)
{
    enum { MOST_PACKED = 31 };
    uint8_t *json = node->json;
    *json++ = ',';
    if (node->length == 0 || node->length > MOST_PACKED ||
        json_write_text(&json, (const uint8_t *)node->name, node->length) != REASON_NONE || json != node->json + node->length + 3)
        return; /* an escape in it: the way for all keys writes it */
    *json++ = ':';
    node->json_length = (uint8_t)(json - node->json);
    node->packed[0] = (uint8_t)(0xa0 | node->length);
    memcpy(node->packed + 1, node->name, node->length);
    node->packed_length = (uint8_t)(node->length + 1);
    const unsigned bytes = node->packed_length < 8 ? node->packed_length : 8;
    memcpy(&node->head, node->packed, bytes);
    memset(&node->head_mask, 0xff, bytes);
}

static uint16_t types_of(const struct attribute *attribute)
{
    static const uint16_t types[] = {
        [ATTRIBUTE_TEXT] = 1u << ITEM_STR,
        [ATTRIBUTE_INTEGER] = 1u << ITEM_UINT | 1u << ITEM_INT,
        [ATTRIBUTE_NUMBER] = 1u << ITEM_UINT | 1u << ITEM_INT | 1u << ITEM_FLOAT32 | 1u << ITEM_FLOAT64,
        [ATTRIBUTE_BOOL] = 1u << ITEM_BOOL,
        [ATTRIBUTE_MAP] = 1u << ITEM_MAP,
        [ATTRIBUTE_ARRAY] = 1u << ITEM_ARRAY,
        [ATTRIBUTE_ANY] = UINT16_MAX,
    };
    return types[attribute->type] | 1u << ITEM_NIL;
}

static struct attribute_node *find_or_add(struct attribute_node *node, const char *name, size_t length)
{
    uint32_t hint = 0;
    const struct attribute_node *found = attribute_child(node, &hint, (const uint8_t *)name, (uint32_t)length);
    if (found)
        return &node->children[found - node->children];
    struct attribute_node *children = realloc(node->children, (node->child_count + 1) * sizeof *children);
    if (!children)
        return NULL;
    node->children = children;
    children[node->child_count] =
        (struct attribute_node){.name = name, .length = (uint32_t)length, .types = 1u << ITEM_NIL | 1u << ITEM_MAP};
    write_key(&children[node->child_count]);
    return &children[node->child_count++];
}

static bool add_path(struct attribute_node *node, const struct attribute *attribute)
{
    const char *part = attribute->path;
    while (node && part) {
        const char *dot = strchr(part, '.');
        node = find_or_add(node, part, dot ? (size_t)(dot - part) : strlen(part));
        part = dot ? dot + 1 : NULL;
    }
    if (node) {
        node->types = types_of(attribute);
        node->values = attribute->type == ATTRIBUTE_TEXT ? attribute->values : NULL;
    }
    return node != NULL;
}

/* As deep as a path has parts, which the catalogue file's own size bounds; the paths of real ones have three. */
static void free_children(struct attribute_node *node)
{
    for (uint32_t i = 0; i < node->child_count; i++)
        free_children(&node->children[i]);
    free(node->children);
}

struct attributes *attributes_new(const struct catalogue *catalogue, struct error *err)
{
    struct attributes *attributes = calloc(1, sizeof *attributes);
    bool done = attributes != NULL;
    if (done) {
        attributes->kinds = catalogue_kinds(catalogue, &attributes->count);
        attributes->roots = calloc(attributes->count, sizeof *attributes->roots);
        done = attributes->roots != NULL;
    }
    for (size_t i = 0; done && i < attributes->count; i++) {
        attributes->roots[i].types = UINT16_MAX; /* event_data itself: the reader knows that it is a map */
        for (size_t k = 0; done && k < attributes->kinds[i].attribute_count; k++)
            done = add_path(&attributes->roots[i], &attributes->kinds[i].attributes[k]);
    }
    if (done)
        return attributes;
    attributes_free(attributes);
    error_set(err, ERROR_RETRY, "no memory for the catalogue's attributes");
    return NULL;
}

void attributes_free(struct attributes *attributes)
{
    if (!attributes)
        return;
    for (size_t i = 0; attributes->roots && i < attributes->count; i++)
        free_children(&attributes->roots[i]);
    free(attributes->roots);
    free(attributes);
}

const struct attribute_node *attributes_of(const struct attributes *attributes, const struct event_kind *kind)
{
    const struct attribute_node *root = &attributes->roots[kind - attributes->kinds];
    return root->child_count > 0 ? root : NULL;
}

bool attribute_is_listed(const struct attribute_node *node, const struct msgpack_item *item)
{
    for (const char *const *value = node->values; *value; value++)
        if (strncmp(*value, (const char *)item->bytes, item->length) == 0 && (*value)[item->length] == '\0')
            return true;
    return false;
}

static bool map_agrees(const struct attribute_node *node, struct msgpack_cursor *cursor, uint32_t pairs)
{
    bool agrees = true;
    uint32_t hint = 0;
    for (uint32_t i = 0; i < pairs && agrees; i++) {
        struct msgpack_item key, item;
        if (msgpack_next(cursor, &key) != REASON_NONE || key.type != ITEM_STR)
            return agrees;
        const struct attribute_node *child = attribute_child(node, &hint, key.bytes, key.length);
        struct msgpack_cursor inside = *cursor;
        if (msgpack_skip(cursor, WIRE_DATA_DEPTH) != REASON_NONE || !child || msgpack_next(&inside, &item) != REASON_NONE)
            continue;
        agrees = attribute_agrees(child, &item);
        if (item.type == ITEM_MAP && child->child_count > 0)
            agrees = map_agrees(child, &inside, item.length) && agrees;
    }
    return agrees;
}

bool attributes_agree(const struct attribute_node *root, const uint8_t *data, size_t length)
{
    struct msgpack_cursor cursor = {data, data + length};
    struct msgpack_item item;
    if (msgpack_next(&cursor, &item) != REASON_NONE || item.type != ITEM_MAP)
        return true;
    return map_agrees(root, &cursor, item.length);
}
