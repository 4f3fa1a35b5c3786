/* oracle.c - see oracle.h. Every rule is one line of wire.md; where an event breaks several, all are noted, because the reader may
 * name any of them.
 *
 * Invariant: nothing here looks at bytes that msgpack-c has not unpacked. Rejected: asking the reader's own helpers (UTF-8, times,
 * UUIDs): a mistake in one would be on both sides.
 */
#include "oracle.h"

#include <math.h>
#include <string.h>

#include "common/catalogue.h"

enum { LEVELS = 16, EXTRA_LEVEL = 3, KEY_BYTES = 65535, SMALL_MAP = 500, NEAR_KEYS = 16 };

static void note(struct oracle_event *event, enum reason reason)
{
    if (reason != REASON_NONE)
        event->broken |= UINT64_C(1) << reason;
}

/* Decodes each code point and asks the Unicode standard's questions of the number, not of the bytes. */
static void check_text(struct oracle_event *event, const char *text, uint32_t length)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    for (uint32_t at = 0; at < length;) {
        const uint8_t first = (uint8_t)text[at];
        const uint32_t size = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
        if (size == 0 || size > length - at) {
            note(event, REASON_UTF8);
            return;
        }
        uint32_t code = size == 1 ? first : first & (0x7fu >> size);
        bool good = true;
        for (uint32_t i = 1; i < size; i++) {
            good = good && ((uint8_t)text[at + i] & 0xc0) == 0x80;
            code = code << 6 | ((uint8_t)text[at + i] & 0x3f);
        }
        if (!good || code < least[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
            note(event, REASON_UTF8);
            return;
        }
        if (code == 0)
            note(event, REASON_NUL);
        at += size;
    }
}

static uint64_t big_endian(const char *bytes, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value = value * 256 + (uint8_t)bytes[i];
    return value;
}

enum reason oracle_time(const msgpack_object *object, int64_t *wall_us)
{
    const msgpack_object_ext *ext = &object->via.ext;
    if (ext->type != -1 || (ext->size != 4 && ext->size != 8 && ext->size != 12))
        return REASON_EXT;
    int64_t seconds = 0;
    uint64_t nanoseconds = 0;
    if (ext->size == 4) {
        seconds = (int64_t)big_endian(ext->ptr, 4);
    } else if (ext->size == 8) {
        seconds = (int64_t)(big_endian(ext->ptr, 8) % (UINT64_C(1) << 34));
        nanoseconds = big_endian(ext->ptr, 8) / (UINT64_C(1) << 34);
    } else {
        nanoseconds = big_endian(ext->ptr, 4);
        seconds = (int64_t)big_endian(ext->ptr + 4, 8);
    }
    const __int128 exact = (__int128)seconds * 1000000 + nanoseconds / 1000;
    if (nanoseconds > 999999999 || exact > INT64_MAX || exact < INT64_MIN)
        return REASON_TS_RANGE;
    *wall_us = (int64_t)exact;
    return REASON_NONE;
}

static bool same_text(const msgpack_object *object, const char *text, size_t length)
{
    return object->type == MSGPACK_OBJECT_STR && object->via.str.size == length &&
           (length == 0 || memcmp(object->via.str.ptr, text, length) == 0); /* msgpack-c's empty text is NULL */
}

static void check_value(struct oracle_event *event, const msgpack_object *value, int level);

/* A key that is no text may be a container, with rules of its own to break. */
static void check_keys(struct oracle_event *event, const msgpack_object_map *map, int level)
{
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object *key = &map->ptr[i].key;
        if (key->type != MSGPACK_OBJECT_STR) {
            note(event, REASON_KEY_TYPE);
            check_value(event, key, level);
            continue;
        }
        if (key->via.str.size == 0)
            note(event, REASON_KEY);
        if (key->via.str.size > KEY_BYTES)
            note(event, REASON_KEY_LEN);
        check_text(event, key->via.str.ptr, key->via.str.size);
        for (uint32_t k = map->size > SMALL_MAP && i > NEAR_KEYS ? i - NEAR_KEYS : 0; k < i; k++) /* this is quadratic */
            if (same_text(&map->ptr[k].key, key->via.str.ptr, key->via.str.size))
                note(event, REASON_DUP_KEY);
    }
}

static void check_value(struct oracle_event *event, const msgpack_object *value, int level)
{
    int64_t wall_us;
    enum reason reason;
    switch (value->type) {
    case MSGPACK_OBJECT_STR: check_text(event, value->via.str.ptr, value->via.str.size); break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        if (!isfinite(value->via.f64))
            note(event, REASON_NONFINITE);
        break;
    case MSGPACK_OBJECT_EXT:
        reason = oracle_time(value, &wall_us);
        note(event, reason);
        if (reason == REASON_NONE && (wall_us < INT64_C(-62135596800000000) || wall_us >= INT64_C(253402300800000000)))
            note(event, REASON_TS_RANGE); /* beyond the years that RFC 3339 can say */
        break;
    case MSGPACK_OBJECT_ARRAY:
        if (level > LEVELS)
            note(event, REASON_DEPTH);
        for (uint32_t i = 0; i < value->via.array.size; i++)
            check_value(event, &value->via.array.ptr[i], level + 1);
        break;
    case MSGPACK_OBJECT_MAP:
        if (level > LEVELS)
            note(event, REASON_DEPTH);
        check_keys(event, &value->via.map, level + 1);
        for (uint32_t i = 0; i < value->via.map.size; i++)
            check_value(event, &value->via.map.ptr[i].val, level + 1);
        break;
    default: break;
    }
}

/* ---- fields ---- */

static bool is_integer(const msgpack_object *object)
{
    return object->type == MSGPACK_OBJECT_POSITIVE_INTEGER || object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
}

static void wrong_type(struct oracle_event *event, const msgpack_object *value)
{
    note(event, REASON_TYPE);
    if (value->type == MSGPACK_OBJECT_EXT)
        note(event, REASON_EXT);
}

static void judge_text(struct oracle_event *event, const msgpack_object *value, uint32_t most, const msgpack_object **field)
{
    if (value->type != MSGPACK_OBJECT_STR) {
        wrong_type(event, value);
        return;
    }
    *field = value;
    if (value->via.str.size < 1 || value->via.str.size > most)
        note(event, REASON_LEN);
    check_text(event, value->via.str.ptr, value->via.str.size);
}

static int hex_digit(char digit)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *found = digit ? strchr(digits, digit) : NULL;
    return found ? (int)(found - digits) % 16 : -1;
}

static bool parse_uuid(uint8_t id[16], const char *text)
{
    int count = 0;
    for (int at = 0; at < 36; at++) {
        if (at == 8 || at == 13 || at == 18 || at == 23) {
            if (text[at] != '-')
                return false;
            continue;
        }
        const int digit = hex_digit(text[at]);
        if (digit < 0)
            return false;
        id[count / 2] = (uint8_t)(count % 2 ? id[count / 2] * 16 + digit : digit);
        count++;
    }
    return true;
}

static void judge_id(struct oracle_event *event, const msgpack_object *value)
{
    static const uint8_t zero[16];
    if (value->type == MSGPACK_OBJECT_BIN && value->via.bin.size == 16)
        memcpy(event->id, value->via.bin.ptr, 16);
    else if (value->type == MSGPACK_OBJECT_STR && value->via.str.size == 36 && parse_uuid(event->id, value->via.str.ptr))
        ;
    else if (value->type == MSGPACK_OBJECT_BIN || value->type == MSGPACK_OBJECT_STR || value->type == MSGPACK_OBJECT_NIL)
        note(event, REASON_ID);
    else
        wrong_type(event, value);
    if (memcmp(event->id, zero, 16) == 0)
        note(event, REASON_ID);
}

static void judge_time(struct oracle_event *event, const msgpack_object *value, const struct oracle_window *window)
{
    enum reason reason = REASON_NONE;
    if (value->type == MSGPACK_OBJECT_EXT)
        reason = oracle_time(value, &event->created_at_us);
    else if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER && value->via.u64 > INT64_MAX)
        reason = REASON_TS_RANGE;
    else if (is_integer(value))
        event->created_at_us = value->via.i64;
    else
        reason = REASON_TYPE;
    note(event, reason);
    if (reason == REASON_NONE && (event->created_at_us < window->oldest_us || event->created_at_us >= window->newest_us))
        note(event, REASON_TS_RANGE);
}

static void judge_version(struct oracle_event *event, const msgpack_object *value)
{
    if (!is_integer(value))
        wrong_type(event, value);
    else if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER || value->via.u64 != 1)
        note(event, REASON_VERSION);
}

static void judge_user(struct oracle_event *event, const msgpack_object *value)
{
    event->user = value;
    if (!is_integer(value))
        wrong_type(event, value);
    else if (value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER || value->via.u64 > INT64_MAX)
        note(event, REASON_RANGE);
}

static const char *const field_names[] = {"id",         "event_name",  "event_category", "session_id", "user_id",
                                          "event_data", "is_internal", "created_at",     "v"};

bool oracle_is_unknown(const msgpack_object_kv *pair)
{
    for (size_t i = 0; i < sizeof field_names / sizeof *field_names; i++)
        if (same_text(&pair->key, field_names[i], strlen(field_names[i])))
            return false;
    return pair->key.type == MSGPACK_OBJECT_STR;
}

static void judge_pair(struct oracle_event *event, const msgpack_object_kv *pair, const struct oracle_window *window)
{
    const msgpack_object *value = &pair->val;
    const bool is_nil = value->type == MSGPACK_OBJECT_NIL;
    if (oracle_is_unknown(pair)) {
        event->has_unknown_key = true;
        check_value(event, value, EXTRA_LEVEL);
    } else if (same_text(&pair->key, "id", 2)) {
        judge_id(event, value);
    } else if (is_nil || pair->key.type != MSGPACK_OBJECT_STR) {
        return;
    } else if (same_text(&pair->key, "event_name", 10)) {
        judge_text(event, value, 100, &event->name);
    } else if (same_text(&pair->key, "event_category", 14)) {
        judge_text(event, value, 50, &event->category);
    } else if (same_text(&pair->key, "session_id", 10)) {
        judge_text(event, value, 255, &event->session);
    } else if (same_text(&pair->key, "user_id", 7)) {
        judge_user(event, value);
    } else if (same_text(&pair->key, "created_at", 10)) {
        judge_time(event, value, window);
    } else if (same_text(&pair->key, "v", 1)) {
        judge_version(event, value);
    } else if (same_text(&pair->key, "is_internal", 11)) {
        event->internal = value;
        if (value->type != MSGPACK_OBJECT_BOOLEAN)
            wrong_type(event, value);
    } else {
        if (value->type == MSGPACK_OBJECT_ARRAY && value->via.array.size == 0)
            return;
        event->data = value;
        if (value->type != MSGPACK_OBJECT_MAP)
            wrong_type(event, value);
        else
            check_value(event, value, 1);
    }
}

/* ---- the catalogue ---- */

static bool value_agrees(const struct attribute *attribute, const msgpack_object *value)
{
    if (value->type == MSGPACK_OBJECT_NIL)
        return true;
    switch (attribute->type) {
    case ATTRIBUTE_TEXT:
        if (value->type != MSGPACK_OBJECT_STR || !attribute->values)
            return value->type == MSGPACK_OBJECT_STR;
        for (const char *const *listed = attribute->values; *listed; listed++)
            if (same_text(value, *listed, strlen(*listed)))
                return true;
        return false;
    case ATTRIBUTE_INTEGER: return is_integer(value);
    case ATTRIBUTE_NUMBER:
        return is_integer(value) || value->type == MSGPACK_OBJECT_FLOAT32 || value->type == MSGPACK_OBJECT_FLOAT64;
    case ATTRIBUTE_BOOL: return value->type == MSGPACK_OBJECT_BOOLEAN;
    case ATTRIBUTE_MAP: return value->type == MSGPACK_OBJECT_MAP;
    case ATTRIBUTE_ARRAY: return value->type == MSGPACK_OBJECT_ARRAY;
    case ATTRIBUTE_ANY: return true;
    }
    return true;
}

/* Goes down one attribute's path, as a reader of the catalogue would. */
static bool attribute_agrees(const struct attribute *attribute, const msgpack_object *map)
{
    const char *part = attribute->path;
    for (;;) {
        const char *dot = strchr(part, '.');
        const size_t length = dot ? (size_t)(dot - part) : strlen(part);
        const msgpack_object *value = NULL;
        for (uint32_t i = 0; i < map->via.map.size; i++)
            if (same_text(&map->via.map.ptr[i].key, part, length))
                value = &map->via.map.ptr[i].val;
        if (!value)
            return true;
        if (!dot)
            return value_agrees(attribute, value);
        if (value->type != MSGPACK_OBJECT_MAP)
            return value->type == MSGPACK_OBJECT_NIL;
        map = value;
        part = dot + 1;
    }
}

static void judge_catalogue(struct oracle_event *event, const struct catalogue *catalogue)
{
    size_t count;
    const struct event_kind *kinds = catalogue_kinds(catalogue, &count), *kind = NULL;
    for (size_t i = 0; i < count; i++)
        if (same_text(event->name, kinds[i].name, strlen(kinds[i].name)))
            kind = &kinds[i];
    event->is_unknown_event = !kind;
    if (!kind)
        return;
    event->listed_category = kind->category;
    if (event->category && !same_text(event->category, kind->category, strlen(kind->category)))
        note(event, REASON_CATEGORY);
    if (!event->data || event->data->type != MSGPACK_OBJECT_MAP)
        return;
    for (size_t i = 0; i < kind->attribute_count; i++)
        event->breaks_attributes = event->breaks_attributes || !attribute_agrees(&kind->attributes[i], event->data);
}

void oracle_judge(struct oracle_event *event, const msgpack_object *root, const struct oracle_window *window,
                  const struct catalogue *catalogue)
{
    memset(event, 0, sizeof *event);
    if (root->type != MSGPACK_OBJECT_MAP) {
        note(event, REASON_ROOT);
        return;
    }
    bool has_id = false, has_time = false;
    check_keys(event, &root->via.map, 1);
    for (uint32_t i = 0; i < root->via.map.size; i++) {
        const msgpack_object_kv *pair = &root->via.map.ptr[i];
        judge_pair(event, pair, window);
        has_id = has_id || (same_text(&pair->key, "id", 2) && pair->val.type != MSGPACK_OBJECT_NIL);
        has_time = has_time || (same_text(&pair->key, "created_at", 10) && pair->val.type != MSGPACK_OBJECT_NIL);
    }
    if (!has_id || !has_time || !event->name)
        note(event, REASON_MISSING);
    if (event->has_unknown_key && event->data && event->data->type == MSGPACK_OBJECT_MAP)
        for (uint32_t i = 0; i < event->data->via.map.size; i++)
            if (same_text(&event->data->via.map.ptr[i].key, "_extra", 6))
                note(event, REASON_DUP_KEY);
    if (event->name)
        judge_catalogue(event, catalogue);
}

/* ---- what msgpack-c must not see ---- */

/* Items lie one after the other, so it is enough to know how many are still to come. */
bool oracle_declares_too_much(const uint8_t *at, const uint8_t *end)
{
    static const uint8_t fixed[32] = {0, 0, 0, 0, 1, 2, 4, 2, 3,  5, 4, 8, 1, 2, 4, 8,
                                      1, 2, 4, 8, 2, 3, 5, 9, 17, 1, 2, 4, 2, 4, 2, 4};
    for (uint64_t items = 1; items > 0 && at < end; items--) {
        const uint8_t first = *at++;
        uint64_t skip = first >= 0xc0 && first < 0xe0   ? fixed[first - 0xc0]
                        : first >= 0xa0 && first < 0xc0 ? first & 31u
                                                        : 0,
                 length = 0;
        const unsigned width = first == 0xc4 || first == 0xc7 || first == 0xd9                                     ? 1
                               : first == 0xc5 || first == 0xc8 || first == 0xda || first == 0xdc || first == 0xde ? 2
                               : first == 0xc6 || first == 0xc9 || first == 0xdb || first == 0xdd || first == 0xdf ? 4
                                                                                                                   : 0;
        if (width > (uint64_t)(end - at))
            return false;
        for (unsigned i = 0; i < width; i++)
            length = length << 8 | at[i];
        if (first == 0xc9 && length == UINT32_MAX)
            return true; /* msgpack-c adds one for the type, in 32 bits, and reads an empty extension */
        if (first >= 0xdc && first <= 0xdf) {
            if (length > ORACLE_LARGEST_COUNT && length > (uint64_t)(end - at))
                return true;
            items += first < 0xde ? length : 2 * length;
        } else if (first >= 0x80 && first < 0xa0) {
            items += first < 0x90 ? 2 * (first & 15u) : first & 15u;
        } else {
            skip += length;
        }
        if (skip > (uint64_t)(end - at))
            return false;
        at += skip;
    }
    return false;
}
