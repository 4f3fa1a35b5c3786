/* columns.c - the mapping as it is given on the command line. See columns.h; columns_fill.c uses it. */
#include "producer/import/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/error.h"
#include "common/nearest.h"
#include "common/utf8.h"
#include "producer/import/columns_source.h"
#include "producer/import/line_id.h"
#include "producer/library/json.h"
#include "producer/library/text.h"
#include "producer/library/value.h"

static const char *const column_names[COLUMNS] = {"id",      "event_name", "event_category", "session_id",
                                                  "user_id", "event_data", "is_internal",    "created_at"};
static const char attribute_prefix[] = "event_data.";

struct columns *columns_new(void)
{
    struct columns *columns = calloc(1, sizeof *columns);
    if (columns == NULL)
        return NULL;
    columns->constants = value_pool_new();
    columns->scratch = value_pool_new();
    columns->json = json_new(JSON_LINE_BYTES);
    if (columns->constants != NULL && columns->scratch != NULL && columns->json != NULL)
        return columns;
    columns_free(columns);
    return NULL;
}

static void source_reset(struct source *source)
{
    free(source->field);
    *source = (struct source){0};
}

void columns_free(struct columns *columns)
{
    if (columns == NULL)
        return;
    for (size_t i = 0; i < COLUMNS; i++)
        source_reset(&columns->columns[i]);
    for (size_t i = 0; i < columns->attribute_count; i++) {
        source_reset(&columns->attributes[i].source);
        free(columns->attributes[i].name);
    }
    instant_reset(&columns->times);
    fields_reset(&columns->fields);
    value_pool_free(columns->constants);
    value_pool_free(columns->scratch);
    json_free(columns->json);
    free(columns);
}

/* Each option counts, with its kind and in its order. */
static void mark(struct columns *columns, const char *kind, const char *text)
{
    uint64_t seed = XXH3_64bits_withSeed(kind, strlen(kind), columns->fingerprint);
    columns->fingerprint = XXH3_64bits_withSeed(text, strlen(text), seed);
}

/* The attribute of that name, made where there is none yet; NULL: ERROR_RETRY or ERROR_USAGE. */
static struct source *find_attribute(struct columns *columns, const char *name, size_t length, struct error *err)
{
    for (size_t i = 0; i < columns->attribute_count; i++)
        if (strlen(columns->attributes[i].name) == length && memcmp(columns->attributes[i].name, name, length) == 0)
            return &columns->attributes[i].source;
    if (columns->attribute_count == ATTRIBUTES_MAX) {
        error_set(err, ERROR_USAGE, "more than %d attributes", ATTRIBUTES_MAX);
        return NULL;
    }
    if (length >= FIELD_PART_BYTES) {
        error_set(err, ERROR_USAGE, "a name of more than %d bytes", FIELD_PART_BYTES - 1);
        return NULL;
    }
    struct attribute_source *attribute = &columns->attributes[columns->attribute_count];
    attribute->name = strndup(name, length);
    if (attribute->name == NULL) {
        error_set(err, ERROR_RETRY, "no memory");
        return NULL;
    }
    columns->attribute_count++;
    return &attribute->source;
}

static struct source *find_column(struct columns *columns, const char *name, size_t length, struct error *err)
{
    for (size_t i = 0; i < COLUMNS; i++)
        if (strlen(column_names[i]) == length && memcmp(column_names[i], name, length) == 0)
            return &columns->columns[i];
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)utf8_whole(name, length, sizeof word - 1), name);
    const char *nearest = nearest_word(word, column_names, COLUMNS);
    error_set(err, ERROR_USAGE,
              "'%s' is no column%s%s; columns are id, event_name, event_category, session_id, user_id, event_data, is_internal, "
              "created_at, and event_data.NAME",
              word, nearest == NULL ? "" : ", did you mean ", nearest == NULL ? "" : nearest);
    return NULL;
}

/* The source to be set for the column named before '='; NULL: ERROR_USAGE. *value is what stands behind it, *takes_json whether
 * that may be any JSON value. */
static struct source *find_source(struct columns *columns, const char *text, const char **value, bool *takes_json,
                                  struct error *err)
{
    const char *equals = strchr(text, '=');
    size_t length = equals == NULL ? 0 : (size_t)(equals - text), prefix = sizeof attribute_prefix - 1;
    if (length == 0 || equals[1] == '\0') {
        error_set(err, ERROR_USAGE, "wants COLUMN=..., such as created_at=time");
        return NULL;
    }
    *value = equals + 1;
    bool is_attribute = length > prefix && strncmp(text, attribute_prefix, prefix) == 0;
    struct source *source =
        is_attribute ? find_attribute(columns, text + prefix, length - prefix, err) : find_column(columns, text, length, err);
    *takes_json = is_attribute || source == &columns->columns[EVENT_DATA];
    return source;
}

static bool is_free(bool is_taken, struct error *err)
{
    return !is_taken || error_set(err, ERROR_USAGE, "this column was given already");
}

/* A JSON value where one may stand and the text is one, else the text. NULL: ERROR_USAGE. */
static const struct value *read_value(struct columns *columns, const char *text, bool takes_json, struct error *err)
{
    struct error no_json;
    const struct value *value = takes_json ? json_read(columns->json, columns->constants, text, strlen(text), &no_json) : NULL;
    if (value != NULL)
        return value_copy(columns->constants, value, err);
    if (text_fault(text, strlen(text)) == NULL)
        return value_text(columns->constants, text, strlen(text), err);
    error_set(err, ERROR_USAGE, "the value is not UTF-8");
    return NULL;
}

bool columns_map(struct columns *columns, const char *text, struct error *err)
{
    const char *field;
    bool takes_json;
    struct source *source = find_source(columns, text, &field, &takes_json, err);
    if (source == NULL || !is_free(source->field != NULL || source->value != NULL, err))
        return false;
    source->field = strdup(field);
    columns->is_mapped = true;
    mark(columns, "map", text);
    return source->field != NULL || error_set(err, ERROR_RETRY, "no memory");
}

bool columns_const(struct columns *columns, const char *text, struct error *err)
{
    const char *value;
    bool takes_json;
    struct source *source = find_source(columns, text, &value, &takes_json, err);
    if (source == NULL || !is_free(source->field != NULL || source->value != NULL || source->fallback != NULL, err))
        return false;
    source->value = read_value(columns, value, takes_json, err);
    mark(columns, "const", text);
    return source->value != NULL;
}

bool columns_default(struct columns *columns, const char *text, struct error *err)
{
    const char *value;
    bool takes_json;
    struct source *source = find_source(columns, text, &value, &takes_json, err);
    if (source == NULL || !is_free(source->value != NULL || source->fallback != NULL, err))
        return false;
    source->fallback = read_value(columns, value, takes_json, err);
    mark(columns, "default", text);
    return source->fallback != NULL;
}

bool columns_rest(struct columns *columns, const char *text, struct error *err)
{
    columns->takes_rest = strcmp(text, "event_data") == 0;
    columns->drops_rest = strcmp(text, "none") == 0;
    columns->is_mapped = true;
    mark(columns, "rest", text);
    return columns->takes_rest || columns->drops_rest ||
           error_set(err, ERROR_USAGE, "say event_data (all other fields go there) or none (they are dropped)");
}

void columns_time_unit(struct columns *columns, enum time_unit unit)
{
    columns->times.unit = unit;
    mark(columns, "unit", unit == TIME_UNIT_S ? "s" : unit == TIME_UNIT_MS ? "ms" : unit == TIME_UNIT_US ? "us" : "ns");
}

bool columns_time_format(struct columns *columns, const char *format, struct error *err)
{
    mark(columns, "time format", format);
    return instant_add_format(&columns->times, format, err);
}

bool columns_time_zone(struct columns *columns, const char *zone, struct error *err)
{
    mark(columns, "time zone", zone);
    return instant_set_zone(&columns->times, zone, err);
}

void columns_id_from_text(struct columns *columns, const char *topic)
{
    static const uint8_t nil[LINE_ID_BYTES];
    char name[300];
    int length = snprintf(name, sizeof name, "tallymill:%s", topic); /* a topic's name has 249 bytes at most */
    line_id_of_name(columns->id_space, nil, name, (size_t)length);
    columns->takes_text_ids = true;
    mark(columns, "id from text", topic);
}

uint64_t columns_fingerprint(const struct columns *columns)
{
    return columns->fingerprint;
}

bool columns_is_mapped(const struct columns *columns)
{
    return columns->is_mapped;
}

static void see_source(struct source *source, const char *name)
{
    if (source->field != NULL && strcmp(source->field, name) == 0)
        source->is_seen = true;
}

void columns_see_field(struct columns *columns, const char *name)
{
    for (size_t i = 0; i < COLUMNS; i++)
        see_source(&columns->columns[i], name);
    for (size_t i = 0; i < columns->attribute_count; i++)
        see_source(&columns->attributes[i].source, name);
    fields_add(&columns->fields, name, strlen(name));
}

/* Names of the inner objects' fields too, as --map takes them. */
void columns_see_record(struct columns *columns, const struct value *object)
{
    for (const struct value *entry = object->entries.first; entry != NULL; entry = entry->next) {
        fields_add(&columns->fields, entry->key, entry->key_length);
        if (entry->type != VALUE_OBJECT)
            continue;
        for (const struct value *inner = entry->entries.first; inner != NULL; inner = inner->next) {
            char name[2 * FIELD_PART_BYTES];
            int length = snprintf(name, sizeof name, "%s.%s", entry->key, inner->key);
            if (length < (int)sizeof name)
                fields_add(&columns->fields, name, (size_t)length);
        }
    }
}

/* What may have been meant to part the only field that there is; 0: nothing. */
static char find_delimiter(const struct columns *columns)
{
    return columns->fields.count == 1 ? fields_delimiter(columns->fields.names[0]) : '\0';
}

static bool refuse_field(const struct columns *columns, const char *field, const char *who, struct error *err)
{
    const char *nearest = fields_nearest(&columns->fields, field);
    char word[FIELDS_DELIMITER_BYTES], delimiter = find_delimiter(columns);
    if (nearest != NULL)
        return error_set(err, ERROR_USAGE, "%s the field '%.*s' that was mapped: did you mean '%.*s'?", who, UTF8_CUT(field, 100),
                         UTF8_CUT(nearest, 100));
    if (delimiter != '\0')
        return error_set(err, ERROR_USAGE,
                         "%s the field '%.*s' that was mapped; the header is one field with a %s in it: say --delimiter %s", who,
                         UTF8_CUT(field, 100), fields_delimiter_word(word, delimiter), word);
    return error_set(err, ERROR_USAGE, "%s the field '%.*s' that was mapped; there is '%.*s'%s", who, UTF8_CUT(field, 100),
                     UTF8_CUT(columns->fields.count == 0 ? "" : columns->fields.names[0], 100),
                     columns->fields.count > 1 ? " and others" : "");
}

static bool has_name(const struct columns *columns)
{
    const struct source *name = &columns->columns[EVENT_NAME];
    return name->is_seen || name->value != NULL || name->fallback != NULL;
}

static bool refuse_nameless(const struct columns *columns, const char *who, struct error *err)
{
    const char *nearest = fields_nearest(&columns->fields, "event_name");
    char word[FIELDS_DELIMITER_BYTES], delimiter = find_delimiter(columns);
    if (delimiter != '\0')
        return error_set(err, ERROR_USAGE, "%s event_name; the header is one field with a %s in it: say --delimiter %s", who,
                         fields_delimiter_word(word, delimiter), word);
    if (nearest == NULL)
        return error_set(err, ERROR_USAGE, "%s event_name: say --map event_name=FIELD or --const event_name=NAME, or --guess", who);
    return error_set(err, ERROR_USAGE, "%s event_name: say --map event_name='%.*s', and --map each other field, or --guess", who,
                     UTF8_CUT(nearest, 100));
}

bool columns_check_fields(const struct columns *columns, const char *who, struct error *err)
{
    if (!columns->is_mapped)
        return has_name(columns) || refuse_nameless(columns, who, err);
    for (size_t i = 0; i < COLUMNS; i++)
        if (columns->columns[i].field != NULL && !columns->columns[i].is_seen)
            return refuse_field(columns, columns->columns[i].field, who, err);
    for (size_t i = 0; i < columns->attribute_count; i++)
        if (columns->attributes[i].source.field != NULL && !columns->attributes[i].source.is_seen)
            return refuse_field(columns, columns->attributes[i].source.field, who, err);
    return true;
}

const char *columns_take_notice(struct columns *columns)
{
    static const char *const notices[] = {"batch_id is dropped: it belongs to the database that the rows came from",
                                          "ip_address is dropped: --map event_data.NAME=ip_address keeps it"};
    unsigned news = columns->dropped & ~columns->told;
    if (news == 0)
        return NULL;
    int bit = __builtin_ctz(news);
    columns->told |= 1U << bit;
    return notices[bit];
}

bool columns_check(struct columns *columns, struct error *err)
{
    const struct source *name = &columns->columns[EVENT_NAME];
    if (columns->is_mapped && name->field == NULL && name->value == NULL && name->fallback == NULL)
        return error_set(err, ERROR_USAGE, "no column event_name: say --const event_name=NAME or --map event_name=FIELD");
    for (size_t i = 0; !columns->is_mapped && i < COLUMNS; i++)
        if (columns->columns[i].value == NULL && (columns->columns[i].field = strdup(column_names[i])) == NULL)
            return error_set(err, ERROR_RETRY, "no memory");
    return true;
}
