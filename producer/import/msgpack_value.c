/* msgpack_value.c - see msgpack_value.h.
 *
 * The workers' reader (common/msgpack.h) says what is there, and their writers how a time and a float32 look: what an import sends
 * is what they would have stored. Depth is bounded here. msgpack-c's unpacker was rejected: it makes a tree of its own first, and
 * reserves 6.4 GB for five bytes that declare a large array.
 */
#include "producer/import/msgpack_value.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/msgpack.h"
#include "common/error.h"
#include "common/json_text.h"
#include "producer/library/text.h"
#include "producer/library/value.h"

struct walk {
    struct msgpack_cursor cursor;
    unsigned depth;
    struct value_pool *pool;
    struct error *err;
};

static struct value *read_value(struct walk *walk);

static struct value *refuse(struct walk *walk, const char *reason)
{
    error_set(walk->err, ERROR_REJECT, "%s", reason);
    return NULL;
}

static bool next(struct walk *walk, struct msgpack_item *item)
{
    enum reason reason = msgpack_next(&walk->cursor, item);
    if (reason != REASON_NONE)
        refuse(walk, reason == REASON_FORMAT ? "no msgpack (byte c1)" : "the msgpack object ends too early");
    return reason == REASON_NONE;
}

static struct value *text_of(struct walk *walk, const struct msgpack_item *item)
{
    if (memchr(item->bytes, 0, item->length) != NULL)
        return refuse(walk, "a text holds a NUL, which Postgres does not take");
    if (text_fault((const char *)item->bytes, item->length) != NULL)
        return refuse(walk, "a text is not UTF-8");
    return value_text(walk->pool, (const char *)item->bytes, item->length, walk->err);
}

static struct value *base64_of(struct walk *walk, const struct msgpack_item *item)
{
    char *text = value_room(walk->pool, BASE64_LENGTH(item->length), walk->err);
    struct value *value = text == NULL ? NULL : value_new(walk->pool, VALUE_TEXT, walk->err);
    if (value == NULL)
        return NULL;
    value->length = base64_encode(text, item->bytes, item->length);
    text[value->length] = '\0';
    value->text = text;
    return value;
}

static struct value *time_of(struct walk *walk, const struct msgpack_item *item)
{
    int64_t wall_us;
    uint8_t quoted[JSON_TEXT_ROOM], *end = quoted;
    enum reason reason = msgpack_time(item, &wall_us);
    if (reason == REASON_NONE)
        reason = json_write_time(&end, wall_us);
    if (reason != REASON_NONE)
        return refuse(walk, reason == REASON_EXT ? "an extension that is no timestamp" : "a timestamp is out of range");
    return value_text(walk->pool, (const char *)quoted + 1, (size_t)(end - quoted) - 2, walk->err);
}

static struct value *real_of(struct walk *walk, const struct msgpack_item *item)
{
    double number = item->type == ITEM_FLOAT64 ? item->float64 : (double)item->float32;
    if (!isfinite(number))
        return refuse(walk, "a number is not finite");
    if (item->type == ITEM_FLOAT32) { /* 0.1f is 0.1 */
        uint8_t text[JSON_TEXT_ROOM + 1], *end = text;
        json_write_float32(&end, item->float32);
        *end = '\0';
        number = strtod((const char *)text, NULL);
    }
    struct value *value = value_new(walk->pool, VALUE_REAL, walk->err);
    if (value != NULL)
        value->real = number;
    return value;
}

static struct value *whole_of(struct walk *walk, const struct msgpack_item *item)
{
    bool is_large = item->type == ITEM_UINT && item->uint > INT64_MAX;
    struct value *value = value_new(walk->pool, is_large ? VALUE_UNSIGNED : VALUE_INTEGER, walk->err);
    if (value != NULL && is_large)
        value->whole = item->uint;
    else if (value != NULL)
        value->integer = item->sint;
    return value;
}

/* False: more levels than may be. */
static bool enter(struct walk *walk)
{
    if (walk->depth == VALUE_DEPTH_MAX)
        return refuse(walk, "the object has more than 32 levels") != NULL;
    walk->depth++;
    return true;
}

static struct value *read_array(struct walk *walk, uint32_t count)
{
    struct value *array = enter(walk) ? value_new(walk->pool, VALUE_ARRAY, walk->err) : NULL;
    for (uint32_t i = 0; array != NULL && i < count; i++) {
        struct value *value = read_value(walk);
        if (value == NULL)
            return NULL;
        value_add(array, NULL, 0, value);
    }
    walk->depth--;
    return array;
}

/* A key as text; NULL: refused. */
static struct value *read_key(struct walk *walk)
{
    struct msgpack_item item;
    if (!next(walk, &item))
        return NULL;
    return item.type == ITEM_STR ? text_of(walk, &item) : refuse(walk, "a key is no text");
}

static struct value *read_map(struct walk *walk, uint32_t count)
{
    struct value *map = enter(walk) ? value_new(walk->pool, VALUE_OBJECT, walk->err) : NULL;
    for (uint32_t i = 0; map != NULL && i < count; i++) {
        struct value *key = read_key(walk);
        struct value *value = key == NULL ? NULL : read_value(walk);
        if (value == NULL)
            return NULL;
        value_add(map, key->text, key->length, value);
    }
    walk->depth--;
    return map != NULL && value_keys_are_unique(walk->pool, map, walk->err) ? map : NULL;
}

static struct value *read_value(struct walk *walk)
{
    struct msgpack_item item;
    if (!next(walk, &item))
        return NULL;
    switch (item.type) {
    case ITEM_NIL: return value_new(walk->pool, VALUE_NULL, walk->err);
    case ITEM_BOOL: return value_new(walk->pool, item.uint ? VALUE_TRUE : VALUE_FALSE, walk->err);
    case ITEM_UINT:
    case ITEM_INT: return whole_of(walk, &item);
    case ITEM_FLOAT32:
    case ITEM_FLOAT64: return real_of(walk, &item);
    case ITEM_STR: return text_of(walk, &item);
    case ITEM_BIN: return base64_of(walk, &item);
    case ITEM_EXT: return time_of(walk, &item);
    case ITEM_ARRAY: return read_array(walk, item.length);
    case ITEM_MAP: break;
    }
    return read_map(walk, item.length);
}

struct value *msgpack_value(struct value_pool *pool, const void *bytes, size_t length, struct error *err)
{
    struct walk walk = {.cursor = {bytes, (const uint8_t *)bytes + length}, .pool = pool, .err = err};
    struct value *value = read_value(&walk);
    return value == NULL || walk.cursor.at == walk.cursor.end ? value : refuse(&walk, "bytes stand behind the msgpack object");
}
