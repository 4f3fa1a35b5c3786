/* produce.c - see produce.h. Everything is checked before anything is opened: a wrong option sends nothing. */
#include "producer/produce.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/settings.h"
#include "producer/import/columns.h"
#include "producer/import/preview.h"

static const char summary[] =
    "Publishes events to Kafka: from files or stdin (NDJSON or other JSON, CSV with a header, msgpack, logs; packed or not), or "
    "made up.\n"
    "Without --map and --rest a line's fields are the columns: id, event_name, event_category, session_id, user_id, event_data,\n"
    "is_internal, created_at. Bad lines are told, counted and skipped; the exit code is then 1.";

static const char examples[] =
    "  tallymill-produce --config stack/settings.ini --generate 200000 --days 14\n"
    "  tallymill-produce --config stack/settings.ini --generate 600000 --rate 10000 --live\n"
    "  tallymill-produce --config stack/settings.ini requests.ndjson.gz --const event_name=page_view \\\n"
    "      --map session_id=client --map created_at=time --rest event_data --dry-run\n"
    "  tallymill-produce --config stack/settings.ini orders.csv.zst --default event_name=order \\\n"
    "      --map event_name=kind --map created_at=at --time-unit ms --rest event_data --resume orders.resume";

struct cli produce_cli = {.program = "tallymill-produce",
                          .usage = "[OPTION ...] [FILE ...]",
                          .summary = summary,
                          .examples = examples,
                          .programs = FOR_PRODUCE};

/* The words as they stand on the command line. */
struct words {
    const char *format, *delimiter, *csv_types, *time_unit, *generate, *sparse, *seed, *rate, *days, *until;
    bool is_live, is_followed, takes_text_ids;
};

static bool on_map(void *context, const char *value, struct error *err)
{
    return columns_map(context, value, err);
}

static bool on_const(void *context, const char *value, struct error *err)
{
    return columns_const(context, value, err);
}

static bool on_default(void *context, const char *value, struct error *err)
{
    return columns_default(context, value, err);
}

static bool on_rest(void *context, const char *value, struct error *err)
{
    return columns_rest(context, value, err);
}

static bool on_time_format(void *context, const char *value, struct error *err)
{
    return columns_time_format(context, value, err);
}

static bool on_time_zone(void *context, const char *value, struct error *err)
{
    return columns_time_zone(context, value, err);
}

static bool read_integer(const char *option, const char *text, uint64_t low, uint64_t high, uint64_t *number, struct error *err)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < low || value > high)
        return error_set(err, ERROR_USAGE, "--%s is a number from %" PRIu64 " to %" PRIu64 ", not '%s'", option, low, high, text);
    *number = value;
    return true;
}

static bool read_rate(const char *text, double *rate, struct error *err)
{
    char *end;
    *rate = strtod(text, &end);
    if (end == text || *end != '\0' || !(*rate >= 0.001 && *rate <= 1e9))
        return error_set(err, ERROR_USAGE, "--rate is events a second, such as 5000, not '%s'", text);
    return true;
}

/* The first option given that goes only with made up events; NULL: none was. */
static const char *option_of_plan(const struct words *words)
{
    return words->seed != NULL    ? "seed"
           : words->days != NULL  ? "days"
           : words->until != NULL ? "until"
           : words->is_live       ? "live"
                                  : NULL;
}

/* The same of those that go only with files. */
static const char *option_of_files(const struct produce *produce, const struct words *words)
{
    return produce->is_dry_run            ? "dry-run"
           : produce->resume_file != NULL ? "resume"
           : words->is_followed           ? "follow"
           : words->format != NULL        ? "format"
           : words->takes_text_ids        ? "id-from-text"
                                          : NULL;
}

/* Nothing goes with made up events that does not belong to them. how: the option that asks for them. */
static bool check_plan(const struct produce *produce, const struct words *words, const char *how, struct error *err)
{
    const char *stray = option_of_files(produce, words);
    if (produce->import.path_count > 0)
        return error_set(err, ERROR_USAGE, "--%s makes events up; it takes no FILE (%s)", how, produce->import.paths[0]);
    if (stray != NULL)
        return error_set(err, ERROR_USAGE, "--%s goes with files, not with --%s", stray, how);
    if (words->is_live && (words->rate == NULL || words->days != NULL || words->until != NULL))
        return error_set(err, ERROR_USAGE,
                         "--live goes with --rate, and without --days and --until: events happen when they are due");
    return true;
}

static bool read_plan(struct produce *produce, const struct words *words, struct error *err)
{
    const bool is_sparse = words->sparse != NULL;
    const char *stray = option_of_plan(words), *how = is_sparse ? "sparse" : "generate";
    uint64_t seed = (uint64_t)clock_wall_us() % 1000000, days = 14; /* a second run is another crowd; the report says the seed */
    produce->is_generating = words->generate != NULL || is_sparse;
    produce->plan.is_sparse = is_sparse;
    if (words->generate != NULL && is_sparse)
        return error_set(err, ERROR_USAGE, "--generate and --sparse say the same: how many events to make up");
    if (!produce->is_generating)
        return stray == NULL || error_set(err, ERROR_USAGE, "--%s goes with --generate or --sparse", stray);
    if (!check_plan(produce, words, how, err) ||
        !read_integer(how, is_sparse ? words->sparse : words->generate, 1, UINT64_C(1000000000000), &produce->plan.events, err) ||
        (words->seed != NULL && !read_integer("seed", words->seed, 0, UINT64_MAX, &seed, err)) ||
        (words->days != NULL && !read_integer("days", words->days, 1, 36500, &days, err)))
        return false;
    produce->plan.seed = seed;
    produce->plan.days = (int)days;
    produce->plan.until_us = clock_wall_us();
    if (words->until != NULL && !clock_parse_time(words->until, strlen(words->until), &produce->plan.until_us))
        return error_set(err, ERROR_USAGE, "--until is a time such as 2026-01-15T00:00:00Z, not '%s'", words->until);
    return true;
}

static bool read_format(struct produce *produce, const struct words *words, struct error *err)
{
    struct reader_kind *kind = &produce->import.kind;
    *kind = (struct reader_kind){.format = RECORD_NDJSON};
    if (words->format != NULL && !record_parse_format(words->format, &kind->format))
        return error_set(err, ERROR_USAGE, "--format is ndjson, csv, msgpack or combined, not '%s'", words->format);
    for (int i = 0; words->format == NULL && i < produce->import.path_count; i++) {
        char delimiter;
        enum record_format told = record_format_of(produce->import.paths[i], &delimiter);
        if (i > 0 && (told != kind->format || delimiter != kind->delimiter))
            return error_set(err, ERROR_USAGE,
                             "the names of the files tell different formats: say --format, or import them one by one");
        kind->format = told;
        kind->delimiter = delimiter;
    }
    const char *stray = words->delimiter != NULL ? "delimiter" : words->csv_types != NULL ? "csv-types" : NULL;
    if (stray != NULL && kind->format != RECORD_CSV)
        return error_set(err, ERROR_USAGE, "--%s goes with --format csv", stray);
    if (words->delimiter != NULL) {
        bool is_tab = strcmp(words->delimiter, "tab") == 0;
        if (!is_tab && (strlen(words->delimiter) != 1 || strchr("\"\r\n", *words->delimiter) != NULL))
            return error_set(err, ERROR_USAGE, "--delimiter is one character, or tab, not '%s'", words->delimiter);
        kind->delimiter = is_tab ? '\t' : *words->delimiter;
    }
    if (words->csv_types != NULL) {
        kind->is_typed = strcmp(words->csv_types, "json") == 0;
        if (!kind->is_typed && strcmp(words->csv_types, "text") != 0)
            return error_set(err, ERROR_USAGE, "--csv-types is text or json, not '%s'", words->csv_types);
    }
    return true;
}

/* The wire format's own integers are microseconds; anybody else's might be anything. */
static bool read_unit(struct produce *produce, const struct words *words, struct error *err)
{
    enum time_unit unit = TIME_UNIT_US;
    if (words->time_unit != NULL && !instant_parse_unit(words->time_unit, &unit))
        return error_set(err, ERROR_USAGE, "--time-unit is s, ms, us or ns, not '%s'", words->time_unit);
    bool is_wire = produce->import.kind.format == RECORD_MSGPACK && !columns_is_mapped(produce->columns);
    if (words->time_unit != NULL || is_wire)
        columns_time_unit(produce->columns, unit);
    return true;
}

static bool is_stdin_named(const struct import_plan *import)
{
    for (int i = 0; i < import->path_count; i++)
        if (strcmp(import->paths[i], "-") == 0)
            return true;
    return false;
}

/* Files that are missing or cannot be read are reported before the first event is sent. */
static bool read_files(struct produce *produce, struct error *err)
{
    static char stdin_path[] = "-";
    static char *only_stdin[] = {stdin_path};
    struct import_plan *import = &produce->import;
    if (import->path_count == 0) {
        import->paths = only_stdin;
        import->path_count = 1;
    }
    if (produce->is_dry_run && (produce->resume_file != NULL || import->is_followed || produce->ack_log != NULL))
        return error_set(err, ERROR_USAGE, "--dry-run sends nothing: it goes without --resume, --follow and --ack-log");
    if (produce->resume_file != NULL && is_stdin_named(import))
        return error_set(err, ERROR_USAGE, "--resume reads files by name: stdin cannot be read a second time");
    if (produce->resume_file != NULL && produce->ack_log != NULL)
        return error_set(err, ERROR_USAGE, "--ack-log is of one run: it goes without --resume");
    return preview_files(import, err);
}

/* The mapping is what is asked for. */
static bool read_guess(struct produce *produce, const struct words *words, struct error *err)
{
    static char stdin_path[] = "-";
    static char *only_stdin[] = {stdin_path};
    produce->has_format = words->format != NULL;
    if (produce->import.path_count == 0) {
        produce->import.paths = only_stdin;
        produce->import.path_count = 1;
    }
    return (!produce->is_dry_run && produce->resume_file == NULL && !words->is_followed) ||
           error_set(err, ERROR_USAGE, "--guess only proposes a command: it goes without --dry-run, --resume and --follow");
}

static bool read_import(struct produce *produce, const struct words *words, struct error *err)
{
    produce->import.program = produce_cli.program;
    produce->import.columns = produce->columns;
    produce->import.is_followed = words->is_followed;
    if (words->takes_text_ids)
        columns_id_from_text(produce->columns, settings_text(produce->settings, "topics.events"));
    if (produce->is_guessing)
        return read_format(produce, words, err) && read_guess(produce, words, err);
    return read_format(produce, words, err) && read_unit(produce, words, err) && columns_check(produce->columns, err) &&
           read_files(produce, err);
}

static bool read_words(struct produce *produce, const struct words *words, struct error *err)
{
    if (words->rate != NULL && !read_rate(words->rate, &produce->pace.rate, err))
        return false;
    produce->pace.is_live = words->is_live;
    produce->pace.is_open_loop = words->generate != NULL;
    return read_plan(produce, words, err) && (produce->is_generating || read_import(produce, words, err));
}

/* As it was written: the settings know the values alone. */
static const char *find_config(int argc, char **argv)
{
    const char *config = NULL;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            config = argv[i + 1];
        else if (strncmp(argv[i], "--config=", 9) == 0)
            config = argv[i] + 9;
    return config;
}

/* False: the program ends here, with *exit_code. */
static bool read_command_line(struct produce *produce, struct words *words, int argc, char **argv, int *exit_code)
{
    /* clang-format off */
    const struct cli_option options[] = {
        {"map", "COLUMN=FIELD", "a column (or event_data.NAME) from a field; dots lead into objects", .each = on_map, .context = produce->columns},
        {"const", "COLUMN=VALUE", "the same value in every event", .each = on_const, .context = produce->columns},
        {"default", "COLUMN=VALUE", "the value where a line has none", .each = on_default, .context = produce->columns},
        {"rest", "WHERE", "all other fields: event_data (kept there) or none (dropped)", .each = on_rest, .context = produce->columns},
        {"time-unit", "UNIT", "what numbers in created_at count: s, ms, us or ns since 1970", .value = &words->time_unit},
        {"time-format", "FORMAT", "how created_at is written, by strptime's letters and %f; repeatable, tried in order", .each = on_time_format, .context = produce->columns},
        {"time-zone", "ZONE", "where times without an offset are from, such as UTC or Europe/Berlin", .each = on_time_zone, .context = produce->columns},
        {"id-from-text", NULL, "an id that is no UUID becomes one (version 5, of its text and the topic)", .flag = &words->takes_text_ids},
        {"format", "FORMAT", "of the files: ndjson, csv, msgpack or combined, a web server's log (told by their names, else ndjson)", .value = &words->format},
        {"delimiter", "CHAR", "between the fields of CSV: a character, or tab (what the name, a line sep= or the first lines tell, else a comma)", .value = &words->delimiter},
        {"csv-types", "TYPES", "text: every field of CSV is one (the default); json: numbers, true and false are that", .value = &words->csv_types},
        {"guess", NULL, "send nothing: propose the mapping of the file, as the command to run", .flag = &produce->is_guessing},
        {"dry-run", NULL, "send nothing: show the first events as they would be sent, and the lines that would fail", .flag = &produce->is_dry_run},
        {"resume", "FILE", "keep there how far the import is; the same command goes on from there, without duplicates", .value = &produce->resume_file},
        {"follow", NULL, "go on reading the last file as it grows, until a signal comes", .flag = &words->is_followed},
        {"reject-file", "FILE", "keep bad lines there, with their line number and reason", .value = &produce->reject_file},
        {"generate", "N", "make up N events: sessions that walk the funnel", .value = &words->generate},
        {"sparse", "N", "make N events up, on random days of the last D: others have none", .value = &words->sparse},
        {"seed", "S", "the same seed (and --days and --until) makes the same events", .value = &words->seed},
        {"days", "D", "over the last D days (14)", .value = &words->days},
        {"until", "TIME", "where those days end, as 2026-01-15T00:00:00Z (now)", .value = &words->until},
        {"rate", "R", "send R events a second (as fast as it goes); made up ones by a fixed timetable", .value = &words->rate},
        {"live", NULL, "made up events happen when they are due (--rate); the report says how long they took", .flag = &words->is_live},
        {"ack-log", "FILE", "write the id, topic partition and offset of each acknowledged event", .value = &produce->ack_log},
        {"json", NULL, "the report as one JSON object on stdout", .flag = &produce->wants_json},
        {.name = NULL},
    };
    /* clang-format on */
    produce->config = find_config(argc, argv);
    produce_cli.options = options;
    struct cli_result result;
    bool goes_on = cli_start(&produce_cli, argc, argv, &result, exit_code);
    produce_cli.options = NULL;
    if (!goes_on)
        return false;
    produce->settings = result.settings;
    produce->wants_check = result.check;
    produce->import.paths = result.arguments;
    produce->import.path_count = result.argument_count;
    return true;
}

bool produce_read(struct produce *produce, int argc, char **argv, int *exit_code)
{
    *produce = (struct produce){.columns = columns_new()};
    struct error err;
    struct words words = {0};
    const bool has_memory = produce->columns != NULL || error_set(&err, ERROR_RETRY, "no memory");
    if (has_memory && !read_command_line(produce, &words, argc, argv, exit_code))
        return false;
    if (has_memory && read_words(produce, &words, &err))
        return true;
    *exit_code = cli_fail(&produce_cli, &err);
    return false;
}

void produce_reset(struct produce *produce)
{
    columns_free(produce->columns);
    settings_free(produce->settings);
    *produce = (struct produce){0};
}
