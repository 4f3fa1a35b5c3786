/* first_look.c - see first_look.h.
 *
 * A field is found by the names that many use; a time also by how it is written, for what a time is called is anybody's guess.
 * Which of two numbers is its day one record cannot say: so many are looked at.
 */
#include "producer/import/first_look.h"

#include <stdio.h>
#include <string.h>

#include "producer/import/civil.h"
#include "producer/import/csv.h"
#include "producer/import/input.h"
#include "producer/import/sample.h"
#include "producer/import/time_format.h"
#include "producer/library/value.h"

enum { RECORDS_MAX = 1000, NAME_BYTES = 500, NAMES_MAX = 14 };

/* What many call it, the likeliest first. */
static const struct {
    const char *column, *names[NAMES_MAX];
} common_names[LOOK_COLUMNS] = {
    [LOOK_ID] = {"id", {"id", "event_id", "uuid", "message_id"}},
    [LOOK_EVENT_NAME] = {"event_name", {"event_name", "event", "event_type", "action", "name", "kind", "type"}},
    [LOOK_SESSION_ID] = {"session_id",
                         {"session_id", "session", "anonymous_id", "visitor_id", "visitor", "client_id", "distinct_id", "device_id",
                          "client", "ip", "remote_addr"}},
    [LOOK_EVENT_CATEGORY] = {"event_category", {"event_category"}},
    [LOOK_USER_ID] = {"user_id", {"user_id"}},
    [LOOK_IS_INTERNAL] = {"is_internal", {"is_internal"}},
    [LOOK_CREATED_AT] = {"created_at",
                         {"created_at", "timestamp", "time", "event_time", "occurred_at", "received_at", "@timestamp", "datetime",
                          "date", "when", "ts", "at"}},
};

const char *look_column_name(enum look_column column)
{
    return common_names[column].column;
}

bool first_look_is_printable(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            return false;
    return length < NAME_BYTES;
}

const char *first_look_find(const struct first_look *look, const char *name)
{
    for (size_t i = 0; i < look->fields.count; i++)
        if (strcmp(look->fields.names[i], name) == 0)
            return look->fields.names[i];
    return fields_alike(&look->fields, name);
}

static const char *find_named(const struct first_look *look, enum look_column column)
{
    const char *field = NULL;
    for (size_t i = 0; field == NULL && i < NAMES_MAX && common_names[column].names[i] != NULL; i++)
        field = first_look_find(look, common_names[column].names[i]);
    return field;
}

const char *first_look_column(const struct first_look *look, enum look_column column)
{
    return column == LOOK_CREATED_AT ? look->time_field : find_named(look, column);
}

const struct value *first_look_value(const struct first_look *look, const char *field)
{
    return value_find(look->sample, field, strlen(field));
}

/* Of a file whose names say nothing: the first field that is written as a time. */
static const char *find_time(const struct first_look *look, const struct value *object)
{
    struct civil civil;
    for (const struct value *entry = object->entries.first; entry != NULL; entry = entry->next) {
        struct day_order days = {0};
        if (entry->type == VALUE_TEXT && strpbrk(entry->text, "-/.: ") != NULL &&
            first_look_is_printable(entry->key, entry->key_length) &&
            (civil_read(entry->text, entry->length, &civil) || time_format_find(entry->text, entry->length, &civil) != NULL ||
             day_order_see(&days, entry->text, entry->length)))
            return first_look_find(look, entry->key);
    }
    return NULL;
}

/* How a time is written is known of one; which of two numbers is its day, of many. */
static void see_time(struct first_look *look, const struct value *object)
{
    const char *named = look->is_time_named ? NULL : find_named(look, LOOK_CREATED_AT);
    if (named != NULL) {
        look->is_time_named = true;
        look->time_field = named;
        look->days = (struct day_order){0};
    } else if (look->time_field == NULL) {
        look->time_field = find_time(look, object);
    }
    const struct value *time = look->time_field == NULL ? NULL : value_find(object, look->time_field, strlen(look->time_field));
    if (time != NULL && time->type == VALUE_TEXT && time->length > 0)
        day_order_see(&look->days, time->text, time->length);
}

static void see(struct first_look *look, const struct value *object)
{
    look->records++;
    sample_add(look->sample, look->pool, object);
    for (const struct value *entry = object->entries.first; entry != NULL; entry = entry->next)
        if (first_look_is_printable(entry->key, entry->key_length))
            fields_add(&look->fields, entry->key, entry->key_length);
    see_time(look, object);
}

/* False: the file cannot be read on. Else err has why the last bad record is one. */
static bool read_records(struct first_look *look, struct input *input, struct reader *reader, struct error *err)
{
    const char *record;
    size_t length;
    struct value *object;
    enum input_answer answer = INPUT_RECORD;
    bool is_new = true;
    err->text[0] = '\0';
    for (uint64_t tries = 0; tries < RECORDS_MAX && (answer == INPUT_RECORD || answer == INPUT_BAD); tries++) {
        answer = input_next(input, &record, &length, err);
        if (answer != INPUT_RECORD)
            continue;
        if (is_new) {
            look->kind.delimiter = input_delimiter(input);
            reader_begin(reader, look->kind.delimiter);
        }
        is_new = false;
        if (look->kind.format == RECORD_NDJSON && look->records == 0 && !nest_find(record, length, look->nest))
            look->nest[0] = '\0';
        const enum reader_answer read = reader_read(reader, record, length, &object, err);
        if (read == READER_OBJECT)
            see(look, object);
        if (read == READER_FAILED)
            return false;
    }
    return answer != INPUT_FAILED;
}

/* Records that were read, and are no events as they stand: false, with what to say instead. */
static bool check_records(const struct first_look *look, const struct input *input, const struct reader *reader, struct error *err)
{
    if (look->records == 1 && look->nest[0] != '\0' && find_named(look, LOOK_EVENT_NAME) == NULL)
        return error_set(
            err, ERROR_USAGE,
            "%s: it is one object: if each object in its '%s' is an event, say jq -c '%s[]' FILE | tallymill-produce --guess ...",
            input_name(input), look->nest + 1, look->nest);
    const struct csv *header = reader_header(reader);
    const char *only = header != NULL && csv_columns(header) == 1 ? csv_name(header, 0) : NULL;
    const char delimiter = only == NULL ? '\0' : fields_delimiter(only);
    char word[FIELDS_DELIMITER_BYTES];
    if (delimiter != '\0' && delimiter != look->kind.delimiter)
        return error_set(err, ERROR_USAGE, "%s: the header is one field with a %s in it: say --guess --delimiter %s",
                         input_name(input), fields_delimiter_word(word, delimiter), word);
    if (look->records > 0)
        return true;
    char reason[ERROR_TEXT_BYTES];
    snprintf(reason, sizeof reason, "%s", err->text[0] != '\0' ? err->text : "it holds none");
    return error_set(err, ERROR_USAGE, "%s: none of its first records can be read (%.300s): is it of another --format?",
                     input_name(input), reason);
}

bool first_look_read(struct first_look *look, const char *path, bool *is_other, struct error *err)
{
    struct input_kind how = {.format = look->kind.format, .delimiter = look->kind.delimiter};
    struct reader *reader = reader_new(&look->kind);
    struct input *input = reader == NULL ? NULL : input_open(path, &how, err);
    if (reader == NULL)
        error_set(err, ERROR_RETRY, "no memory");
    const bool ok = input != NULL && read_records(look, input, reader, err) && check_records(look, input, reader, err);
    *is_other = !ok && input != NULL && input_likeness(input, &look->kind.format, &look->kind.delimiter);
    input_close(input);
    reader_free(reader);
    return ok;
}

bool first_look_begin(struct first_look *look, const struct reader_kind *kind, struct error *err)
{
    *look = (struct first_look){.kind = *kind, .pool = value_pool_new()};
    if (look->pool == NULL)
        return error_set(err, ERROR_RETRY, "no memory");
    look->sample = value_new(look->pool, VALUE_OBJECT, err);
    return look->sample != NULL;
}

void first_look_reset(struct first_look *look)
{
    fields_reset(&look->fields);
    value_pool_free(look->pool);
}
