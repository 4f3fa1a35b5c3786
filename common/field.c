/* field.c - see field.h. One rule for each field: transcode.c decides which field is where in the message and in the tuple; the
 * rules are here, so that each can be read by itself.
 */
#include "common/field.h"

#include <string.h>

#include "common/json_text.h"
#include "common/uuid.h"
#include "common/wire.h"

enum reason field_text(const struct msgpack_item *item, uint32_t most, struct text *text)
{
    if (item->type != ITEM_STR)
        return REASON_TYPE;
    if (item->length == 0 || item->length > most)
        return REASON_LEN;
    *text = (struct text){item->bytes, item->length};
    return text_check(item->bytes, item->length);
}

enum reason field_id(const struct msgpack_item *item, uint8_t *out)
{
    static const uint8_t zero[UUID_BYTES];
    if (item->type == ITEM_BIN && item->length == UUID_BYTES)
        memcpy(out, item->bytes, UUID_BYTES);
    else if (item->type != ITEM_STR && item->type != ITEM_BIN && item->type != ITEM_NIL)
        return REASON_TYPE;
    else if (item->type != ITEM_STR || !uuid_parse((const char *)item->bytes, item->length, out))
        return REASON_ID;
    return memcmp(out, zero, UUID_BYTES) == 0 ? REASON_ID : REASON_NONE;
}

enum reason field_time(const struct msgpack_item *item, int64_t *created_at_us)
{
    if (item->type == ITEM_EXT)
        return msgpack_time(item, created_at_us);
    if (item->type != ITEM_UINT && item->type != ITEM_INT)
        return REASON_TYPE;
    if (item->type == ITEM_UINT && item->uint > INT64_MAX)
        return REASON_TS_RANGE;
    *created_at_us = item->sint;
    return REASON_NONE;
}

enum reason field_version(const struct msgpack_item *item)
{
    if (item->type == ITEM_INT)
        return REASON_VERSION;
    if (item->type != ITEM_UINT)
        return REASON_TYPE;
    return item->uint == WIRE_VERSION ? REASON_NONE : REASON_VERSION;
}

enum reason field_bool(const struct msgpack_item *item, uint8_t *out)
{
    if (item->type != ITEM_BOOL)
        return REASON_TYPE;
    *out = (uint8_t)item->uint;
    return REASON_NONE;
}
