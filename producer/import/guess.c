/* guess.c - see guess.h.
 *
 * A proposal and nothing more: it is printed, not used, because a mapping that is nearly right fills a table for years. What is
 * known about exports of others are the names of their fields; a file of none of these is mapped by names that many use.
 */
#include "producer/import/guess.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/utf8.h"
#include "common/uuid.h"
#include "producer/import/civil.h"
#include "producer/import/csv.h"
#include "producer/import/day_order.h"
#include "producer/import/fields.h"
#include "producer/import/import.h"
#include "producer/import/input.h"
#include "producer/import/nest.h"
#include "producer/import/reader.h"
#include "producer/import/sample.h"
#include "producer/import/time_format.h"
#include "producer/library/json.h"
#include "producer/library/value.h"

enum { RECORDS_MAX = 1000, MARKS_MAX = 4, WORDS_MAX = 8, NAME_BYTES = 500, FIELDS_SHOWN = 30 };

struct shape {
    const char *name;
    const char *marks[MARKS_MAX];       /* fields that all must be there */
    const char *maps[WORDS_MAX];        /* COLUMN=FIELD, each where the field is there */
    const char *others;                 /* more words of the command */
};

static const struct shape shapes[] = {
    {"an export of Segment",
     {"anonymousId", "messageId", "timestamp"},
     {"id=messageId", "event_name=event", "session_id=anonymousId", "created_at=timestamp", "event_data=properties",
      "event_data.user=userId"},
     "--default event_name=page_view --rest none"},
    {"an export of Snowplow",
     {"event_id", "collector_tstamp", "domain_sessionid"},
     {"id=event_id", "event_name=event_name", "session_id=domain_sessionid", "created_at=collector_tstamp"},
     "--rest event_data"},
    {"an export of PostHog",
     {"uuid", "distinct_id", "event", "timestamp"},
     {"id=uuid", "event_name=event", "session_id=distinct_id", "created_at=timestamp", "event_data=properties"},
     "--rest none"},
    {"an export of Umami",
     {"website_id", "session_id", "url_path"},
     {"id=event_id", "event_name=event_name", "session_id=session_id", "created_at=created_at"},
     "--default event_name=page_view --rest event_data"},
    {"an export of Plausible",
     {"session_id", "pathname", "timestamp"},
     {"event_name=name", "session_id=session_id", "created_at=timestamp"},
     "--default event_name=page_view --rest event_data"},
    {"an export of Matomo",
     {"idVisit", "visitorId", "serverTimestamp"},
     {"session_id=visitorId", "created_at=serverTimestamp"},
     "--const event_name=visit --rest event_data"},
    {"an export of GA4 (BigQuery)",
     {"event_timestamp", "event_name", "user_pseudo_id"},
     {"event_name=event_name", "session_id=user_pseudo_id", "created_at=event_timestamp"},
     "--rest event_data"},
};

/* What many call it, the likeliest first. */
enum { EVENT_NAME = 1, SESSION_ID = 2, CREATED_AT = 6 };
static const struct {
    const char *column, *names[14];
} common_names[] = {
    {"id", {"id", "event_id", "uuid", "message_id"}},
    {"event_name", {"event_name", "event", "event_type", "action", "name", "kind", "type"}},
    {"session_id",
     {"session_id", "session", "anonymous_id", "visitor_id", "visitor", "client_id", "distinct_id", "device_id", "client", "ip",
      "remote_addr"}},
    {"event_category", {"event_category"}},
    {"user_id", {"user_id"}},
    {"is_internal", {"is_internal"}},
    {"created_at",
     {"created_at", "timestamp", "time", "event_time", "occurred_at", "received_at", "@timestamp", "datetime", "date", "when", "ts",
      "at"}},
};

struct guess {
    const struct import_plan *plan;
    struct reader_kind kind; /* as the user said it, or as the file looks */
    struct fields fields;
    char nest[NEST_PATH_BYTES]; /* of the first record: the array of objects in it; else "" */
    uint64_t records;
    bool are_fields_shown;
    struct value_pool *pool;
    struct value *sample;   /* shows how ids and times are written */
    const char *time_field; /* of `fields`: the one that is likely created_at, or NULL */
    bool is_time_named;     /* ... by its name, and not by how it is written */
    struct day_order days;  /* in which it has days and months, if it has them so */
};

/* Names with control characters (of a terminal, of lines) are not proposed. */
static bool is_printable(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            return false;
    return length < NAME_BYTES;
}

/* The field as it is spelt in the file, or NULL. */
static const char *find(const struct guess *guess, const char *name)
{
    for (size_t i = 0; i < guess->fields.count; i++)
        if (strcmp(guess->fields.names[i], name) == 0)
            return guess->fields.names[i];
    return fields_alike(&guess->fields, name);
}

/* What many call the column. */
static const char *find_common(const struct guess *guess, size_t column)
{
    const char *field = NULL;
    for (size_t i = 0;
         field == NULL && i < sizeof common_names[0].names / sizeof *common_names[0].names && common_names[column].names[i] != NULL;
         i++)
        field = find(guess, common_names[column].names[i]);
    return field;
}

/* Of a file whose names say nothing: the first field that is written as a time. */
static const char *find_time(const struct guess *guess, const struct value *object)
{
    struct civil civil;
    for (const struct value *entry = object->entries.first; entry != NULL; entry = entry->next) {
        struct day_order days = {0};
        if (entry->type == VALUE_TEXT && strpbrk(entry->text, "-/.: ") != NULL && is_printable(entry->key, entry->key_length) &&
            (civil_read(entry->text, entry->length, &civil) || time_format_find(entry->text, entry->length, &civil) != NULL ||
             day_order_see(&days, entry->text, entry->length)))
            return find(guess, entry->key);
    }
    return NULL;
}

/* How a time is written is known of one; which of two numbers is its day, of many. */
static void see_time(struct guess *guess, const struct value *object)
{
    const char *named = guess->is_time_named ? NULL : find_common(guess, CREATED_AT);
    if (named != NULL) {
        guess->is_time_named = true;
        guess->time_field = named;
        guess->days = (struct day_order){0};
    } else if (guess->time_field == NULL) {
        guess->time_field = find_time(guess, object);
    }
    const struct value *time = guess->time_field == NULL ? NULL : value_find(object, guess->time_field, strlen(guess->time_field));
    if (time != NULL && time->type == VALUE_TEXT && time->length > 0)
        day_order_see(&guess->days, time->text, time->length);
}

static void see(struct guess *guess, const struct value *object)
{
    guess->records++;
    sample_add(guess->sample, guess->pool, object);
    for (const struct value *entry = object->entries.first; entry != NULL; entry = entry->next)
        if (is_printable(entry->key, entry->key_length))
            fields_add(&guess->fields, entry->key, entry->key_length);
    see_time(guess, object);
}

static bool read_first(struct guess *guess, struct input *input, struct reader *reader, struct error *err)
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
            guess->kind.delimiter = input_delimiter(input);
            reader_begin(reader, guess->kind.delimiter);
        }
        is_new = false;
        if (guess->kind.format == RECORD_NDJSON && guess->records == 0 && !nest_find(record, length, guess->nest))
            guess->nest[0] = '\0';
        enum reader_answer read = reader_read(reader, record, length, &object, err);
        if (read == READER_OBJECT)
            see(guess, object);
        if (read == READER_FAILED)
            return false;
    }
    if (answer == INPUT_FAILED)
        return false;
    if (guess->records == 1 && guess->nest[0] != '\0' && find_common(guess, EVENT_NAME) == NULL)
        return error_set(
            err, ERROR_USAGE,
            "%s: it is one object: if each object in its '%s' is an event, say jq -c '%s[]' FILE | tallymill-produce --guess ...",
            input_name(input), guess->nest + 1, guess->nest);
    const struct csv *header = reader_header(reader);
    const char *only = header != NULL && csv_columns(header) == 1 ? csv_name(header, 0) : NULL;
    const char delimiter = only == NULL ? '\0' : fields_delimiter(only);
    char word[FIELDS_DELIMITER_BYTES];
    if (delimiter != '\0' && delimiter != guess->kind.delimiter)
        return error_set(err, ERROR_USAGE, "%s: the header is one field with a %s in it: say --guess --delimiter %s",
                         input_name(input), fields_delimiter_word(word, delimiter), word);
    if (guess->records > 0)
        return true;
    char reason[ERROR_TEXT_BYTES];
    snprintf(reason, sizeof reason, "%s", err->text[0] != '\0' ? err->text : "it holds none");
    return error_set(err, ERROR_USAGE, "%s: none of its first records can be read (%.300s): is it of another --format?",
                     input_name(input), reason);
}

static void print_word(const char *word)
{
    bool is_plain =
        *word != '\0' && word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:@,+-")] == '\0';
    if (is_plain) {
        printf(" %s", word);
        return;
    }
    fputs(" '", stdout);
    for (; *word != '\0'; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, stdout);
    putchar('\'');
}

static const char no_zone[] = "created_at has no time zone: put the file's own into --time-zone\n";

/* Days and months by their numbers, in the order that the records show. False: they are not written so. */
static bool print_order(const struct guess *guess, const char *field)
{
    char format[DAY_ORDER_FORMAT_BYTES];
    bool is_certain;
    if (guess->time_field == NULL || strcmp(field, guess->time_field) != 0 || !day_order_format(&guess->days, format, &is_certain))
        return false;
    printf(" --time-format '%s' --time-zone UTC", format);
    fputs(is_certain ? no_zone
                     : "created_at may have the day or the month first, and no record shows which: put it into --time-format; and "
                       "the file's zone into --time-zone\n",
          stderr);
    return true;
}

static bool is_number(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return text[digits + (text[digits] == '.') + strspn(text + digits + (text[digits] == '.'), "0123456789")] == '\0';
}

/* A time in digits: since 1970, by how many there are, or a date. */
static void print_number(const struct value *time)
{
    char made[32];
    const char *digits = time->type == VALUE_TEXT ? time->text : made;
    snprintf(made, sizeof made, "%.0f", time->type == VALUE_REAL ? time->real : (double)time->integer);
    const size_t length = strcspn(digits, ".");
    const struct time_form *form = digits[length] == '\0' ? time_format_find_digits(digits, length) : NULL;
    if (form == NULL) {
        printf(" --time-unit %s", length <= 11 ? "s" : length <= 14 ? "ms" : length <= 17 ? "us" : "ns");
        return;
    }
    printf(" --time-format '%s' --time-zone UTC", form->format);
    fputs(no_zone, stderr);
}

/* How ids and times are written decides which options they need. */
static void print_options(const struct guess *guess, const char *column, const char *field)
{
    const struct value *value = value_find(guess->sample, field, strlen(field));
    uint8_t id[UUID_BYTES];
    struct civil civil;
    if (value == NULL)
        return;
    bool is_text = value->type == VALUE_TEXT, is_digits = is_text && is_number(value->text);
    if (strcmp(column, "id") == 0 && !(is_text && uuid_parse(value->text, value->length, id)))
        fputs(" --id-from-text", stdout);
    if (strcmp(column, "created_at") != 0)
        return;
    if (value->type == VALUE_INTEGER || value->type == VALUE_REAL || is_digits) {
        print_number(value);
        return;
    }
    bool is_known = is_text && civil_read(value->text, value->length, &civil);
    const struct time_form *form = is_text && !is_known ? time_format_find(value->text, value->length, &civil) : NULL;
    const char *format = form == NULL ? NULL : form->format;
    if (format == NULL && is_text && !is_known && print_order(guess, field))
        return;
    if (format != NULL)
        printf(" --time-format '%s'", format);
    if (is_text && !is_known && format == NULL) {
        fputs(" --time-format '%d/%m/%Y %H:%M:%S' --time-zone UTC", stdout);
        fputs("created_at is in a form that is not known: put it into --time-format as it is written\n", stderr);
    } else if (is_text && !civil.has_offset) {
        fputs(" --time-zone UTC", stdout);
        fputs(no_zone, stderr);
    }
}

static void print_map(const struct guess *guess, const char *column, const char *field)
{
    char word[600];
    snprintf(word, sizeof word, "%s=%s", column, field);
    fputs(" --map", stdout);
    print_word(word);
    print_options(guess, column, field);
}

static const struct shape *find_shape(const struct guess *guess)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        size_t seen = 0, wanted = 0;
        for (; wanted < MARKS_MAX && shapes[i].marks[wanted] != NULL; wanted++)
            seen += find(guess, shapes[i].marks[wanted]) != NULL;
        if (seen == wanted)
            return &shapes[i];
    }
    return NULL;
}

static void print_shape(const struct guess *guess, const struct shape *shape)
{
    for (size_t i = 0; i < WORDS_MAX && shape->maps[i] != NULL; i++) {
        const char *equals = strchr(shape->maps[i], '=');
        char column[64];
        snprintf(column, sizeof column, "%.*s", (int)(equals - shape->maps[i]), shape->maps[i]);
        const char *field = find(guess, equals + 1);
        if (field != NULL)
            print_map(guess, column, field);
    }
    printf(" %s", shape->others);
}

/* What has to be filled in by hand, and of what: once. */
static void advise(struct guess *guess, const char *what)
{
    fprintf(stderr, "%s%s", what, guess->are_fields_shown ? "\n" : " The fields are:");
    if (guess->are_fields_shown)
        return;
    guess->are_fields_shown = true;
    for (size_t i = 0; i < guess->fields.count && i < FIELDS_SHOWN; i++)
        fprintf(stderr, "%s %s", i == 0 ? "" : ",", guess->fields.names[i]);
    fputs(guess->fields.count > FIELDS_SHOWN ? ", ...\n" : "\n", stderr);
}

/* A user_id that is no number would cost each line. */
static bool is_taken_there(const struct guess *guess, const char *column, const char *field)
{
    const struct value *value = value_find(guess->sample, field, strlen(field));
    return strcmp(column, "user_id") != 0 || value == NULL || value->type == VALUE_INTEGER || value->type == VALUE_NULL ||
           (value->type == VALUE_TEXT && value->text[strspn(value->text, "0123456789")] == '\0');
}

static void print_common(struct guess *guess)
{
    for (size_t i = 0; i < sizeof common_names / sizeof *common_names; i++) {
        const char *field = i == CREATED_AT ? guess->time_field : find_common(guess, i);
        if (field != NULL && is_taken_there(guess, common_names[i].column, field))
            print_map(guess, common_names[i].column, field);
        else if (i == EVENT_NAME)
            fputs(" --const event_name=imported", stdout);
        if (field == NULL && i == EVENT_NAME)
            advise(guess, "no field is named like an event: put your event's name into --const event_name=NAME, or say --map "
                          "event_name=FIELD.");
        if (field == NULL && i == SESSION_ID)
            advise(guess, "no field is named like a session: --map session_id=FIELD counts unique ones.");
        if (field == NULL && i == CREATED_AT)
            advise(guess,
                   "no field is named like a time, or is written as one: without --map created_at=FIELD the events happen now.");
    }
    if (find(guess, "event_data") != NULL)
        fputs(" --map event_data=event_data", stdout);
    fputs(" --rest event_data", stdout);
}

static bool is_mapped(const struct guess *guess, const char *field)
{
    for (size_t i = 0; i < sizeof common_names / sizeof *common_names; i++) {
        const char *mapped = i == CREATED_AT ? guess->time_field : find_common(guess, i);
        if (mapped != NULL && strcmp(field, mapped) == 0)
            return true;
    }
    return false;
}

/* A field of CSV that is a number, and would be kept as a text. */
static void advise_types(const struct guess *guess)
{
    if (guess->kind.format != RECORD_CSV || guess->kind.is_typed)
        return;
    for (const struct value *entry = guess->sample->entries.first; entry != NULL; entry = entry->next) {
        const char *field = entry->type == VALUE_TEXT && is_printable(entry->key, entry->key_length) ? entry->key : NULL;
        if (field == NULL || is_mapped(guess, field) || json_number(guess->pool, entry->text, entry->length) == NULL)
            continue;
        fprintf(stderr, "'%.*s' looks like a number, and is kept as text, as all fields of CSV: --csv-types json keeps numbers\n",
                UTF8_CUT(field, 60));
        return;
    }
}

static void print_command(struct guess *guess, const char *config)
{
    static const char *const formats[] = {
        [RECORD_NDJSON] = "ndjson", [RECORD_CSV] = "csv", [RECORD_MSGPACK] = "msgpack", [RECORD_COMBINED] = "combined"};
    const struct import_plan *plan = guess->plan;
    bool is_log = guess->kind.format == RECORD_COMBINED;
    const struct shape *shape = is_log ? NULL : find_shape(guess);
    fputs("tallymill-produce", stdout);
    if (config != NULL) {
        fputs(" --config", stdout);
        print_word(config);
    }
    for (int i = 0; i < plan->path_count; i++)
        if (strcmp(plan->paths[i], "-") != 0)
            print_word(plan->paths[i]);
    printf(" --format %s", formats[guess->kind.format]);
    if (guess->kind.format == RECORD_CSV && guess->kind.delimiter != ',') {
        fputs(" --delimiter", stdout);
        print_word(guess->kind.delimiter == '\t' ? "tab" : (char[]){guess->kind.delimiter, '\0'});
    }
    if (is_log)
        fputs(" --const event_name=page_view --map session_id=client --map created_at=time --rest event_data", stdout);
    else if (shape != NULL)
        print_shape(guess, shape);
    else
        print_common(guess);
    putchar('\n');
    advise_types(guess);
    fprintf(stderr, "it looks like %s; nothing was sent. Try the command with --dry-run first\n",
            is_log          ? "a web server's log"
            : shape != NULL ? shape->name
                            : "none of the known exports, and is mapped by its fields' names");
}

/* False: *err; *other: the file looks like guess->kind now, and may be read so. */
static bool look(struct guess *guess, bool *other, struct error *err)
{
    struct input_kind how = {.format = guess->kind.format, .delimiter = guess->kind.delimiter};
    struct reader *reader = reader_new(&guess->kind);
    struct input *input = reader == NULL ? NULL : input_open(guess->plan->paths[0], &how, err);
    if (reader == NULL)
        error_set(err, ERROR_RETRY, "no memory");
    bool ok = input != NULL && read_first(guess, input, reader, err);
    *other = !ok && input != NULL && input_likeness(input, &guess->kind.format, &guess->kind.delimiter);
    input_close(input);
    reader_free(reader);
    return ok;
}

bool guess_print(const struct import_plan *plan, const char *config, bool has_format, struct error *err)
{
    struct guess guess = {.plan = plan, .kind = plan->kind, .pool = value_pool_new()};
    bool is_other = false;
    guess.sample = guess.pool == NULL ? NULL : value_new(guess.pool, VALUE_OBJECT, err);
    bool ok = guess.sample != NULL ? look(&guess, &is_other, err) : error_set(err, ERROR_RETRY, "no memory");
    if (is_other && !has_format && strcmp(plan->paths[0], "-") != 0) /* a pipe is read once only, and is told what to say */
        ok = look(&guess, &is_other, err);
    if (ok)
        print_command(&guess, config);
    fields_reset(&guess.fields);
    value_pool_free(guess.pool);
    return ok;
}
