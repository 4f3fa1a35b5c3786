/* transcode.c - the walk over an event's top-level map, and the tuple it leaves.
 *
 * Invariant: fields are checked before anything that depends on them is written, and a field that is only pointed at stays inside
 * the message. The tuple never exceeds TRANSCODE_ROOM, because event_data (with _extra) is bounded in input bytes and no input byte
 * makes more than six output bytes, the comma or colon behind its item included: a control character in a text becomes \u and four
 * digits, and the one byte of `false` becomes "false,". Rejected: collecting fields into a struct of their own and encoding in a
 * second step; it would copy every byte of event_data twice.
 */
#include "common/transcode.h"

#include <stdlib.h>
#include <string.h>

#include "common/attributes.h"
#include "common/bytes.h"
#include "common/catalogue.h"
#include "common/clock.h"
#include "common/msgpack.h"
#include "common/error.h"
#include "common/event_key.h"
#include "common/field.h"
#include "common/json_text.h"
#include "common/json_value.h"
#include "common/reason_detail.h"
#include "common/tuple.h"
#include "common/uuid.h"

struct transcoder {
    struct transcode_rules rules;
    struct attributes *attributes;
    struct json_value json;
    char detail[REASON_DETAIL_ROOM];
    /* The event under way. */
    const uint8_t *value;
    struct msgpack_cursor cursor;
    unsigned seen, present; /* bits of enum event_key: the key was met; its value was not nil */
    bool has_unknown;
    int field; /* as in struct reason_place */
    struct text event_name, category, session;
    const struct event_kind *kind;     /* of event_name; NULL: not in the catalogue, or no name yet */
    const struct attribute_node *node; /* of the kind */
    bool data_is_checked;              /* event_data was held against the node while it was written */
    int64_t user_id;
    bool has_user;
    int64_t created_at_us;
    const char *trace;              /* of the message, TRACE_BYTES; NULL: none to keep */
    const uint8_t *data, *data_end; /* event_data in the message; NULL: absent */
    uint8_t *out, *json_end;        /* the tuple, and the first byte behind its event_data */
    size_t extra_bytes;             /* of unknown keys and their values */
};

struct transcoder *transcoder_new(const struct transcode_rules *rules, struct error *err)
{
    struct transcoder *transcoder = calloc(1, sizeof *transcoder);
    error_set(err, ERROR_RETRY, "no memory for the event reader");
    if (transcoder && (transcoder->json.keys = malloc(JSON_KEYS * sizeof *transcoder->json.keys)) &&
        (transcoder->attributes = attributes_new(rules->catalogue, err))) {
        transcoder->rules = *rules;
        error_clear(err);
        return transcoder;
    }
    transcoder_free(transcoder);
    return NULL;
}

void transcoder_free(struct transcoder *transcoder)
{
    if (!transcoder)
        return;
    attributes_free(transcoder->attributes);
    free(transcoder->json.keys);
    free(transcoder);
}

void transcoder_set_window(struct transcoder *transcoder, int64_t oldest_us, int64_t newest_us)
{
    transcoder->rules.oldest_us = oldest_us;
    transcoder->rules.newest_us = newest_us;
}

void transcoder_window(const struct transcoder *transcoder, int64_t *oldest_us, int64_t *newest_us)
{
    *oldest_us = transcoder->rules.oldest_us;
    *newest_us = transcoder->rules.newest_us;
}

const char *transcoder_detail(const struct transcoder *transcoder)
{
    return transcoder->detail;
}

/* The name, and what the catalogue knows under it: most events have it before event_data, which can then be checked as it is
 * written. */
static enum reason read_name(struct transcoder *transcoder, const struct msgpack_item *item)
{
    const enum reason reason = field_text(item, WIRE_EVENT_NAME_BYTES, &transcoder->event_name);
    if (reason != REASON_NONE)
        return reason;
    transcoder->kind = catalogue_find(transcoder->rules.catalogue, (const char *)item->bytes, item->length);
    transcoder->node = transcoder->kind ? attributes_of(transcoder->attributes, transcoder->kind) : NULL;
    return REASON_NONE;
}

static enum reason read_user(struct transcoder *transcoder, const struct msgpack_item *item)
{
    if (item->type == ITEM_INT)
        return REASON_RANGE;
    if (item->type != ITEM_UINT)
        return REASON_TYPE;
    if (item->uint > INT64_MAX)
        return REASON_RANGE;
    transcoder->user_id = item->sint;
    transcoder->has_user = true;
    return REASON_NONE;
}

/* event_data goes to its place in the tuple at once. */
static enum reason read_data(struct transcoder *transcoder)
{
    struct msgpack_cursor *cursor = &transcoder->cursor;
    struct msgpack_cursor look = *cursor;
    struct msgpack_item item;
    enum reason reason = msgpack_next(&look, &item);
    if (reason != REASON_NONE)
        return reason;
    if (item.type == ITEM_NIL || (item.type == ITEM_ARRAY && item.length == 0)) { /* PHP and Lua pack an empty map as an array */
        cursor->at = look.at;
        return REASON_NONE;
    }
    if (item.type != ITEM_MAP)
        return REASON_TYPE;
    transcoder->data = cursor->at;
    transcoder->json.limit = cursor->end - cursor->at > WIRE_DATA_BYTES ? cursor->at + WIRE_DATA_BYTES : cursor->end;
    uint8_t *json = transcoder->out + TUPLE_EVENT_DATA + 5;
    transcoder->data_is_checked = transcoder->event_name.bytes != NULL;
    reason = json_value_write(&transcoder->json, cursor, 1, transcoder->node, &json);
    transcoder->json_end = json;
    transcoder->data_end = cursor->at;
    return reason;
}

/* Id and time as most producers write them, bin 8 and uint 64. False: another form, or not good; nothing has changed then. */
static bool read_common(struct transcoder *transcoder, enum event_key field)
{
    struct msgpack_cursor *cursor = &transcoder->cursor;
    const uint8_t *at = cursor->at;
    if (field == KEY_ID && cursor->end - at > 2 + UUID_BYTES && at[0] == 0xc4 && at[1] == UUID_BYTES &&
        (load_8(at + 2) | load_8(at + 10)) != 0) {
        memcpy(transcoder->out + TUPLE_ID, at + 2, UUID_BYTES);
        cursor->at = at + 2 + UUID_BYTES;
    } else if (field == KEY_CREATED_AT && cursor->end - at >= 9 && at[0] == 0xcf && at[1] < 0x80) {
        transcoder->created_at_us = (int64_t)get_64(at + 1);
        cursor->at = at + 9;
    } else {
        return false;
    }
    transcoder->present |= 1u << field;
    return true;
}

static enum reason read_field(struct transcoder *transcoder, enum event_key field)
{
    struct msgpack_cursor *cursor = &transcoder->cursor;
    if (field == KEY_DATA)
        return read_data(transcoder);
    if (read_common(transcoder, field))
        return REASON_NONE;
    const uint8_t *start = cursor->at;
    struct msgpack_item item;
    enum reason reason = msgpack_next(cursor, &item);
    if (reason != REASON_NONE)
        return reason;
    if (item.type == ITEM_NIL && field != KEY_ID)
        return REASON_NONE; /* absent; required fields are missed at the end */
    transcoder->present |= 1u << field;
    switch (field) {
    case KEY_ID: reason = field_id(&item, transcoder->out + TUPLE_ID); break;
    case KEY_EVENT_NAME: reason = read_name(transcoder, &item); break;
    case KEY_CATEGORY: reason = field_text(&item, WIRE_CATEGORY_BYTES, &transcoder->category); break;
    case KEY_SESSION: reason = field_text(&item, WIRE_SESSION_ID_BYTES, &transcoder->session); break;
    case KEY_USER: reason = read_user(transcoder, &item); break;
    case KEY_INTERNAL: reason = field_bool(&item, transcoder->out + TUPLE_IS_INTERNAL); break;
    case KEY_CREATED_AT: reason = field_time(&item, &transcoder->created_at_us); break;
    case KEY_VERSION: reason = field_version(&item); break;
    case KEY_DATA:
    case KEY_COUNT: break;
    }
    if (reason != REASON_NONE)
        cursor->at = start;
    return reason;
}

static enum reason read_unknown(struct transcoder *transcoder, const struct msgpack_item *key, const uint8_t *start)
{
    struct msgpack_cursor *cursor = &transcoder->cursor;
    if (transcoder->rules.reject_unknown_keys)
        return REASON_UNKNOWN_KEY;
    json_value_push(&transcoder->json, key);
    transcoder->has_unknown = true;
    const enum reason reason = msgpack_skip(cursor, WIRE_DATA_DEPTH - 2); /* it will lie at levels 3 and deeper */
    transcoder->extra_bytes += (size_t)(cursor->at - start);
    return reason == REASON_NONE && transcoder->extra_bytes > WIRE_DATA_BYTES ? REASON_SIZE : reason;
}

static enum reason read_pairs(struct transcoder *transcoder, uint32_t pairs)
{
    struct msgpack_cursor *cursor = &transcoder->cursor;
    unsigned expected = 0;
    for (uint32_t i = 0; i < pairs; i++) {
        struct msgpack_item key;
        const uint8_t *start = cursor->at;
        transcoder->field = -1;
        enum reason reason = REASON_NONE;
        enum event_key field = event_key_expected(cursor, expected);
        if (field != KEY_COUNT) {
            cursor->at += event_keys[field].length + 1;
        } else {
            if ((reason = json_value_key(cursor, &key)) != REASON_NONE)
                return reason;
            field = event_key_find(&key, expected);
        }
        expected = (unsigned)field + 1;
        transcoder->field = (int)field;
        if (field == KEY_COUNT) {
            reason = read_unknown(transcoder, &key, start);
        } else if (transcoder->seen & 1u << field) {
            cursor->at = start;
            reason = REASON_DUP_KEY;
        } else {
            transcoder->seen |= 1u << field;
            reason = read_field(transcoder, field);
        }
        if (reason != REASON_NONE)
            return reason;
    }
    transcoder->field = -1;
    return json_value_pop_unique(&transcoder->json, 0);
}

/* Reopens the JSON object in the tuple for another member. */
static uint8_t *reopen_data(struct transcoder *transcoder)
{
    uint8_t *json = transcoder->json_end - 1; /* the closing brace */
    if (json[-1] != '{')
        *json++ = ',';
    return json;
}

/* version-trace-parent-flags, in lower case: w3.org/TR/trace-context, 3.2. */
enum { TRACE_BYTES = 55 };

static bool is_trace(const char *text, size_t length)
{
    if (length != TRACE_BYTES)
        return false;
    for (size_t i = 0; i < length; i++)
        if (i == 2 || i == 35 || i == 52 ? text[i] != '-' : (text[i] < '0' || text[i] > '9') && (text[i] < 'a' || text[i] > 'f'))
            return false;
    return true;
}

void transcoder_set_trace(struct transcoder *transcoder, const void *text, size_t length)
{
    transcoder->trace = transcoder->rules.keep_trace && text != NULL && is_trace(text, length) ? text : NULL;
}

bool transcoder_keeps_trace(const struct transcoder *transcoder)
{
    return transcoder->rules.keep_trace;
}

/* Beside the attributes, unless the event has one of its own. */
static void write_trace(struct transcoder *transcoder)
{
    if (transcoder->trace == NULL || msgpack_map_has_key(transcoder->data, transcoder->data_end, "_trace"))
        return;
    uint8_t *json = reopen_data(transcoder);
    memcpy(json, "\"_trace\":\"", 10);
    memcpy(json + 10, transcoder->trace, TRACE_BYTES);
    memcpy(json + 10 + TRACE_BYTES, "\"}", 2);
    transcoder->json_end = json + 10 + TRACE_BYTES + 2;
}

/* The unknown top-level keys, in a second walk over the top level that few events need. */
static enum reason write_extra(struct transcoder *transcoder, uint32_t pairs, const uint8_t *first_pair)
{
    const size_t data_bytes = transcoder->data ? (size_t)(transcoder->data_end - transcoder->data) : 0;
    if (data_bytes + transcoder->extra_bytes > WIRE_DATA_BYTES)
        return REASON_SIZE;
    if (msgpack_map_has_key(transcoder->data, transcoder->data_end, "_extra"))
        return REASON_DUP_KEY;
    struct msgpack_cursor *cursor = &transcoder->cursor;
    cursor->at = first_pair;
    transcoder->json.limit = cursor->end;
    uint8_t *json = reopen_data(transcoder);
    memcpy(json, "\"_extra\":{", 10);
    json += 10;
    bool is_first = true;
    for (uint32_t i = 0; i < pairs; i++) {
        struct msgpack_item key;
        enum reason reason = json_value_key(cursor, &key);
        if (reason == REASON_NONE && event_key_find(&key, 0) != KEY_COUNT) {
            reason = msgpack_skip(cursor, WIRE_DATA_DEPTH);
        } else if (reason == REASON_NONE) {
            if (!is_first)
                *json++ = ',';
            is_first = false;
            reason = json_write_text(&json, key.bytes, key.length);
            *json++ = ':';
            if (reason == REASON_NONE)
                reason = json_value_write(&transcoder->json, cursor, 3, NULL, &json);
        }
        if (reason != REASON_NONE)
            return reason;
    }
    memcpy(json, "}}", 2);
    transcoder->json_end = json + 2;
    return REASON_NONE;
}

/* The time outside the window: a dead letter, or the message's time with the original beside it. */
static enum reason check_window(struct transcoder *transcoder, int64_t message_us, struct transcoded *result)
{
    const struct transcode_rules *rules = &transcoder->rules;
    const int64_t original = transcoder->created_at_us;
    if (original >= rules->oldest_us && original < rules->newest_us)
        return REASON_NONE;
    transcoder->field = KEY_CREATED_AT;
    if (!rules->clamp || message_us < rules->oldest_us || message_us >= rules->newest_us)
        return REASON_TS_RANGE;
    if (msgpack_map_has_key(transcoder->data, transcoder->data_end, "_created_at"))
        return REASON_DUP_KEY;
    uint8_t *json = reopen_data(transcoder);
    memcpy(json, "\"_created_at\":", 14);
    json = json_write_int(json + 14, original);
    *json++ = '}';
    transcoder->json_end = json;
    transcoder->created_at_us = message_us;
    result->is_clamped = true;
    return REASON_NONE;
}

static enum reason check_catalogue(struct transcoder *transcoder, struct transcoded *result)
{
    const struct event_kind *kind = transcoder->kind;
    result->is_unknown_event = kind == NULL;
    if (!kind) {
        transcoder->field = KEY_EVENT_NAME;
        return transcoder->rules.reject_unknown_events ? REASON_UNKNOWN_EVENT : REASON_NONE;
    }
    const struct text listed = {(const uint8_t *)kind->category, (uint32_t)kind->category_length};
    transcoder->field = KEY_CATEGORY;
    if (!transcoder->category.bytes)
        transcoder->category = listed;
    else if (transcoder->category.length != listed.length || memcmp(transcoder->category.bytes, listed.bytes, listed.length) != 0)
        return REASON_CATEGORY;
    transcoder->field = KEY_DATA;
    if (transcoder->data && transcoder->node && !transcoder->data_is_checked)
        transcoder->json.disagrees =
            !attributes_agree(transcoder->node, transcoder->data, (size_t)(transcoder->data_end - transcoder->data));
    if (transcoder->json.disagrees) {
        result->breaks_attributes = true;
        if (transcoder->rules.reject_attributes)
            return REASON_SCHEMA;
    }
    transcoder->field = -1;
    return REASON_NONE;
}

static size_t finish_tuple(struct transcoder *transcoder)
{
    uint8_t *out = transcoder->out;
    put_16(out, TUPLE_COLUMNS);
    put_32(out + TUPLE_BATCH_ID - 4, 8);
    put_64(out + TUPLE_BATCH_ID, 0);
    put_32(out + TUPLE_ID - 4, UUID_BYTES);
    put_32(out + TUPLE_CREATED_AT - 4, 8);
    put_64(out + TUPLE_CREATED_AT, (uint64_t)(transcoder->created_at_us - CLOCK_POSTGRES_EPOCH_US));
    put_32(out + TUPLE_IS_INTERNAL - 4, 1);
    put_32(out + TUPLE_EVENT_DATA, (uint32_t)(transcoder->json_end - (out + TUPLE_EVENT_DATA + 4)));
    out[TUPLE_EVENT_DATA + 4] = 1; /* jsonb's version */
    uint8_t *end = transcoder->json_end;
    end = put_column(end, transcoder->event_name.bytes, transcoder->event_name.length);
    end = put_column(end, transcoder->category.bytes, transcoder->category.length);
    end = put_column(end, transcoder->session.bytes, transcoder->session.length);
    if (transcoder->has_user)
        end = put_64(put_32(end, 8), (uint64_t)transcoder->user_id);
    else
        end = put_32(end, UINT32_MAX);
    return (size_t)(end - out);
}

static enum reason read_event(struct transcoder *transcoder, int64_t message_us, struct transcoded *result)
{
    struct msgpack_item root;
    enum reason reason = msgpack_next(&transcoder->cursor, &root);
    if (reason != REASON_NONE)
        return reason;
    if (root.type != ITEM_MAP) {
        transcoder->cursor.at = transcoder->value;
        return REASON_ROOT;
    }
    const uint8_t *first_pair = transcoder->cursor.at;
    reason = read_pairs(transcoder, root.length);
    if (reason != REASON_NONE)
        return reason;
    if (transcoder->cursor.at != transcoder->cursor.end)
        return REASON_TRAILING;
    static const enum event_key required[] = {KEY_ID, KEY_EVENT_NAME, KEY_CREATED_AT};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        transcoder->field = (int)required[i];
        if (!(transcoder->present & 1u << required[i]))
            return REASON_MISSING;
    }
    transcoder->field = KEY_COUNT;
    if (transcoder->has_unknown && (reason = write_extra(transcoder, root.length, first_pair)) != REASON_NONE)
        return reason;
    if ((reason = check_window(transcoder, message_us, result)) != REASON_NONE)
        return reason;
    write_trace(transcoder);
    return check_catalogue(transcoder, result);
}

enum reason transcode(struct transcoder *transcoder, const uint8_t *value, size_t length, int64_t message_us, uint8_t *out,
                      struct transcoded *result)
{
    transcoder->value = value;
    transcoder->cursor = (struct msgpack_cursor){value, value ? value + length : NULL};
    transcoder->seen = transcoder->present = 0;
    transcoder->has_unknown = transcoder->has_user = false;
    transcoder->field = -1;
    transcoder->event_name = transcoder->category = transcoder->session = (struct text){NULL, 0};
    transcoder->data = transcoder->data_end = NULL;
    transcoder->extra_bytes = 0;
    transcoder->json.key_count = 0;
    transcoder->json.disagrees = false;
    transcoder->kind = NULL;
    transcoder->node = NULL;
    transcoder->out = out;
    out[TUPLE_IS_INTERNAL] = 0;
    memcpy(out + TUPLE_EVENT_DATA + 5, "{}", 2);
    transcoder->json_end = out + TUPLE_EVENT_DATA + 7;
    memset(result, 0, sizeof *result);

    enum reason reason = !value                      ? REASON_TOMBSTONE
                         : length == 0               ? REASON_EMPTY
                         : length > WIRE_VALUE_BYTES ? REASON_SIZE
                                                     : read_event(transcoder, message_us, result);
    if (reason != REASON_NONE) {
        const struct reason_place place = {value, length, value ? (size_t)(transcoder->cursor.at - value) : 0, transcoder->field};
        reason_detail(transcoder->detail, reason, &place);
        return reason;
    }
    result->has_unknown_key = transcoder->has_unknown;
    result->day = clock_day_of(transcoder->created_at_us);
    result->length = finish_tuple(transcoder);
    return REASON_NONE;
}
