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
#include "producer/import/first_look.h"
#include "producer/import/import.h"
#include "producer/import/time_format.h"
#include "producer/library/json.h"
#include "producer/library/value.h"

enum { MARKS_MAX = 4, WORDS_MAX = 8, FIELDS_SHOWN = 30 };

struct shape {
    const char *name;
    const char *marks[MARKS_MAX]; /* fields that all must be there */
    const char *maps[WORDS_MAX];  /* COLUMN=FIELD, each where the field is there */
    const char *others;           /* more words of the command */
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

struct guess {
    const struct import_plan *plan;
    struct first_look look;
    bool are_fields_shown;
};

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
    if (guess->look.time_field == NULL || strcmp(field, guess->look.time_field) != 0 ||
        !day_order_format(&guess->look.days, format, &is_certain))
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
    const struct value *value = first_look_value(&guess->look, field);
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
            seen += first_look_find(&guess->look, shapes[i].marks[wanted]) != NULL;
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
        const char *field = first_look_find(&guess->look, equals + 1);
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
    for (size_t i = 0; i < guess->look.fields.count && i < FIELDS_SHOWN; i++)
        fprintf(stderr, "%s %s", i == 0 ? "" : ",", guess->look.fields.names[i]);
    fputs(guess->look.fields.count > FIELDS_SHOWN ? ", ...\n" : "\n", stderr);
}

/* A user_id that is no number would cost each line. */
static bool is_taken_there(const struct guess *guess, const char *column, const char *field)
{
    const struct value *value = first_look_value(&guess->look, field);
    return strcmp(column, "user_id") != 0 || value == NULL || value->type == VALUE_INTEGER || value->type == VALUE_NULL ||
           (value->type == VALUE_TEXT && value->text[strspn(value->text, "0123456789")] == '\0');
}

static void print_common(struct guess *guess)
{
    for (enum look_column column = 0; column < LOOK_COLUMNS; column++) {
        const char *field = first_look_column(&guess->look, column), *name = look_column_name(column);
        if (field != NULL && is_taken_there(guess, name, field))
            print_map(guess, name, field);
        else if (column == LOOK_EVENT_NAME)
            fputs(" --const event_name=imported", stdout);
        if (field == NULL && column == LOOK_EVENT_NAME)
            advise(guess, "no field is named like an event: put your event's name into --const event_name=NAME, or say --map "
                          "event_name=FIELD.");
        if (field == NULL && column == LOOK_SESSION_ID)
            advise(guess, "no field is named like a session: --map session_id=FIELD counts unique ones.");
        if (field == NULL && column == LOOK_CREATED_AT)
            advise(guess,
                   "no field is named like a time, or is written as one: without --map created_at=FIELD the events happen now.");
    }
    if (first_look_find(&guess->look, "event_data") != NULL)
        fputs(" --map event_data=event_data", stdout);
    fputs(" --rest event_data", stdout);
}

/* A proxy that is reached by a socket of its own machine writes '-' for each client, which is no field then. */
static void print_log(struct guess *guess)
{
    const char *client = first_look_find(&guess->look, "client"), *time = first_look_find(&guess->look, "time");
    fputs(" --const event_name=page_view", stdout);
    if (client != NULL)
        print_map(guess, "session_id", client);
    else
        advise(guess, "no line has a client: --map session_id=FIELD counts unique ones.");
    if (time != NULL)
        print_map(guess, "created_at", time);
    else
        advise(guess, "no line has a time: without --map created_at=FIELD the events happen now.");
    fputs(" --rest event_data", stdout);
}

static bool is_mapped(const struct guess *guess, const char *field)
{
    for (enum look_column column = 0; column < LOOK_COLUMNS; column++) {
        const char *mapped = first_look_column(&guess->look, column);
        if (mapped != NULL && strcmp(field, mapped) == 0)
            return true;
    }
    return false;
}

/* A field of CSV that is a number, and would be kept as a text. */
static void advise_types(const struct guess *guess)
{
    if (guess->look.kind.format != RECORD_CSV || guess->look.kind.is_typed)
        return;
    for (const struct value *entry = guess->look.sample->entries.first; entry != NULL; entry = entry->next) {
        const char *field = entry->type == VALUE_TEXT && first_look_is_printable(entry->key, entry->key_length) ? entry->key : NULL;
        if (field == NULL || is_mapped(guess, field) || json_number(guess->look.pool, entry->text, entry->length) == NULL)
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
    bool is_log = guess->look.kind.format == RECORD_COMBINED;
    const struct shape *shape = is_log ? NULL : find_shape(guess);
    fputs("tallymill-produce", stdout);
    if (config != NULL) {
        fputs(" --config", stdout);
        print_word(config);
    }
    for (int i = 0; i < plan->path_count; i++)
        if (strcmp(plan->paths[i], "-") != 0)
            print_word(plan->paths[i]);
    printf(" --format %s", formats[guess->look.kind.format]);
    if (guess->look.kind.format == RECORD_CSV && guess->look.kind.delimiter != ',') {
        fputs(" --delimiter", stdout);
        print_word(guess->look.kind.delimiter == '\t' ? "tab" : (char[]){guess->look.kind.delimiter, '\0'});
    }
    if (is_log)
        print_log(guess);
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

bool guess_print(const struct import_plan *plan, const char *config, bool has_format, struct error *err)
{
    struct guess guess = {.plan = plan};
    const char *path = plan->paths[0];
    bool is_other = false;
    bool ok = first_look_begin(&guess.look, &plan->kind, err) && first_look_read(&guess.look, path, &is_other, err);
    if (is_other && !has_format && strcmp(path, "-") != 0) /* a pipe is read once only, and is told what to say */
        ok = first_look_read(&guess.look, path, &is_other, err);
    if (ok)
        print_command(&guess, config);
    first_look_reset(&guess.look);
    return ok;
}
