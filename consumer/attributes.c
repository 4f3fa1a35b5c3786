/* attributes.c - a second, read-only walk over event_data, made only for events that the catalogue knows.
 *
 * It goes down a map only while some attribute's path goes on below the key. Doing this in the first walk would save its 50-150 ns, but the first
 * walk may meet event_data before event_name.
 */
#include "attributes.h"

#include <string.h>

#include "catalogue.h"
#include "cursor.h"
#include "wire.h"

static bool value_is_listed(const struct attribute *attribute, const struct item *item)
{
    if (!attribute->values || item->type != ITEM_STR)
        return true;
    for (const char *const *value = attribute->values; *value; value++)
        if (strlen(*value) == item->length && memcmp(*value, item->bytes, item->length) == 0)
            return true;
    return false;
}

static bool value_agrees(const struct attribute *attribute, const struct item *item)
{
    if (item->type == ITEM_NIL)
        return true;
    switch (attribute->type) {
    case ATTRIBUTE_TEXT: return item->type == ITEM_STR && value_is_listed(attribute, item);
    case ATTRIBUTE_INTEGER: return item->type == ITEM_UINT || item->type == ITEM_INT;
    case ATTRIBUTE_NUMBER: return item->type >= ITEM_UINT && item->type <= ITEM_FLOAT64;
    case ATTRIBUTE_BOOL: return item->type == ITEM_BOOL;
    case ATTRIBUTE_MAP: return item->type == ITEM_MAP;
    case ATTRIBUTE_ARRAY: return item->type == ITEM_ARRAY;
    case ATTRIBUTE_ANY: return true;
    }
    return true;
}

/* A path as far as the walk has come down. */
struct path {
    const uint8_t *keys[WIRE_DATA_DEPTH];
    uint32_t lengths[WIRE_DATA_DEPTH];
    int depth;
};

/* Does attribute begin with the path? *ends: it is the path. */
static bool follows(const struct attribute *attribute, const struct path *path, bool *ends)
{
    size_t at = 0;
    for (int i = 0; i < path->depth; i++) {
        const size_t length = path->lengths[i];
        if (attribute->path_length - at < length || memcmp(attribute->path + at, path->keys[i], length) != 0)
            return false;
        at += length;
        if (at == attribute->path_length) {
            *ends = true;
            return i == path->depth - 1;
        }
        if (attribute->path[at++] != '.')
            return false;
    }
    *ends = false;
    return true;
}

static bool map_agrees(const struct event_kind *kind, struct cursor *cursor, uint32_t pairs, struct path *path);

static bool pair_agrees(const struct event_kind *kind, struct cursor *cursor, struct path *path)
{
    bool goes_on = false, agrees = true;
    const struct attribute *found = NULL;
    for (size_t i = 0; i < kind->attribute_count; i++) {
        bool ends;
        if (!follows(&kind->attributes[i], path, &ends))
            continue;
        if (ends)
            found = &kind->attributes[i];
        else
            goes_on = true;
    }
    struct cursor inside = *cursor;
    struct item item;
    if (cursor_skip(cursor, WIRE_DATA_DEPTH) != REASON_NONE || cursor_next(&inside, &item) != REASON_NONE)
        return true; /* cannot be: the walk that wrote it has accepted it */
    if (found)
        agrees = value_agrees(found, &item);
    if (goes_on && item.type == ITEM_MAP)
        agrees = map_agrees(kind, &inside, item.length, path) && agrees;
    else if (goes_on && item.type != ITEM_NIL && !found)
        agrees = false; /* "llm": 5 where llm.latency.ttft is known */
    return agrees;
}

static bool map_agrees(const struct event_kind *kind, struct cursor *cursor, uint32_t pairs, struct path *path)
{
    if (path->depth == WIRE_DATA_DEPTH)
        return true;
    path->depth++;
    bool agrees = true;
    for (uint32_t i = 0; i < pairs && agrees; i++) {
        struct item key;
        if (cursor_next(cursor, &key) != REASON_NONE || key.type != ITEM_STR)
            break;
        path->keys[path->depth - 1] = key.bytes;
        path->lengths[path->depth - 1] = key.length;
        agrees = pair_agrees(kind, cursor, path);
    }
    path->depth--;
    return agrees;
}

bool attributes_agree(const struct event_kind *kind, const uint8_t *data, size_t length)
{
    struct cursor cursor = {data, data + length};
    struct path path = {.depth = 0};
    struct item item;
    if (kind->attribute_count == 0 || cursor_next(&cursor, &item) != REASON_NONE || item.type != ITEM_MAP)
        return true;
    return map_agrees(kind, &cursor, item.length, &path);
}
