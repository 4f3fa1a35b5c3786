/* guess.c - the fuzzer of --guess: whatever the file is, either a reason, or one line that is a command, and one that holds.
 *
 * The line is read as a shell reads it, and its words are given to the mapping as the program would: each is taken, they make sense
 * together, the fields that they name are in the file, and its records become events or bad lines that say why. The first byte is
 * the format.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "memory_file.h"
#include "producer/import/columns.h"
#include "producer/import/csv.h"
#include "producer/import/guess.h"
#include "producer/import/import.h"
#include "producer/import/input.h"
#include "producer/import/reader.h"
#include "producer/library/event.h"
#include "producer/library/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : complain(#condition, __LINE__))

enum { WORDS_MAX = 256, RECORDS_MAX = 1000 };

struct command {
    char *words[WORDS_MAX];
    size_t count;
};

static char *line;
static size_t line_length;

static void complain(const char *condition, int at)
{
    fprintf(stderr, "guess.c:%d: does not hold: %s, of: %s\n", at, condition, line == NULL ? "" : line);
    abort();
}

/* Words in place, as sh reads them; only quotes and a backslash mean something. */
static void read_words(char *text, struct command *command)
{
    char *to = text;
    command->count = 0;
    for (const char *from = text; *from != '\0';) {
        while (*from == ' ')
            from++;
        if (*from == '\0')
            break;
        REQUIRE(command->count < WORDS_MAX);
        command->words[command->count++] = to;
        for (bool is_quoted = false; *from != '\0' && (is_quoted || *from != ' '); from++) {
            if (*from == '\'') {
                is_quoted = !is_quoted;
            } else {
                REQUIRE(is_quoted || strchr("\"$`;&|<>(){}*?[]#~!\n", *from) == NULL);
                from += !is_quoted && *from == '\\';
                *to++ = *from;
            }
        }
        from += *from == ' ';
        *to++ = '\0';
    }
}

static const struct {
    const char *option;
    bool (*take)(struct columns *columns, const char *text, struct error *err);
} mappings[] = {{"--map", columns_map},
                {"--const", columns_const},
                {"--default", columns_default},
                {"--rest", columns_rest},
                {"--time-format", columns_time_format},
                {"--time-zone", columns_time_zone}};

/* One option; returns how many words it has. */
static size_t take(struct columns *columns, struct reader_kind *kind, char **words)
{
    struct error err = {0};
    enum time_unit unit;
    for (size_t i = 0; i < sizeof mappings / sizeof *mappings; i++)
        if (strcmp(words[0], mappings[i].option) == 0) {
            REQUIRE(mappings[i].take(columns, words[1], &err));
            return 2;
        }
    if (strcmp(words[0], "--id-from-text") == 0) {
        columns_id_from_text(columns, "analytics-events");
        return 1;
    }
    if (strcmp(words[0], "--time-unit") == 0) {
        REQUIRE(instant_parse_unit(words[1], &unit));
        columns_time_unit(columns, unit);
    } else if (strcmp(words[0], "--format") == 0) {
        REQUIRE(record_parse_format(words[1], &kind->format));
    } else if (strcmp(words[0], "--delimiter") == 0) {
        REQUIRE(strcmp(words[1], "tab") == 0 || strlen(words[1]) == 1);
        kind->delimiter = strcmp(words[1], "tab") == 0 ? '\t' : words[1][0];
    } else {
        REQUIRE(!"an option that is not known");
    }
    return 2;
}

static void see_header(struct columns *columns, const struct csv *header)
{
    for (size_t i = 0; i < csv_columns(header); i++)
        if (csv_name(header, i) != NULL)
            columns_see_field(columns, csv_name(header, i));
}

static void run(struct columns *columns, struct input *input, struct reader *reader, struct tally_event *event)
{
    const char *record;
    size_t length;
    struct error err = {0};
    enum input_answer answer = INPUT_RECORD;
    uint64_t objects = 0;
    for (int i = 0; i < RECORDS_MAX && (answer == INPUT_RECORD || answer == INPUT_BAD); i++) {
        struct value *object;
        answer = input_next(input, &record, &length, &err);
        if (answer != INPUT_RECORD)
            continue;
        if (i == 0)
            reader_begin(reader, input_delimiter(input));
        bool is_header = reader_is_at_header(reader);
        enum reader_answer read = reader_read(reader, record, length, &object, &err);
        if (is_header && reader_header(reader) != NULL)
            see_header(columns, reader_header(reader));
        if (read != READER_OBJECT)
            continue;
        struct event_message message;
        struct tally_error reason = {0};
        objects++;
        columns_see_record(columns, object);
        err.text[0] = '\0';
        if (!columns_fill(columns, object, event, &err))
            REQUIRE(err.text[0] != '\0');
        else if (!event_encode(event, &message, &reason))
            REQUIRE(reason.text[0] != '\0');
    }
    REQUIRE(objects > 0 && columns_check_fields(columns, "nothing has", &err));
}

/* The line as the program would take it. */
static void follow(const char *path)
{
    struct command command;
    struct error err;
    struct reader_kind kind = {.format = RECORD_NDJSON};
    struct columns *columns = columns_new();
    struct tally_event *event = tally_event_new();
    REQUIRE(line_length > 0 && memchr(line, '\n', line_length) == line + line_length - 1);
    line[line_length - 1] = '\0';
    for (const char *at = line; *at != '\0'; at++)
        REQUIRE((unsigned char)*at >= ' ' && *at != 0x7f);
    read_words(line, &command);
    REQUIRE(command.count > 3 && strcmp(command.words[0], "tallymill-produce") == 0 && strcmp(command.words[1], path) == 0);
    command.words[command.count] = NULL;
    for (size_t at = 2; at < command.count;)
        at += take(columns, &kind, command.words + at);
    REQUIRE(columns_check(columns, &err));
    struct input_kind how = {.format = kind.format, .delimiter = kind.delimiter};
    struct reader *reader = reader_new(&kind);
    struct input *input = input_open(path, &how, &err);
    REQUIRE(reader != NULL && input != NULL && event != NULL);
    run(columns, input, reader, event);
    input_close(input);
    reader_free(reader);
    columns_free(columns);
    tally_event_free(event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct reader_kind kinds[] = {{.format = RECORD_NDJSON},
                                               {.format = RECORD_CSV},
                                               {.format = RECORD_CSV, .delimiter = '\t'},
                                               {.format = RECORD_COMBINED},
                                               {.format = RECORD_MSGPACK}};
    if (size == 0)
        return 0;
    char path[64], *paths[] = {path};
    snprintf(path, sizeof path, "%s", memory_file(data + 1, size - 1));
    struct import_plan plan = {.program = "tallymill-produce", .paths = paths, .path_count = 1, .kind = kinds[data[0] % 5]};
    struct error err = {0};
    FILE *out = stdout, *talk = stderr, *nowhere = fopen("/dev/null", "w");
    stdout = open_memstream(&line, &line_length);
    stderr = nowhere;
    if (stdout == NULL || nowhere == NULL)
        abort();
    bool is_guessed = guess_print(&plan, NULL, data[0] % 16 >= 8, &err);
    fclose(stdout);
    fclose(nowhere);
    stdout = out;
    stderr = talk;
    if (is_guessed)
        follow(path);
    else
        REQUIRE(line_length == 0 && err.text[0] != '\0');
    free(line);
    line = NULL;
    return 0;
}
