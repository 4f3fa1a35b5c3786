/* json_value.c - see json_value.h. The alternative, a tree in memory that is printed afterwards, costs an allocation per value and
 * a second walk; what it would buy, rejecting before writing, the caller has for free: what was written for a bad event is simply
 * overwritten.
 */
#include "common/json_value.h"

#include <stdlib.h>
#include <string.h>

#include "common/attributes.h"
#include "common/bytes.h"
#include "common/json_text.h"
#include "common/plain_text.h"

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

enum reason json_value_pop_unique(struct json_value *json, uint32_t first)
{
    struct json_key *keys = json->keys + first;
    const uint32_t count = json->key_count - first;
    json->key_count = first;
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

/* The functions below hand on where to write in a register and return where it ended: bytes written through a pointer may alias
 * everything, and a position kept in memory would be read again after each of them. NULL: json->reason says why, with the cursor at
 * what is at fault. */
static uint8_t *refuse(struct json_value *json, enum reason reason)
{
    json->reason = reason;
    return NULL;
}

static uint8_t *write_value(struct json_value *json, struct msgpack_cursor *cursor, int level, const struct attribute_node *node,
                            uint8_t *out);

/* Any key, with the comma before and the colon behind it. *child: what the catalogue knows under it. */
static uint8_t *write_key(struct json_value *json, struct msgpack_cursor *cursor, const struct attribute_node *node, uint32_t *hint,
                          struct msgpack_item *key, const struct attribute_node **child, uint8_t *out)
{
    enum reason reason = json_value_key(cursor, key);
    if (reason == REASON_NONE && cursor->at > json->limit)
        reason = REASON_SIZE;
    *out++ = ',';
    if (reason == REASON_NONE)
        reason = json_write_text(&out, key->bytes, key->length);
    if (reason != REASON_NONE)
        return refuse(json, reason);
    *out++ = ':';
    *child = node ? attribute_child(node, hint, key->bytes, key->length) : NULL;
    return out;
}

/* The values that nearly all pairs hold, without a call and without an item in memory: short plain text, small numbers, float64.
 * NULL: another one, or something about it is not right; nothing has changed then, and write_value() goes over it again. */
static inline uint8_t *write_common(struct json_value *json, struct msgpack_cursor *cursor, const struct attribute_node *node,
                                    uint8_t *out)
{
    const uint8_t *at = cursor->at;
    if (json->limit - at < 1 + 32) /* the header and the longest of them: the event's last bytes go the other way */
        return NULL;
    const uint8_t first = *at++;
    enum msgpack_type type;
    if (first < 0x80) {
        type = ITEM_UINT;
        out = json_write_uint(out, first);
    } else if (first >= 0xa0 && first < 0xc0) {
        const uint32_t length = first & 0x1f;
        type = ITEM_STR;
        if (!copy_plain(out + 1, at, length) || (node && node->values))
            return NULL;
        out[0] = out[length + 1] = '"';
        out += length + 2;
        at += length;
    } else if (first == 0xcb) {
        const uint64_t bits = get_64(at);
        double value;
        memcpy(&value, &bits, sizeof value);
        type = ITEM_FLOAT64;
        if (json_write_float64(&out, value) != REASON_NONE)
            return NULL;
        at += 8;
    } else if (first == 0xcd || first == 0xce) {
        const uint32_t word = get_32(at);
        type = ITEM_UINT;
        out = json_write_uint(out, first == 0xcd ? word >> 16 : word);
        at += first == 0xcd ? 2 : 4;
    } else {
        return NULL;
    }
    cursor->at = at;
    if (node && !(node->types & 1u << type))
        json->disagrees = true;
    return out;
}

/* Repeats: a key that the catalogue knows is recognised by its place among the node's children, a bit each; the others are compared
 * with each other at the end. */
static uint8_t *write_map(struct json_value *json, struct msgpack_cursor *cursor, uint32_t pairs, int level,
                          const struct attribute_node *node, uint8_t *out)
{
    const uint32_t first = json->key_count;
    uint8_t *const open = out;
    uint64_t met = 0;
    uint32_t hint = 0;
    for (uint32_t i = 0; i < pairs; i++) {
        const uint8_t *start = cursor->at;
        struct msgpack_item key = {.bytes = NULL};
        const struct attribute_node *child = node ? attribute_packed(node, &hint, start, json->limit) : NULL;
        if (child) {
            cursor->at = start + child->packed_length;
            memcpy(out, child->json, sizeof child->json);
            out += child->json_length;
        } else if (!(out = write_key(json, cursor, node, &hint, &key, &child, out))) {
            return NULL;
        }
        const size_t place = child ? (size_t)(child - node->children) : 64;
        if (place >= 64) {
            json_value_push(json, key.bytes ? &key : &(struct msgpack_item){.bytes = start + 1, .length = child->length});
        } else if (met & UINT64_C(1) << place) {
            cursor->at = start;
            return refuse(json, REASON_DUP_KEY);
        } else {
            met |= UINT64_C(1) << place;
        }
        uint8_t *const common = write_common(json, cursor, child, out);
        if (!(out = common ? common : write_value(json, cursor, level + 1, child, out)))
            return NULL;
    }
    if (pairs == 0)
        out++;
    *open = '{'; /* where the first comma stands */
    *out++ = '}';
    const enum reason reason = json->key_count == first ? REASON_NONE : json_value_pop_unique(json, first);
    return reason == REASON_NONE ? out : refuse(json, reason);
}

static uint8_t *write_array(struct json_value *json, struct msgpack_cursor *cursor, uint32_t items, int level, uint8_t *out)
{
    *out++ = '[';
    for (uint32_t i = 0; i < items; i++) {
        if (i > 0)
            *out++ = ',';
        if (!(out = write_value(json, cursor, level + 1, NULL, out)))
            return NULL;
    }
    *out++ = ']';
    return out;
}

static uint8_t *write_word(uint8_t *out, const char *word, size_t length)
{
    memcpy(out, word, length);
    return out + length;
}

static enum reason write_time(const struct msgpack_item *item, uint8_t **out)
{
    int64_t wall_us;
    const enum reason reason = msgpack_time(item, &wall_us);
    return reason == REASON_NONE ? json_write_time(out, wall_us) : reason;
}

static uint8_t *write_value(struct json_value *json, struct msgpack_cursor *cursor, int level, const struct attribute_node *node,
                            uint8_t *out)
{
    struct msgpack_item item;
    const uint8_t *start = cursor->at;
    enum reason reason = msgpack_next(cursor, &item);
    if (reason != REASON_NONE)
        return refuse(json, reason);
    if (cursor->at > json->limit) {
        cursor->at = start;
        return refuse(json, REASON_SIZE);
    }
    if (node && !attribute_agrees(node, &item))
        json->disagrees = true;
    if (item.type >= ITEM_ARRAY) {
        if (level > WIRE_DATA_DEPTH) {
            cursor->at = start;
            return refuse(json, REASON_DEPTH);
        }
        return item.type == ITEM_MAP ? write_map(json, cursor, item.length, level, node, out)
                                     : write_array(json, cursor, item.length, level, out);
    }
    switch (item.type) {
    case ITEM_NIL: return write_word(out, "null", 4);
    case ITEM_BOOL: return item.uint ? write_word(out, "true", 4) : write_word(out, "false", 5);
    case ITEM_UINT: return json_write_uint(out, item.uint);
    case ITEM_INT: return json_write_int(out, item.sint);
    case ITEM_STR:
        if (copy_plain(out + 1, item.bytes, item.length)) {
            out[0] = out[item.length + 1] = '"';
            return out + item.length + 2;
        }
        reason = json_write_text(&out, item.bytes, item.length);
        break;
    case ITEM_FLOAT32: reason = json_write_float32(&out, item.float32); break;
    case ITEM_FLOAT64: reason = json_write_float64(&out, item.float64); break;
    case ITEM_BIN: return json_write_base64(out, item.bytes, item.length);
    case ITEM_EXT: reason = write_time(&item, &out); break;
    case ITEM_ARRAY:
    case ITEM_MAP: break;
    }
    if (reason == REASON_NONE)
        return out;
    cursor->at = start;
    return refuse(json, reason);
}

enum reason json_value_write(struct json_value *json, struct msgpack_cursor *cursor, int level, const struct attribute_node *node,
                             uint8_t **out)
{
    uint8_t *end = write_value(json, cursor, level, node, *out);
    if (!end)
        return json->reason;
    *out = end;
    return REASON_NONE;
}
