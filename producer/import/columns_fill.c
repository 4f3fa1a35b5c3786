/* columns_fill.c - see columns.h: a line's object becomes an event.
 *
 * Every value is looked up before any field is marked as taken, so that one field may serve two columns; what is then left
 * is the rest. Texts of digits are taken for integers and integers for texts where nothing can be lost by it, because files
 * disagree about such things; everything else that is not what a column takes is refused with the column's name.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <tallymill/producer.h>

#include "common/base64.h"
#include "common/error.h"
#include "common/utf8.h"
#include "common/uuid.h"
#include "common/wire.h"
#include "producer/import/columns.h"
#include "producer/import/columns_source.h"
#include "producer/import/line_id.h"
#include "producer/library/json.h"
#include "producer/library/value.h"
#include "producer/library/value_event.h"

/* Finds the source's field in the object: one of that whole name, else along the dots. */
static void find_field(struct source *source, const struct value *object)
{
    const char *name = source->field;
    for (const struct value *holder = object;;) {
        struct value *entry = value_find(holder, name, strlen(name));
        const char *dot = entry == NULL ? strchr(name, '.') : NULL;
        if (entry != NULL) {
            source->entry = entry;
            source->is_seen = true;
            if (entry->type != VALUE_NULL) /* as in the wire format: null is absent */
                source->found = entry;
        }
        if (dot == NULL || (holder = value_find(holder, name, (size_t)(dot - name))) == NULL)
            return;
        name = dot + 1;
    }
}

static bool is_empty(const struct value *value)
{
    return value == NULL || (value->type == VALUE_TEXT && value->length == 0);
}

/* NaN without quotes is a text where only texts go, and absent where none do; where anything goes, absent if numbers are told from
 * texts. */
enum taste { TAKES_TEXTS, TAKES_ANYTHING, TAKES_NO_TEXTS };

static void look_up(struct source *source, const struct value *object, enum taste taste)
{
    source->entry = NULL;
    source->found = source->value;
    if (source->field != NULL)
        find_field(source, object);
    if (source->found != NULL &&
        ((taste == TAKES_NO_TEXTS && source->found->is_nan) || (taste == TAKES_ANYTHING && source->found->is_number_nan)))
        source->found = NULL;
    if (source->fallback != NULL && is_empty(source->found))
        source->found = source->fallback;
}

/* An object that had nothing but what serves columns is taken too. */
static void take_emptied(const struct source *source, const char *field, const struct value *holder)
{
    const char *dot = field == NULL || source->entry == NULL ? NULL : strchr(field, '.');
    struct value *inner = dot == NULL ? NULL : value_find(holder, field, (size_t)(dot - field));
    if (inner == NULL || inner->type != VALUE_OBJECT || inner->length == 0)
        return;
    take_emptied(source, dot + 1, inner);
    if (!value_has_rest(inner))
        inner->is_taken = true;
}

/* With the way into an object: BSON's {"$date": ...}, DynamoDB's {"S": ...}, pandas' columns. */
static bool refuse_type(struct error *err, const char *column, const struct value *value, const char *what)
{
    const struct value *inner = value->type == VALUE_OBJECT ? value->entries.first : NULL;
    if (inner == NULL)
        return error_set(err, ERROR_REJECT, "%s %s", column, what);
    if (strcmp(inner->key, "0") == 0)
        return error_set(err, ERROR_REJECT,
                         "%s is an object of rows (pandas writes one a line with to_json(FILE, orient='records', lines=True))",
                         column);
    return error_set(err, ERROR_REJECT, "%s is an object: name the field inside it, such as --map '%s=%s.%.*s'", column, column,
                     value->key != NULL ? value->key : column, UTF8_CUT(inner->key, 60));
}

/* A text, or an integer written out; "" is absent. NULL: absent, or refused with *err. */
static const char *as_text(const struct value *value, char digits[24], const char *column, bool *ok, struct error *err)
{
    *ok = true;
    if (is_empty(value))
        return NULL;
    switch (value->type) {
    case VALUE_TEXT: return value->text;
    case VALUE_INTEGER: snprintf(digits, 24, "%lld", (long long)value->integer); return digits;
    case VALUE_UNSIGNED: snprintf(digits, 24, "%llu", (unsigned long long)value->whole); return digits;
    case VALUE_BIG: *ok = error_set(err, ERROR_REJECT, "%s is beyond 64 bits: quote it to keep it as text", column); return NULL;
    default: *ok = refuse_type(err, column, value, "is no text"); return NULL;
    }
}

/* "1001", and "1001.0", which pandas makes of a column in which one is missing. */
static bool read_digits(const char *text, int64_t *number)
{
    size_t digits = strspn(text, "0123456789");
    const char *behind = text + digits;
    if (*behind == '.' && behind[1] != '\0' && behind[1 + strspn(behind + 1, "0")] == '\0')
        behind += strlen(behind);
    errno = 0;
    *number = strtoll(text, NULL, 10);
    return digits > 0 && *behind == '\0' && errno == 0;
}

static bool fill_user(const struct value *value, struct tally_event *event, struct error *err)
{
    if (is_empty(value))
        return true;
    int64_t user_id = 0;
    bool ok = false;
    if (value->type == VALUE_INTEGER) {
        user_id = value->integer;
        ok = true;
    } else if (value->type == VALUE_REAL) {
        ok = value->real == floor(value->real) && fabs(value->real) <= 9007199254740992.0;
        user_id = ok ? (int64_t)value->real : 0;
    } else if (value->type == VALUE_UNSIGNED || value->type == VALUE_BIG) {
        return error_set(err, ERROR_REJECT, "user_id is above 2^63 - 1");
    } else if (value->type == VALUE_TEXT) {
        ok = read_digits(value->text, &user_id);
    }
    if (!ok)
        return refuse_type(err, "user_id", value, "is no integer");
    tally_event_user(event, user_id);
    return true;
}

/* JSON's own, 0 and 1, and the words that Postgres takes for a boolean, however they are spelt. */
static bool fill_internal(const struct value *value, struct tally_event *event, struct error *err)
{
    static const char *const words[][2] = {{"f", "t"}, {"false", "true"}, {"no", "yes"}, {"n", "y"}, {"off", "on"}, {"0", "1"}};
    if (is_empty(value))
        return true;
    int is_true = value->type == VALUE_TRUE ? 1 : value->type == VALUE_FALSE ? 0 : -1;
    if (value->type == VALUE_INTEGER && (value->integer == 0 || value->integer == 1))
        is_true = (int)value->integer;
    for (size_t i = 0; value->type == VALUE_TEXT && i < sizeof words / sizeof *words; i++)
        for (int j = 0; j < 2; j++)
            if (strcasecmp(value->text, words[i][j]) == 0)
                is_true = j;
    if (is_true < 0)
        return refuse_type(err, "is_internal", value, "is neither true nor false");
    tally_event_internal(event, is_true == 1);
    return true;
}

static bool fill_id(const struct columns *columns, const struct value *value, struct tally_event *event, struct error *err)
{
    uint8_t id[UUID_BYTES];
    if (is_empty(value))
        return true;
    if (value->type != VALUE_TEXT ||
        (!uuid_parse(value->text, value->length, id) && !base64_decode(value->text, value->length, id, UUID_BYTES))) {
        char digits[24];
        bool ok;
        const char *text = as_text(value, digits, "id", &ok, err);
        if (!ok)
            return false;
        if (!columns->takes_text_ids)
            return error_set(err, ERROR_REJECT, "id is no UUID: --id-from-text makes one of it");
        line_id_of_name(id, columns->id_space, text, strlen(text));
    }
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
    if (fault != NULL && source->found->type == VALUE_OBJECT)
        return refuse_type(err, "created_at", source->found, fault);
    if (fault != NULL)
        return error_set(err, ERROR_REJECT, "created_at %s", fault);
    tally_event_created(event, wall_us);
    return true;
}

/* event_data itself: an object, or its JSON text, as in CSV. NULL: absent or (*ok false) refused. */
static const struct value *read_data(struct columns *columns, bool *ok, struct error *err)
{
    const struct value *data = columns->columns[EVENT_DATA].found;
    *ok = true;
    if (is_empty(data))
        return NULL;
    if (data->type == VALUE_TEXT) {
        struct error reason;
        data = json_read(columns->json, columns->scratch, data->text, data->length, &reason);
        if (data == NULL) {
            *ok = error_set(err, reason.kind, "event_data is no object: as text it is %s", reason.text);
            return NULL;
        }
    }
    if (data->type == VALUE_NULL || (data->type == VALUE_ARRAY && data->length == 0))
        return NULL; /* PHP and Lua write an empty map as an empty array */
    if (data->type != VALUE_OBJECT)
        *ok = error_set(err, ERROR_REJECT, "event_data is no object");
    return *ok ? data : NULL;
}

/* A default of an attribute that the line has by itself. */
static bool is_given(const struct columns *columns, const struct attribute_source *attribute, const struct value *object,
                     const struct value *data)
{
    if (attribute->source.fallback == NULL || attribute->source.field != NULL)
        return false;
    size_t length = strlen(attribute->name);
    return value_find(data, attribute->name, length) != NULL ||
           (columns->takes_rest && value_find(object, attribute->name, length) != NULL);
}

/* The object under the attribute's name up to its last dot, made where there is none; *name becomes what is behind it. NULL: a
 * value stands there, or no memory. */
static struct value *find_holder(struct columns *columns, struct value *attributes, const char **name, struct error *err)
{
    struct value *holder = attributes;
    for (const char *dot; holder != NULL && (dot = strchr(*name, '.')) != NULL; *name = dot + 1) {
        size_t length = (size_t)(dot - *name);
        struct value *next = value_find(holder, *name, length);
        if (next == NULL) {
            struct value *key = value_text(columns->scratch, *name, length, err);
            next = key == NULL ? NULL : value_new(columns->scratch, VALUE_OBJECT, err);
            if (next != NULL)
                value_add(holder, key->text, length, next);
        }
        holder = next != NULL && next->type == VALUE_OBJECT ? next : NULL;
    }
    return holder;
}

/* Under its name; dots lead into objects, which are made. */
static bool put_attribute(struct columns *columns, const struct attribute_source *attribute, struct value *attributes,
                          struct error *err)
{
    const char *name = attribute->name;
    struct value *holder = find_holder(columns, attributes, &name, err);
    if (holder == NULL || value_find(holder, name, strlen(name)) != NULL)
        return error_set(err, ERROR_REJECT, "event_data.%.*s has two values", UTF8_CUT(attribute->name, 100));
    struct value *value = value_share(columns->scratch, attribute->source.found, err);
    if (value != NULL)
        value_add(holder, name, strlen(name), value);
    return value != NULL;
}

static bool put_attributes(struct columns *columns, const struct value *object, const struct value *data, struct tally_event *event,
                           struct error *err)
{
    struct value *attributes = value_new(columns->scratch, VALUE_OBJECT, err);
    for (size_t i = 0; attributes != NULL && i < columns->attribute_count; i++) {
        const struct attribute_source *attribute = &columns->attributes[i];
        if (attribute->source.found != NULL && !is_given(columns, attribute, object, data) &&
            !put_attribute(columns, attribute, attributes, err))
            return false;
    }
    if (attributes == NULL)
        return false;
    value_event_put_rest(event, attributes);
    return true;
}

/* What COPY of our own table has besides an event's fields: dropped, and told once. */
static bool drop_own_columns(struct columns *columns, struct value *entry)
{
    static const char *const names[] = {"batch_id", "ip_address"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(entry->key, names[i]) == 0) {
            columns->dropped |= 1U << i;
            entry->is_taken = true;
            return true;
        }
    return false;
}

static bool fill_rest(struct columns *columns, const struct value *object, struct tally_event *event, struct error *err)
{
    if (columns->takes_rest)
        value_event_put_rest(event, object);
    if (columns->takes_rest || columns->drops_rest)
        return true;
    for (struct value *entry = object->entries.first; entry != NULL; entry = entry->next)
        if (!entry->is_taken && !drop_own_columns(columns, entry))
            return error_set(err, ERROR_REJECT, "the field '%.*s' goes nowhere: --map it, or say --rest event_data or --rest none",
                             UTF8_CUT(entry->key, 60));
    return true;
}

static bool fill_data(struct columns *columns, const struct value *object, struct tally_event *event, struct error *err)
{
    bool ok;
    const struct value *data = read_data(columns, &ok, err);
    if (data != NULL)
        value_event_put_rest(event, data);
    return ok && (columns->attribute_count == 0 || put_attributes(columns, object, data, event, err)) &&
           fill_rest(columns, object, event, err);
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
    return ok && fill_id(columns, from[ID].found, event, err) && fill_user(from[USER_ID].found, event, err) &&
           fill_internal(from[IS_INTERNAL].found, event, err) && fill_created(columns, event, err);
}

static void take(struct source *source, const struct value *object)
{
    if (source->entry != NULL)
        source->entry->is_taken = true;
    take_emptied(source, source->field, object);
}

bool columns_fill(struct columns *columns, struct value *object, struct tally_event *event, struct error *err)
{
    static const enum taste tastes[COLUMNS] = {[ID] = TAKES_NO_TEXTS,
                                               [USER_ID] = TAKES_NO_TEXTS,
                                               [EVENT_DATA] = TAKES_NO_TEXTS,
                                               [IS_INTERNAL] = TAKES_NO_TEXTS,
                                               [CREATED_AT] = TAKES_NO_TEXTS};
    value_pool_reset(columns->scratch);
    for (size_t i = 0; i < COLUMNS; i++)
        look_up(&columns->columns[i], object, tastes[i]);
    for (size_t i = 0; i < columns->attribute_count; i++)
        look_up(&columns->attributes[i].source, object, TAKES_ANYTHING);
    for (size_t i = 0; i < COLUMNS; i++)
        take(&columns->columns[i], object);
    for (size_t i = 0; i < columns->attribute_count; i++)
        take(&columns->attributes[i].source, object);
    struct value *version = columns->is_mapped ? NULL : value_find(object, "v", 1);
    if (version != NULL && version->type == VALUE_INTEGER && version->integer <= WIRE_VERSION)
        version->is_taken = true; /* an event as it is sent */
    return fill_columns(columns, event, err) && fill_data(columns, object, event, err);
}
