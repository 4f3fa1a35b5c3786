/* columns_fill.c - see columns.h: a line's object becomes an event.
 *
 * Every value is looked up before any field is taken out of the object, so that one field may serve two columns; what is then left
 * is the rest. Texts of digits are taken for integers and integers for texts where nothing can be lost by it, because files
 * disagree about such things; everything else that is not what a column takes is refused with the column's name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tallymill/producer.h>

#include "base64.h"
#include "columns.h"
#include "columns_source.h"
#include "error.h"
#include "json_event.h"
#include "utf8.h"
#include "uuid.h"
#include "wire.h"

/* Finds the source's field in the object: one of that whole name, else along the dots. */
static void find_field(struct source *source, json_t *object)
{
    const char *name = source->field;
    json_t *holder = object;
    for (const char *dot; json_object_get(holder, name) == NULL && (dot = strchr(name, '.')) != NULL; name = dot + 1) {
        char part[FIELD_PART_BYTES];
        if (dot - name >= FIELD_PART_BYTES)
            return;
        memcpy(part, name, (size_t)(dot - name));
        part[dot - name] = '\0';
        holder = json_object_get(holder, part);
        if (!json_is_object(holder))
            return;
    }
    json_t *value = json_object_get(holder, name);
    if (value == NULL)
        return;
    source->holder = holder;
    source->key = name;
    if (!json_is_null(value)) /* as in the wire format: null is absent */
        source->found = json_incref(value);
}

static void look_up(struct source *source, json_t *object)
{
    source->holder = NULL;
    source->found = json_incref(source->value);
    if (source->field != NULL)
        find_field(source, object);
    bool is_empty = json_is_string(source->found) && json_string_length(source->found) == 0;
    if (source->fallback != NULL && (source->found == NULL || is_empty)) {
        json_decref(source->found);
        source->found = json_incref(source->fallback);
    }
}

static void take_out(struct source *source)
{
    if (source->holder != NULL)
        json_object_del(source->holder, source->key); /* a second source of the same field finds nothing to delete */
}

/* An object that had nothing but what was taken out of it goes too. */
static void take_out_emptied(const struct source *source, const char *field, json_t *holder)
{
    const char *dot = field == NULL ? NULL : strchr(field, '.');
    if (dot == NULL || source->holder == NULL || holder == source->holder)
        return;
    char part[FIELD_PART_BYTES];
    memcpy(part, field, (size_t)(dot - field)); /* short enough, or find_field would have found no holder */
    part[dot - field] = '\0';
    json_t *inner = json_object_get(holder, part);
    take_out_emptied(source, dot + 1, inner);
    if (json_is_object(inner) && json_object_size(inner) == 0)
        json_object_del(holder, part);
}

static void forget(struct source *source)
{
    json_decref(source->found);
    source->found = NULL;
}

/* A text, or an integer written out; "" is absent. NULL: absent, or refused with *err. */
static const char *as_text(const json_t *value, char digits[24], const char *column, bool *ok, struct error *err)
{
    *ok = true;
    if (value == NULL)
        return NULL;
    if (json_is_string(value))
        return json_string_length(value) == 0 ? NULL : json_string_value(value);
    if (json_is_integer(value)) {
        snprintf(digits, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return digits;
    }
    *ok = error_set(err, ERROR_REJECT, "%s is no text", column);
    return NULL;
}

static bool fill_user(const json_t *value, struct tally_event *event, struct error *err)
{
    if (value == NULL || (json_is_string(value) && json_string_length(value) == 0))
        return true;
    int64_t user_id = json_integer_value(value);
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        char *end;
        errno = 0;
        user_id = strtoll(text, &end, 10);
        if (text[strspn(text, "0123456789")] != '\0' || errno != 0)
            return error_set(err, ERROR_REJECT, "user_id is no integer");
    } else if (!json_is_integer(value)) {
        return error_set(err, ERROR_REJECT, "user_id is no integer");
    }
    tally_event_user(event, user_id);
    return true;
}

static bool fill_internal(const json_t *value, struct tally_event *event, struct error *err)
{
    if (value == NULL)
        return true;
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    bool is_true = json_is_true(value) || strcmp(text, "true") == 0;
    if (!is_true && !json_is_false(value) && strcmp(text, "false") != 0)
        return error_set(err, ERROR_REJECT, "is_internal is neither true nor false");
    tally_event_internal(event, is_true);
    return true;
}

static bool fill_id(const json_t *value, struct tally_event *event, struct error *err)
{
    uint8_t id[UUID_BYTES];
    if (value == NULL)
        return true;
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (text == NULL || (!uuid_parse(text, length, id) && !base64_decode(text, length, id, UUID_BYTES)))
        return error_set(err, ERROR_REJECT, "id is no UUID");
    tally_event_set_id(event, id);
    return true;
}

/* A time that was mapped must be there; without a mapping an event without one happens now. */
static bool fill_created(const struct columns *columns, struct tally_event *event, struct error *err)
{
    const struct source *source = &columns->columns[CREATED_AT];
    if (source->found == NULL)
        return !columns->is_mapped || source->field == NULL ||
               error_set(err, ERROR_REJECT, "created_at is missing: no field '%s'", source->field);
    int64_t wall_us;
    const char *fault = instant_read(&columns->times, source->found, &wall_us);
    if (fault != NULL)
        return error_set(err, ERROR_REJECT, "created_at %s", fault);
    tally_event_created(event, wall_us);
    return true;
}

/* A default of an attribute that the line has by itself. */
static bool is_given(const struct columns *columns, const struct attribute_source *attribute, const json_t *object)
{
    if (attribute->source.fallback == NULL || attribute->source.field != NULL)
        return false;
    return json_object_get(columns->columns[EVENT_DATA].found, attribute->name) != NULL ||
           (columns->takes_rest && json_object_get(object, attribute->name) != NULL);
}

/* Under its name; dots lead into objects, which are made. */
static bool put_attribute(const struct columns *columns, const struct attribute_source *attribute, const json_t *object,
                          json_t *attributes, struct error *err)
{
    if (attribute->source.found == NULL || is_given(columns, attribute, object))
        return true;
    const char *name = attribute->name;
    json_t *holder = attributes;
    for (const char *dot; holder != NULL && (dot = strchr(name, '.')) != NULL; name = dot + 1) {
        char part[FIELD_PART_BYTES]; /* columns_map and the others let no longer one in */
        memcpy(part, name, (size_t)(dot - name));
        part[dot - name] = '\0';
        json_t *next = json_object_get(holder, part);
        if (next == NULL && json_object_set_new(holder, part, json_object()) == 0)
            next = json_object_get(holder, part);
        holder = json_is_object(next) ? next : NULL;
    }
    if (holder == NULL || json_object_get(holder, name) != NULL)
        return error_set(err, ERROR_REJECT, "event_data.%.*s has two values", UTF8_CUT(attribute->name, 100));
    return json_object_set(holder, name, attribute->source.found) == 0 || error_set(err, ERROR_REJECT, "the name is not UTF-8");
}

static bool fill_data(struct columns *columns, const json_t *object, struct tally_event *event, struct error *err)
{
    const json_t *data = columns->columns[EVENT_DATA].found;
    if (data != NULL && !json_is_object(data))
        return error_set(err, ERROR_REJECT, "event_data is no object");
    if (data != NULL)
        json_event_put_all(event, data);
    json_t *attributes = columns->attribute_count > 0 ? json_object() : NULL;
    bool ok = attributes != NULL || columns->attribute_count == 0 || error_set(err, ERROR_RETRY, "no memory");
    for (size_t i = 0; ok && i < columns->attribute_count; i++)
        ok = put_attribute(columns, &columns->attributes[i], object, attributes, err);
    if (ok && attributes != NULL)
        json_event_put_all(event, attributes);
    json_decref(attributes);
    if (!ok)
        return false;
    if (columns->takes_rest)
        json_event_put_all(event, object);
    else if (!columns->drops_rest && json_object_size(object) > 0)
        return error_set(err, ERROR_REJECT, "the field '%.*s' goes nowhere: --map it, or say --rest event_data or --rest none",
                         UTF8_CUT(json_object_iter_key(json_object_iter((json_t *)(uintptr_t)object)), 60));
    return true;
}

static bool fill_columns(struct columns *columns, struct tally_event *event, struct error *err)
{
    const struct source *from = columns->columns;
    char digits[24];
    bool ok;
    const char *text = as_text(from[EVENT_NAME].found, digits, "event_name", &ok, err);
    if (text == NULL)
        return ok ? error_set(err, ERROR_REJECT, "event_name is missing") : false;
    tally_event_begin(event, text);
    if ((text = as_text(from[EVENT_CATEGORY].found, digits, "event_category", &ok, err)) != NULL)
        tally_event_category(event, text);
    if (ok && (text = as_text(from[SESSION_ID].found, digits, "session_id", &ok, err)) != NULL)
        tally_event_session(event, text);
    return ok && fill_id(from[ID].found, event, err) && fill_user(from[USER_ID].found, event, err) &&
           fill_internal(from[IS_INTERNAL].found, event, err) && fill_created(columns, event, err);
}

bool columns_fill(struct columns *columns, json_t *object, struct tally_event *event, struct error *err)
{
    for (size_t i = 0; i < COLUMNS; i++)
        look_up(&columns->columns[i], object);
    for (size_t i = 0; i < columns->attribute_count; i++)
        look_up(&columns->attributes[i].source, object);
    for (size_t i = 0; i < COLUMNS; i++)
        take_out(&columns->columns[i]);
    for (size_t i = 0; i < columns->attribute_count; i++)
        take_out(&columns->attributes[i].source);
    for (size_t i = 0; i < COLUMNS; i++)
        take_out_emptied(&columns->columns[i], columns->columns[i].field, object);
    for (size_t i = 0; i < columns->attribute_count; i++)
        take_out_emptied(&columns->attributes[i].source, columns->attributes[i].source.field, object);
    if (!columns->is_mapped && json_is_integer(json_object_get(object, "v")) &&
        json_integer_value(json_object_get(object, "v")) <= WIRE_VERSION)
        json_object_del(object, "v"); /* an event as it is sent */
    bool ok = fill_columns(columns, event, err) && fill_data(columns, object, event, err);
    for (size_t i = 0; i < COLUMNS; i++)
        forget(&columns->columns[i]);
    for (size_t i = 0; i < columns->attribute_count; i++)
        forget(&columns->attributes[i].source);
    return ok;
}
