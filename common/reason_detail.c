/* reason_detail.c - see reason_detail.h. */
#include "common/reason_detail.h"

#include <stdio.h>

#include "common/event_key.h"
#include "common/msgpack.h"
#include "common/wire.h"

/* What the value is that should be a map. */
static const char *root_name(const struct reason_place *place)
{
    struct msgpack_cursor cursor = {place->value, place->value + place->length};
    struct msgpack_item root;
    if (*place->value == '{' || *place->value == '[')
        return "what looks like JSON text";
    if (msgpack_next(&cursor, &root) != REASON_NONE)
        return "something else";
    switch (root.type) {
    case ITEM_NIL: return "nil";
    case ITEM_BOOL: return "true or false";
    case ITEM_UINT:
    case ITEM_INT:
    case ITEM_FLOAT32:
    case ITEM_FLOAT64: return "a number";
    case ITEM_STR: return "text";
    case ITEM_BIN: return "binary data";
    case ITEM_EXT: return "an extension type";
    case ITEM_ARRAY: return "an array";
    case ITEM_MAP: break;
    }
    return "something else";
}

static const char *key_of(const struct reason_place *place)
{
    if (place->field < 0)
        return "";
    return place->field == KEY_COUNT ? "(unknown)" : event_keys[place->field].packed + 1;
}

void reason_detail(char detail[REASON_DETAIL_ROOM], enum reason reason, const struct reason_place *place)
{
    const char *key = key_of(place);
    if (reason == REASON_TOMBSTONE)
        snprintf(detail, REASON_DETAIL_ROOM, "the value is null, as of a tombstone: there is no event in it");
    else if (reason == REASON_EMPTY)
        snprintf(detail, REASON_DETAIL_ROOM, "the value has no bytes: there is no event in it");
    else if (reason == REASON_ROOT)
        snprintf(detail, REASON_DETAIL_ROOM, "the value is %s, not a msgpack map with the event's fields", root_name(place));
    else if (reason == REASON_SIZE && place->length > WIRE_VALUE_BYTES)
        snprintf(detail, REASON_DETAIL_ROOM, "the message's value is %zu bytes long, the most is %d", place->length,
                 WIRE_VALUE_BYTES);
    else if (reason == REASON_MISSING)
        snprintf(detail, REASON_DETAIL_ROOM, "key %s is required", key);
    else if (reason == REASON_TS_RANGE && place->field != KEY_CREATED_AT)
        snprintf(detail, REASON_DETAIL_ROOM, "byte %zu, key %s: a time outside the years 0001 to 9999", place->at, key);
    else if (reason == REASON_TS_RANGE)
        snprintf(detail, REASON_DETAIL_ROOM, "key %s, outside window.oldest to window.ahead", key);
    else if (place->field < 0)
        snprintf(detail, REASON_DETAIL_ROOM, "byte %zu of the value, in none of its fields", place->at);
    else
        snprintf(detail, REASON_DETAIL_ROOM, "byte %zu, key %s", place->at, key);
}
