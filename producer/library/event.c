/* event.c - an event's columns, and the message made of them. See event.h and schemas/wire.md.
 *
 * event_data is built first and stays where it is; the columns in front are written right-aligned into room kept for them, the ones
 * behind go to the end. So an event is never copied before librdkafka does, and encoding twice gives the same bytes. The columns
 * could be packed as they are set, which saves a copy of a hundred bytes, but then they would have to come in the wire's order and
 * only once.
 *
 * Invariant: with no mistake remembered, what event_encode makes is a message that every worker stores.
 */
#include "producer/library/event.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/catalogue.h"
#include "common/clock.h"
#include "common/utf8.h"
#include "common/uuid.h"
#include "producer/library/extra.h"
#include "producer/library/pack.h"
#include "producer/library/text.h"

enum { FIRST_CAPACITY = 2048 };

struct tally_event *tally_event_new(void)
{
    struct tally_event *event = calloc(1, sizeof *event);
    if (event == NULL)
        return NULL;
    event->capacity = FIRST_CAPACITY;
    event->bytes = malloc(event->capacity);
    if (event->bytes == NULL) {
        free(event);
        return NULL;
    }
    keys_init(&event->keys);
    return event;
}

void tally_event_free(struct tally_event *event)
{
    if (event == NULL)
        return;
    keys_free(&event->keys);
    free(event->extra);
    if (event->json != NULL)
        event->json->free(event->json);
    free(event->bytes);
    free(event);
}

enum tally_code tally_error_set(struct tally_error *err, enum tally_code code, const char *format, ...)
{
    if (err != NULL) {
        va_list arguments;
        va_start(arguments, format);
        err->code = code;
        vsnprintf(err->text, sizeof err->text, format, arguments);
        va_end(arguments);
        utf8_trim(err->text);
    }
    return code;
}

bool event_fail(struct tally_event *event, enum tally_code code, const char *format, ...)
{
    if (event->error.code == TALLY_OK) {
        va_list arguments;
        va_start(arguments, format);
        event->error.code = code;
        vsnprintf(event->error.text, sizeof event->error.text, format, arguments);
        va_end(arguments);
        utf8_trim(event->error.text);
    }
    return false;
}

bool event_time_is_sound(int64_t wall_us)
{
    return wall_us >= EVENT_TIME_FIRST_US && wall_us < EVENT_TIME_END_US;
}

bool event_refuse_change(struct tally_event *event)
{
    return event_fail(event, TALLY_INVALID,
                      "the event is already published: begin a new event (what is changed now would be lost)");
}

void tally_event_begin(struct tally_event *event, const char *event_name)
{
    tally_event_begin_n(event, event_name, event_name == NULL ? 0 : strlen(event_name));
}

void tally_event_begin_n(struct tally_event *event, const char *event_name, size_t length)
{
    if (event == NULL)
        return;
    event->is_published = event->has_bytes = false;
    event->end = EVENT_HEAD_BYTES;
    event->open[0] = (struct event_container){.is_map = true};
    event->depth = 1;
    event->containers = 0;
    keys_reset(&event->keys);
    event->has_id = event->has_user = event->has_created = event->is_internal = false;
    event->event_category_length = event->session_id_length = 0;
    event->extra_length = 0;
    event->error.code = TALLY_OK;

    event->next_key = NULL;
    length = event_name == NULL ? 0 : length;
    const char *fault = length > WIRE_EVENT_NAME_BYTES ? NULL : text_fault(event_name, length);
    event->event_name_length = 0;
    if (length == 0 || length > WIRE_EVENT_NAME_BYTES)
        event_fail(event, TALLY_INVALID, "event_name has %zu bytes; it takes 1 to %d", length, WIRE_EVENT_NAME_BYTES);
    else if (fault != NULL)
        event_fail(event, TALLY_INVALID, "event_name %s", fault);
    else
        memcpy(event->event_name, event_name, event->event_name_length = length);
}

static void set_text(struct tally_event *event, const char *column, const char *text, size_t length, char *buffer, size_t *used,
                     size_t limit)
{
    if (!event_may_change(event))
        return;
    const char *fault = length > limit ? NULL : text_fault(text, length);
    if (length == 0 || length > limit)
        event_fail(event, TALLY_INVALID, "%s has %zu bytes; it takes 1 to %zu", column, length, limit);
    else if (fault != NULL)
        event_fail(event, TALLY_INVALID, "%s %s", column, fault);
    else
        memcpy(buffer, text, *used = length);
}

void tally_event_category(struct tally_event *event, const char *event_category)
{
    tally_event_category_n(event, event_category, event_category == NULL ? 0 : strlen(event_category));
}

void tally_event_category_n(struct tally_event *event, const char *event_category, size_t length)
{
    if (event != NULL)
        set_text(event, "event_category", event_category, event_category == NULL ? 0 : length, event->event_category,
                 &event->event_category_length, WIRE_CATEGORY_BYTES);
}

void tally_event_session(struct tally_event *event, const char *session_id)
{
    tally_event_session_n(event, session_id, session_id == NULL ? 0 : strlen(session_id));
}

void tally_event_session_n(struct tally_event *event, const char *session_id, size_t length)
{
    if (event == NULL)
        return;
    if (session_id != NULL)
        set_text(event, "session_id", session_id, length, event->session_id, &event->session_id_length, WIRE_SESSION_ID_BYTES);
    else if (event_may_change(event))
        event->session_id_length = 0;
}

void tally_event_user(struct tally_event *event, int64_t user_id)
{
    if (!event_may_change(event))
        return;
    if (user_id < 0)
        event_fail(event, TALLY_INVALID, "user_id is negative");
    event->has_user = true;
    event->user_id = user_id;
}

void tally_event_internal(struct tally_event *event, bool is_internal)
{
    if (event_may_change(event))
        event->is_internal = is_internal;
}

void tally_event_created(struct tally_event *event, int64_t created_at_us)
{
    if (!event_may_change(event))
        return;
    if (!event_time_is_sound(created_at_us))
        event_fail(event, TALLY_INVALID, "created_at is %lld us since 1970: it takes the years 0001 to 9999",
                   (long long)created_at_us);
    event->has_created = true;
    event->created_at_us = created_at_us;
}

void tally_event_set_id(struct tally_event *event, const uint8_t id[TALLY_ID_BYTES])
{
    static const uint8_t zero[TALLY_ID_BYTES];
    if (!event_may_change(event))
        return;
    if (id == NULL) {
        event_fail(event, TALLY_INVALID, "id is NULL");
        return;
    }
    if (memcmp(id, zero, TALLY_ID_BYTES) == 0)
        event_fail(event, TALLY_INVALID, "id is all zero");
    memcpy(event->id, id, TALLY_ID_BYTES);
    event->has_id = true;
}

/* From now, not from created_at: imported events are inserted at the right edge of the index in whatever order their times come. */
static void need_id(struct tally_event *event)
{
    if (!event->has_id)
        uuid_make_v7(event->id, clock_wall_us());
    event->has_id = true;
}

static void need_id_and_time(struct tally_event *event)
{
    if (!event->has_id && !event->has_created) { /* the usual case: one look at the clock */
        event->created_at_us = clock_wall_us();
        uuid_make_v7(event->id, event->created_at_us);
    } else if (!event->has_created) {
        event->created_at_us = clock_wall_us();
    } else {
        need_id(event);
    }
    event->has_id = event->has_created = true;
}

void tally_event_id(struct tally_event *event, uint8_t id[TALLY_ID_BYTES])
{
    if (event == NULL) {
        memset(id, 0, TALLY_ID_BYTES);
        return;
    }
    need_id(event);
    memcpy(id, event->id, TALLY_ID_BYTES);
}

const char *tally_event_id_text(struct tally_event *event, char text[TALLY_ID_TEXT_BYTES])
{
    uint8_t id[TALLY_ID_BYTES];
    tally_event_id(event, id);
    return uuid_format(text, id);
}

#define KEY(to, name) pack_str(to, name, sizeof name - 1)

static size_t text_size(const char *key, size_t length)
{
    return pack_str_size(strlen(key)) + pack_str_size(length);
}

/* How many bytes encode_head writes. Known before, they are written where they stay: bytes copied right after they were written in
 * small pieces wait for each of those. */
static size_t head_size(const struct tally_event *event, uint32_t entries)
{
    size_t size = 1 + pack_str_size(strlen("id")) + 2 + TALLY_ID_BYTES + text_size("event_name", event->event_name_length);
    if (event->event_category_length != 0)
        size += text_size("event_category", event->event_category_length);
    if (event->session_id_length != 0)
        size += text_size("session_id", event->session_id_length);
    if (event->has_user)
        size += pack_str_size(strlen("user_id")) + pack_uint_size((uint64_t)event->user_id);
    if (entries != 0)
        size += pack_str_size(strlen("event_data")) + pack_map_header_size(entries);
    return size;
}

/* The columns before event_data's entries; returns their end. */
static uint8_t *encode_head(const struct tally_event *event, uint32_t entries, uint8_t *head)
{
    uint32_t columns = 3U + (event->event_category_length != 0) + (event->session_id_length != 0) + event->has_user +
                       (entries != 0) + event->is_internal;
    uint8_t *to = pack_map_header(head, columns);
    to = pack_bin_header(KEY(to, "id"), TALLY_ID_BYTES);
    memcpy(to, event->id, TALLY_ID_BYTES);
    to += TALLY_ID_BYTES;
    to = pack_str(KEY(to, "event_name"), event->event_name, (uint32_t)event->event_name_length);
    if (event->event_category_length != 0)
        to = pack_str(KEY(to, "event_category"), event->event_category, (uint32_t)event->event_category_length);
    if (event->session_id_length != 0)
        to = pack_str(KEY(to, "session_id"), event->session_id, (uint32_t)event->session_id_length);
    if (event->has_user)
        to = pack_int(KEY(to, "user_id"), event->user_id);
    if (entries != 0)
        to = pack_map_header(KEY(to, "event_data"), entries);
    return to;
}

bool event_encode(struct tally_event *event, struct event_message *message, struct tally_error *err)
{
    uint32_t entries = event->open[0].entries;
    if (event->error.code == TALLY_OK) {
        if (event->depth == 0)
            event_fail(event, TALLY_INVALID, "the event was never begun");
        else if (event->depth > 1)
            event_fail(event, TALLY_INVALID, "%u map(s) or array(s) were not closed", event->depth - 1);
        else if (event->end - EVENT_HEAD_BYTES + (entries < 16 ? 1 : 3) > WIRE_DATA_BYTES)
            event_fail(event, TALLY_INVALID, "event_data is larger than %d bytes", WIRE_DATA_BYTES);
    }
    if (event->error.code != TALLY_OK) {
        tally_error_set(err, event->error.code, "%s", event->error.text);
        return false;
    }
    need_id_and_time(event);
    uint8_t *const data = event->bytes + EVENT_HEAD_BYTES, *const value = data - head_size(event, entries);
    const uint8_t *const head_end = encode_head(event, entries, value);
    assert(head_end == data);
    (void)head_end;
    uint8_t *to = event->bytes + event->end;
    if (event->is_internal)
        to = pack_bool(KEY(to, "is_internal"), true);
    to = pack_int(KEY(to, "created_at"), event->created_at_us);
    message->extra = event->extra;
    message->extra_length = event->extra_length;
    message->value = value;
    message->value_length = (size_t)(to - value);
    message->key = event->session_id_length != 0 ? event->session_id : uuid_format(event->id_text, event->id);
    message->key_length = event->session_id_length != 0 ? event->session_id_length : TALLY_ID_TEXT_BYTES - 1;
    return true;
}

void tally_event_copy(struct tally_event *to, const struct tally_event *from)
{
    if (to == NULL || from == NULL || to == from)
        return;
    uint8_t *bytes = to->bytes, *extra = to->extra;
    struct event_reader *json = to->json;
    size_t capacity = to->capacity;
    struct keys keys = to->keys;
    if (capacity < from->capacity) {
        bytes = realloc(bytes, from->capacity);
        if (bytes == NULL) {
            event_fail(to, TALLY_FAILED, "no memory to copy an event");
            return;
        }
        capacity = from->capacity;
    }
    if (from->extra_length != 0 && extra == NULL && (extra = malloc(EXTRA_MAX)) == NULL) {
        to->bytes = bytes;
        to->capacity = capacity;
        event_fail(to, TALLY_FAILED, "no memory to copy an event");
        return;
    }
    *to = *from;
    to->bytes = bytes;
    to->capacity = capacity;
    to->extra = extra;
    to->json = json;
    to->keys = keys;
    to->is_published = false;
    to->next_key = NULL;
    if (from->depth > 0)
        memcpy(bytes + EVENT_HEAD_BYTES, from->bytes + EVENT_HEAD_BYTES, from->end - EVENT_HEAD_BYTES);
    if (from->extra_length != 0)
        memcpy(extra, from->extra, from->extra_length);
    if (!keys_copy(&to->keys, &from->keys))
        event_fail(to, TALLY_FAILED, "no memory to copy an event");
}

/* Room behind what there is already, the tag's first. */
static uint8_t *extra_room(struct tally_event *event, size_t need)
{
    if (event->extra == NULL && (event->extra = malloc(EXTRA_MAX)) == NULL) {
        event_fail(event, TALLY_FAILED, "no memory for the event's headers");
        return NULL;
    }
    if (event->extra_length == 0) {
        memset(event->extra, 0, EXTRA_TAG_BYTES);
        event->extra_length = EXTRA_TAG_BYTES;
    }
    if (event->extra_length + need <= EXTRA_MAX)
        return event->extra + event->extra_length;
    event_fail(event, TALLY_INVALID, "the event's headers are more than %d bytes together", EXTRA_MAX - EXTRA_TAG_BYTES);
    return NULL;
}

void tally_event_tag(struct tally_event *event, uint64_t tag)
{
    if (!event_may_change(event))
        return;
    if (tag >> 55 != 0)
        event_fail(event, TALLY_INVALID, "the tag is beyond 2^55 - 1");
    else if ((tag != 0 || event->extra_length != 0) && extra_room(event, 0) != NULL)
        memcpy(event->extra, &tag, sizeof tag);
}

void tally_event_header(struct tally_event *event, const char *name, const char *value)
{
    tally_event_header_n(event, name, name == NULL ? 0 : strlen(name), value, value == NULL ? 0 : strlen(value));
}

void tally_event_header_n(struct tally_event *event, const char *name, size_t name_length, const char *value, size_t value_length)
{
    if (!event_may_change(event))
        return;
    name_length = name == NULL ? 0 : name_length;
    value_length = value == NULL ? 0 : value_length;
    if (name_length == 0 || name_length > EXTRA_NAME_MAX || text_fault(name, name_length) != NULL) {
        event_fail(event, TALLY_INVALID, "a header's name takes 1 to %d bytes of UTF-8", EXTRA_NAME_MAX);
        return;
    }
    size_t need = EXTRA_HEADER_BYTES + name_length + 1 + value_length;
    uint8_t *to = value_length > EXTRA_MAX ? NULL : extra_room(event, need);
    if (to == NULL) {
        event_fail(event, TALLY_INVALID, "the value of the header '%.*s' is too long", (int)utf8_whole(name, name_length, 100),
                   name);
        return;
    }
    memcpy(to, (uint16_t[2]){(uint16_t)name_length, (uint16_t)value_length}, EXTRA_HEADER_BYTES);
    memcpy(to + EXTRA_HEADER_BYTES, name, name_length);
    to[EXTRA_HEADER_BYTES + name_length] = '\0';
    if (value_length != 0)
        memcpy(to + EXTRA_HEADER_BYTES + name_length + 1, value, value_length);
    event->extra_length += need;
}

bool event_is_allowed(const struct tally_event *event, const struct catalogue *catalogue, bool is_unknown_refused,
                      struct tally_error *err)
{
    const struct event_kind *kind = catalogue_find(catalogue, event->event_name, event->event_name_length);
    if (kind == NULL)
        return !is_unknown_refused || tally_error_set(err, TALLY_INVALID, "the catalogue knows no event '%.*s'",
                                                      (int)event->event_name_length, event->event_name) == TALLY_OK;
    if (event->event_category_length == 0 || (event->event_category_length == kind->category_length &&
                                              bytes_equal(event->event_category, kind->category, kind->category_length)))
        return true;
    tally_error_set(err, TALLY_INVALID, "event_category of %s is '%s' in the catalogue, not '%.*s'", kind->name, kind->category,
                    (int)event->event_category_length, event->event_category);
    return false;
}
