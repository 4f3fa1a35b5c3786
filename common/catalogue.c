/* catalogue.c - see catalogue.h.
 *
 * The JSON tree is kept, and every name points into it: the catalogue is loaded once and read millions of times, so what counts is
 * that a lookup is one hash, one comparison and no allocation. The index is an open-addressing table with four slots a kind or
 * more, so that nearly every name stands in its own slot. Sorting and bisecting was rejected: four or five comparisons an event
 * instead of one.
 *
 * jansson tells the line of broken JSON; where JSON is right and the catalogue wrong, the line is the one where the event's name
 * stands.
 */
#include "common/catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <xxhash.h>

#include "common/error.h"
#include "common/nearest.h"
#include "common/settings_file.h"
#include "common/wire.h"

extern const char catalogue_built_in[];

enum { FILE_BYTES = 4 * 1024 * 1024, KINDS_MAX = 4096, CATALOGUE_VERSION = 1 };

struct catalogue {
    json_t *root; /* the texts that all names and values below point into */
    struct event_kind *kinds;
    size_t count;
    const struct event_kind **slots; /* slot_mask + 1 of them, a power of two */
    size_t slot_mask;
};

/* What is being read, for error texts. */
struct place {
    const char *file, *text;
    const char *event, *attribute; /* NULL: not there yet */
};

static const char *const type_names[] = {"text", "integer", "number", "bool", "map", "array", "any"};
enum { TYPE_COUNT = sizeof type_names / sizeof type_names[0] };

/* The line on which the event's name first stands as a whole string, or 0. */
static int line_of(const char *text, const char *event)
{
    size_t length = strlen(event);
    for (const char *at = strstr(text, event); at != NULL; at = strstr(at + 1, event)) {
        if (at == text || at[-1] != '"' || at[length] != '"')
            continue;
        int line = 1;
        for (const char *byte = text; byte < at; byte++)
            line += *byte == '\n';
        return line;
    }
    return 0;
}

/* Puts file, line, event and attribute before the text of err. */
static bool at_place(const struct place *place, struct error *err)
{
    if (place->attribute != NULL)
        error_wrap(err, "attribute %s", place->attribute);
    if (place->event != NULL)
        error_wrap(err, "%s:%d: event %s", place->file, line_of(place->text, place->event), place->event);
    else
        error_wrap(err, "%s", place->file);
    return false;
}

static bool refuse(const struct place *place, struct error *err, const char *what)
{
    error_set(err, ERROR_USAGE, "%s", what);
    return at_place(place, err);
}

/* A key that is none of `known` is a spelling mistake, which would otherwise pass as "not given". */
static bool check_keys(const json_t *object, const char *const *known, size_t count, const struct place *place, struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        size_t i = 0;
        while (i < count && strcmp(known[i], key) != 0)
            i++;
        if (i < count)
            continue;
        const char *nearest = nearest_word(key, known, count);
        error_set(err, ERROR_USAGE, "unknown key \"%s\"%s%s%s", key, nearest != NULL ? "; did you mean \"" : "",
                  nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "");
        return at_place(place, err);
    }
    return true;
}

/* A text of 1 to `max` bytes. */
static const char *read_text(const json_t *object, const char *key, size_t max, const struct place *place, struct error *err)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value) && json_string_length(value) > 0 && json_string_length(value) <= max)
        return json_string_value(value);
    error_set(err, ERROR_USAGE, "\"%s\" must be a text of 1 to %zu bytes", key, max);
    at_place(place, err);
    return NULL;
}

static bool read_type(const json_t *value, struct attribute *attribute, const struct place *place, struct error *err)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (strcmp(type_names[i], json_string_value(value)) == 0) {
            attribute->type = (enum attribute_type)i;
            return true;
        }
    }
    const char *nearest = nearest_word(json_string_value(value), type_names, TYPE_COUNT);
    error_set(err, ERROR_USAGE, "\"%s\" is no type (text, integer, number, bool, map, array, any)%s%s", json_string_value(value),
              nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "");
    return at_place(place, err);
}

static bool read_values(const json_t *list, struct attribute *attribute, const struct place *place, struct error *err)
{
    size_t count = json_array_size(list);
    if (count == 0)
        return refuse(place, err, "an empty list of values would refuse every value");
    const char **values = calloc(count + 1, sizeof *values);
    if (values == NULL)
        return error_set(err, ERROR_RETRY, "out of memory");
    attribute->type = ATTRIBUTE_TEXT;
    attribute->values = values;
    for (size_t i = 0; i < count; i++) {
        values[i] = json_string_value(json_array_get(list, i));
        if (values[i] == NULL)
            return refuse(place, err, "the list of values must hold texts only");
    }
    return true;
}

static bool is_path(const char *path)
{
    size_t length = strlen(path);
    return length > 0 && path[0] != '.' && path[length - 1] != '.' && strstr(path, "..") == NULL;
}

static bool read_attributes(const json_t *object, struct event_kind *kind, struct place *place, struct error *err)
{
    if (!json_is_object(object))
        return refuse(place, err, "\"attributes\" must be an object of \"PATH\": \"TYPE\" or \"PATH\": [\"VALUE\", ...]");
    struct attribute *attributes = calloc(json_object_size(object) + 1, sizeof *attributes);
    if (attributes == NULL)
        return error_set(err, ERROR_RETRY, "out of memory");
    kind->attributes = attributes;
    const char *path;
    json_t *value;
    json_object_foreach((json_t *)object, path, value) {
        place->attribute = path;
        struct attribute *attribute = &attributes[kind->attribute_count++];
        attribute->path = path;
        attribute->path_length = strlen(path);
        if (!is_path(path))
            return refuse(place, err, "a path is names with dots between them");
        bool ok = json_is_string(value)  ? read_type(value, attribute, place, err)
                  : json_is_array(value) ? read_values(value, attribute, place, err)
                                         : refuse(place, err, "must be a type or a list of values");
        if (!ok)
            return false;
    }
    place->attribute = NULL;
    return true;
}

static bool read_kind(const json_t *object, struct event_kind *kind, struct place *place, struct error *err)
{
    static const char *const known[] = {"name", "category", "purpose", "derived", "attributes"};
    if (!json_is_object(object))
        return refuse(place, err, "each of \"events\" must be an object");
    if ((kind->name = read_text(object, "name", WIRE_EVENT_NAME_BYTES, place, err)) == NULL)
        return false;
    place->event = kind->name;
    if (!check_keys(object, known, sizeof known / sizeof known[0], place, err))
        return false;
    if ((kind->category = read_text(object, "category", WIRE_CATEGORY_BYTES, place, err)) == NULL)
        return false;
    const json_t *derived = json_object_get(object, "derived"), *purpose = json_object_get(object, "purpose");
    if (derived != NULL && !json_is_boolean(derived))
        return refuse(place, err, "\"derived\" must be true or false");
    if (purpose != NULL && !json_is_string(purpose))
        return refuse(place, err, "\"purpose\" must be a text");
    kind->is_derived = json_is_true(derived);
    kind->name_length = strlen(kind->name);
    kind->category_length = strlen(kind->category);
    const json_t *attributes = json_object_get(object, "attributes");
    return attributes == NULL || read_attributes(attributes, kind, place, err);
}

static const struct event_kind **find_slot(const struct catalogue *catalogue, const char *name, size_t length)
{
    for (size_t at = (size_t)XXH3_64bits(name, length);; at++) { /* ends: three slots of four are empty */
        const struct event_kind **slot = &catalogue->slots[at & catalogue->slot_mask];
        if (*slot == NULL || ((*slot)->name_length == length && memcmp((*slot)->name, name, length) == 0))
            return slot;
    }
}

static bool read_kinds(struct catalogue *catalogue, const json_t *events, struct place *place, struct error *err)
{
    size_t count = json_array_size(events);
    if (!json_is_array(events) || count == 0 || count > KINDS_MAX)
        return refuse(place, err, "\"events\" must be a list of 1 to 4096 events");
    size_t slots = 8;
    while (slots < 4 * count)
        slots *= 2;
    catalogue->kinds = calloc(count, sizeof *catalogue->kinds);
    catalogue->slots = calloc(slots, sizeof *catalogue->slots);
    catalogue->slot_mask = slots - 1;
    if (catalogue->kinds == NULL || catalogue->slots == NULL)
        return error_set(err, ERROR_RETRY, "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct event_kind *kind = &catalogue->kinds[catalogue->count++];
        place->event = place->attribute = NULL;
        if (!read_kind(json_array_get(events, i), kind, place, err))
            return false;
        const struct event_kind **slot = find_slot(catalogue, kind->name, kind->name_length);
        if (*slot != NULL)
            return refuse(place, err, "stands there twice");
        *slot = kind;
    }
    return true;
}

static bool read_root(struct catalogue *catalogue, struct place *place, struct error *err)
{
    static const char *const known[] = {"version", "events"};
    json_error_t wrong;
    catalogue->root = json_loads(place->text, JSON_REJECT_DUPLICATES, &wrong);
    if (catalogue->root == NULL)
        return error_set(err, ERROR_USAGE, "%s:%d: %s", place->file, wrong.line, wrong.text);
    if (!json_is_object(catalogue->root))
        return refuse(place, err, "must be an object with \"version\" and \"events\"");
    if (!check_keys(catalogue->root, known, sizeof known / sizeof known[0], place, err))
        return false;
    const json_t *version = json_object_get(catalogue->root, "version");
    if (!json_is_integer(version) || json_integer_value(version) != CATALOGUE_VERSION)
        return refuse(place, err, "\"version\" must be 1: this program knows no other");
    return read_kinds(catalogue, json_object_get(catalogue->root, "events"), place, err);
}

struct catalogue *catalogue_load(const char *path, struct error *err)
{
    bool is_built_in = path == NULL || path[0] == '\0';
    char *text = NULL;
    if (!is_built_in && (text = settings_file_text(path, FILE_BYTES, err)) == NULL) {
        error_wrap(err, "catalogue.file");
        return NULL;
    }
    struct place place = {.file = is_built_in ? "the built-in catalogue" : path, .text = is_built_in ? catalogue_built_in : text};
    struct catalogue *catalogue = calloc(1, sizeof *catalogue);
    if (catalogue == NULL) {
        error_set(err, ERROR_RETRY, "out of memory");
    } else if (!read_root(catalogue, &place, err)) {
        error_wrap(err, "catalogue.file");
        catalogue_free(catalogue);
        catalogue = NULL;
    }
    free(text);
    return catalogue;
}

void catalogue_free(struct catalogue *catalogue)
{
    if (catalogue == NULL)
        return;
    for (size_t i = 0; i < catalogue->count; i++) {
        for (size_t j = 0; j < catalogue->kinds[i].attribute_count; j++)
            free((void *)catalogue->kinds[i].attributes[j].values);
        free((void *)catalogue->kinds[i].attributes);
    }
    free(catalogue->kinds);
    free(catalogue->slots);
    json_decref(catalogue->root);
    free(catalogue);
}

bool catalogue_is_same(const struct catalogue *one, const struct catalogue *other)
{
    return json_equal(one->root, other->root);
}

const struct event_kind *catalogue_find(const struct catalogue *catalogue, const char *name, size_t length)
{
    return *find_slot(catalogue, name, length);
}

const struct event_kind *catalogue_kinds(const struct catalogue *catalogue, size_t *count)
{
    *count = catalogue->count;
    return catalogue->kinds;
}
