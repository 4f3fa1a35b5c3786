/* csv.c - see csv.h.
 *
 * Strict: a quote inside a field without quotes, text behind a closing quote, and a field too few or too many refuse the record.
 * Files in which that happens are cut differently than we would guess, and a guess puts values into the wrong columns in silence.
 * Spaces belong to the field (RFC 4180 2.4).
 */
#include "producer/import/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/utf8.h"
#include "producer/library/json.h"
#include "producer/library/text.h"
#include "producer/library/value.h"

enum { NAMES_MAX = 1024 };

struct csv {
    char delimiter;
    bool is_typed;
    char **names;
    size_t name_count;
    char *header; /* its bytes */
    size_t header_length;
    char *field; /* the last one, without its quotes */
    size_t capacity;
};

/* What is left of a record. */
struct rest {
    const char *at, *end;
    bool is_done;
};

struct field {
    size_t length;
    bool is_quoted;
};

struct csv *csv_new(char delimiter, bool is_typed)
{
    struct csv *csv = calloc(1, sizeof *csv);
    if (csv != NULL) {
        csv->delimiter = delimiter;
        csv->is_typed = is_typed;
    }
    return csv;
}

void csv_set_delimiter(struct csv *csv, char delimiter)
{
    csv->delimiter = delimiter;
}

static void forget_names(struct csv *csv)
{
    for (size_t i = 0; i < csv->name_count; i++)
        free(csv->names[i]);
    free(csv->names);
    free(csv->header);
    csv->names = NULL;
    csv->header = NULL;
    csv->name_count = 0;
}

void csv_free(struct csv *csv)
{
    if (csv == NULL)
        return;
    forget_names(csv);
    free(csv->field);
    free(csv);
}

/* A field is never longer than its record. */
static bool make_room(struct csv *csv, size_t length, struct error *err)
{
    if (length < csv->capacity)
        return true;
    char *field = realloc(csv->field, length + 1);
    if (field == NULL)
        return error_set(err, ERROR_RETRY, "no memory");
    csv->field = field;
    csv->capacity = length + 1;
    return true;
}

static bool read_quoted(struct csv *csv, struct rest *rest, struct field *field, struct error *err)
{
    const char *at = rest->at + 1;
    for (;;) {
        const char *quote = memchr(at, '"', (size_t)(rest->end - at));
        if (quote == NULL)
            return error_set(err, ERROR_REJECT, "a quote is opened and never closed");
        memcpy(csv->field + field->length, at, (size_t)(quote - at));
        field->length += (size_t)(quote - at);
        at = quote + 1;
        if (at == rest->end || *at != '"')
            break;
        csv->field[field->length++] = '"';
        at++;
    }
    if (at < rest->end && *at != csv->delimiter)
        return error_set(err, ERROR_REJECT, "text stands behind a closing quote%s",
                         at - rest->at > 2 && at[-2] == '\\' ? " (a quote inside quotes is doubled, not behind a backslash: say "
                                                               "sed 's/\\\\\"/\"\"/g' FILE | tallymill-produce --format csv ...)"
                                                             : "");
    rest->at = at;
    return true;
}

/* The next field into csv->field. */
static bool read_field(struct csv *csv, struct rest *rest, struct field *field, struct error *err)
{
    *field = (struct field){.is_quoted = rest->at < rest->end && *rest->at == '"'};
    if (field->is_quoted) {
        if (!read_quoted(csv, rest, field, err))
            return false;
    } else {
        const char *end = memchr(rest->at, csv->delimiter, (size_t)(rest->end - rest->at));
        field->length = (size_t)((end == NULL ? rest->end : end) - rest->at);
        const char *quote = csv->delimiter == '\t' ? NULL : memchr(rest->at, '"', field->length);
        if (quote != NULL)
            return error_set(
                err, ERROR_REJECT, "a quote stands inside a field that does not begin with one%s",
                (size_t)(quote - rest->at) == strspn(rest->at, " ") ? " (blanks before a quote are not CSV: take them out)" : "");
        memcpy(csv->field, rest->at, field->length);
        rest->at += field->length;
    }
    csv->field[field->length] = '\0';
    if (strlen(csv->field) != field->length)
        return error_set(err, ERROR_REJECT, "a text holds a NUL, which Postgres does not take");
    rest->is_done = rest->at == rest->end;
    rest->at += !rest->is_done; /* the delimiter: behind the last one is one more field */
    return true;
}

static bool add_name(struct csv *csv, const struct field *field, struct error *err)
{
    const char *fault = text_fault(csv->field, field->length);
    if (fault != NULL)
        return error_set(err, ERROR_REJECT,
                         "the header's name %zu %s: say iconv -f WINDOWS-1252 -t UTF-8 FILE | tallymill-produce --format csv ..., "
                         "if that is what it is in",
                         csv->name_count + 1, fault);
    for (size_t i = 0; i < csv->name_count; i++)
        if (field->length > 0 && csv->names[i] != NULL && strcmp(csv->names[i], csv->field) == 0)
            return error_set(err, ERROR_REJECT,
                             "the header has '%.*s' twice: give it names of its own: say (echo NAME,NAME,...; tail -n +2 FILE) | "
                             "tallymill-produce --format csv ...",
                             UTF8_CUT(csv->field, 60));
    if (csv->name_count == NAMES_MAX)
        return error_set(err, ERROR_REJECT, "the header has more than %d names", NAMES_MAX);
    char *name = field->length == 0 ? NULL : strdup(csv->field);
    csv->names[csv->name_count++] = name;
    return name != NULL || field->length == 0 || error_set(err, ERROR_RETRY, "no memory");
}

bool csv_header(struct csv *csv, const char *record, size_t length, struct error *err)
{
    forget_names(csv);
    csv->names = calloc(NAMES_MAX, sizeof *csv->names);
    if (csv->names == NULL)
        return error_set(err, ERROR_RETRY, "no memory");
    struct rest rest = {record, record + length, false};
    bool ok =
        make_room(csv, length, err) && ((csv->header = malloc(length + 1)) != NULL || error_set(err, ERROR_RETRY, "no memory"));
    if (ok)
        memcpy(csv->header, record, csv->header_length = length);
    while (ok && !rest.is_done) {
        struct field field;
        ok = read_field(csv, &rest, &field, err) && add_name(csv, &field, err);
    }
    if (ok)
        return true;
    forget_names(csv);
    return false;
}

bool csv_has_header(const struct csv *csv)
{
    return csv->name_count > 0;
}

bool csv_is_header(const struct csv *csv, const char *record, size_t length)
{
    return csv->name_count > 1 && length == csv->header_length && memcmp(record, csv->header, length) == 0;
}

static bool is_header_data(const struct csv *csv)
{
    for (size_t i = 0; i < csv->name_count; i++)
        if (csv->names[i] != NULL && *csv->names[i] >= '0' && *csv->names[i] <= '9' &&
            csv->names[i][strspn(csv->names[i], "0123456789.-:/+TZ ")] == '\0')
            return true;
    return false;
}

void csv_advise(const struct csv *csv, struct error *err)
{
    const size_t used = strlen(err->text);
    if (csv != NULL && is_header_data(csv))
        snprintf(err->text + used, sizeof err->text - used,
                 "; if the file has no header, give its fields numbers for names: say (seq -s %s %zu; cat FILE) | "
                 "tallymill-produce --format csv --map event_name=1 ...",
                 csv->delimiter == '\t'  ? "$'\\t'"
                 : csv->delimiter == ',' ? ","
                                         : (char[]){'\'', csv->delimiter, '\'', '\0'},
                 csv->name_count);
}

size_t csv_columns(const struct csv *csv)
{
    return csv->name_count;
}

const char *csv_name(const struct csv *csv, size_t column)
{
    return csv->names[column];
}

static bool is_word(const struct csv *csv, const char *word, const char *other)
{
    return strcmp(csv->field, word) == 0 || strcmp(csv->field, other) == 0;
}

/* A number, true or false; NULL: a text. */
static struct value *typed_value(const struct csv *csv, struct value_pool *pool, const struct field *field, struct error *err)
{
    char first = csv->field[0];
    if (first == '-' || (first >= '0' && first <= '9'))
        return json_number(pool, csv->field, field->length);
    if (is_word(csv, "true", "True") || is_word(csv, "false", "False"))
        return value_new(pool, (first | 0x20) == 't' ? VALUE_TRUE : VALUE_FALSE, err);
    return NULL;
}

static bool put_field(struct csv *csv, struct value_pool *pool, struct value *object, const char *name, const struct field *field,
                      struct error *err)
{
    if (name == NULL || (!field->is_quoted && (field->length == 0 || strcmp(csv->field, "\\N") == 0)))
        return true;
    struct value *value = csv->is_typed && !field->is_quoted ? typed_value(csv, pool, field, err) : NULL;
    if (value == NULL) {
        if (text_fault(csv->field, field->length) != NULL)
            return error_set(err, ERROR_REJECT,
                             "the field '%.*s' is not UTF-8: say iconv -f WINDOWS-1252 -t UTF-8 FILE | tallymill-produce --format "
                             "csv ..., if that is what it is in",
                             UTF8_CUT(name, 60));
        if ((value = value_text(pool, csv->field, field->length, err)) == NULL)
            return false;
        value->is_number_nan = !field->is_quoted && csv->is_typed && is_word(csv, "NaN", "nan");
        value->is_nan = !field->is_quoted && (is_word(csv, "NaN", "nan") || is_word(csv, "NULL", "null"));
    }
    value_add(object, name, strlen(name), value);
    return true;
}

struct value *csv_object(struct csv *csv, struct value_pool *pool, const char *record, size_t length, struct error *err)
{
    struct value *object = value_new(pool, VALUE_OBJECT, err);
    struct rest rest = {record, record + length, false};
    bool ok = object != NULL && make_room(csv, length, err);
    size_t count = 0;
    for (; ok && !rest.is_done; count++) {
        struct field field;
        ok = read_field(csv, &rest, &field, err) &&
             (count >= csv->name_count || put_field(csv, pool, object, csv->names[count], &field, err));
    }
    if (ok && count != csv->name_count)
        ok = error_set(err, ERROR_REJECT, "the record has %zu field%s, the header %zu%s", count, count == 1 ? "" : "s",
                       csv->name_count,
                       count == csv->name_count + 1 && length > 0 && record[length - 1] == csv->delimiter
                           ? " (where only the records end with a delimiter, give the header one too: say sed '1s/$/,/' FILE | "
                             "tallymill-produce --format csv ...)"
                           : "");
    return ok ? object : NULL;
}
