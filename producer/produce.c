/* produce.c - see produce.h. Everything is checked before anything is opened: a wrong option sends nothing. */
#include "produce.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "columns.h"
#include "error.h"
#include "input.h"
#include "settings.h"

static const char summary[] =
    "Publishes events to Kafka: from files or stdin (one JSON object a line, plain or gzip), or made up.\n"
    "Without --map and --rest a line's fields are the columns: id, event_name, event_category, session_id, user_id, event_data,\n"
    "is_internal, created_at. Bad lines are told, counted and skipped; the exit code is then 1.";

static const char examples[] =
    "  tallymill-produce --config stack/settings.ini --generate 200000 --days 14\n"
    "  tallymill-produce --config stack/settings.ini requests.ndjson.gz --const event_name=page_view \\\n"
    "      --map session_id=client --map created_at=time --rest event_data";

struct cli produce_cli = {.program = "tallymill-produce",
                          .usage = "[OPTION ...] [FILE ...]",
                          .summary = summary,
                          .examples = examples,
                          .programs = FOR_PRODUCE};

/* The words as they stand on the command line. */
struct words {
    const char *format, *time_unit, *generate, *seed, *rate, *days, *until;
};

static bool on_map(void *context, const char *value, struct error *err)
{
    return columns_map(context, value, err);
}

static bool on_const(void *context, const char *value, struct error *err)
{
    return columns_const(context, value, err);
}

static bool on_rest(void *context, const char *value, struct error *err)
{
    return columns_rest(context, value, err);
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

static bool read_plan(struct produce *produce, const struct words *words, struct error *err)
{
    uint64_t seed = (uint64_t)clock_wall_us() % 1000000, days = 14; /* a second run is another crowd; the report says the seed */
    produce->is_generating = words->generate != NULL;
    if (!produce->is_generating) {
        const char *stray = words->seed != NULL ? "seed" : words->days != NULL ? "days" : words->until != NULL ? "until" : NULL;
        return stray == NULL || error_set(err, ERROR_USAGE, "--%s goes with --generate", stray);
    }
    if (produce->path_count > 0)
        return error_set(err, ERROR_USAGE, "--generate makes events up; it takes no FILE (%s)", produce->paths[0]);
    if (!read_integer("generate", words->generate, 1, UINT64_C(1000000000000), &produce->plan.events, err) ||
        (words->seed != NULL && !read_integer("seed", words->seed, 0, UINT64_MAX, &seed, err)) ||
        (words->days != NULL && !read_integer("days", words->days, 1, 3650, &days, err)))
        return false;
    produce->plan.seed = seed;
    produce->plan.days = (int)days;
    produce->plan.until_us = clock_wall_us();
    if (words->until != NULL && !clock_parse_time(words->until, strlen(words->until), &produce->plan.until_us))
        return error_set(err, ERROR_USAGE, "--until is a time such as 2026-01-15T00:00:00Z, not '%s'", words->until);
    return true;
}

/* Files that are missing are told before the first event is sent. */
static bool read_import(struct produce *produce, const struct words *words, struct error *err)
{
    static char stdin_path[] = "-";
    static char *only_stdin[] = {stdin_path};
    if (words->format != NULL && strcmp(words->format, "ndjson") != 0)
        return error_set(err, ERROR_USAGE, "--format %s is not known; this release reads ndjson", words->format);
    if (words->time_unit != NULL) {
        enum time_unit unit;
        if (!instant_parse_unit(words->time_unit, &unit))
            return error_set(err, ERROR_USAGE, "--time-unit is s, ms, us or ns, not '%s'", words->time_unit);
        columns_time_unit(produce->columns, unit);
    }
    if (!columns_check(produce->columns, err))
        return false;
    if (produce->path_count == 0) {
        produce->paths = only_stdin;
        produce->path_count = 1;
    }
    for (int i = 0; i < produce->path_count; i++) {
        struct input *input = input_open(produce->paths[i], err);
        if (input == NULL)
            return false;
        input_close(input);
    }
    return true;
}

static bool read_words(struct produce *produce, const struct words *words, struct error *err)
{
    if (words->rate != NULL && !read_rate(words->rate, &produce->rate, err))
        return false;
    return read_plan(produce, words, err) && (produce->is_generating || read_import(produce, words, err));
}

bool produce_read(struct produce *produce, int argc, char **argv, int *exit_code)
{
    *produce = (struct produce){.columns = columns_new()};
    struct error err;
    if (produce->columns == NULL) {
        error_set(&err, ERROR_RETRY, "no memory");
        *exit_code = cli_fail(&produce_cli, &err);
        return false;
    }
    struct words words = {0};
    /* clang-format off */
    const struct cli_option options[] = {
        {"map", "COLUMN=FIELD", "a column (or event_data.NAME) from a field; dots lead into objects", .each = on_map, .context = produce->columns},
        {"const", "COLUMN=VALUE", "the same value in every event", .each = on_const, .context = produce->columns},
        {"rest", "WHERE", "all other fields: event_data (kept there) or none (dropped)", .each = on_rest, .context = produce->columns},
        {"time-unit", "UNIT", "what numbers in created_at count: s, ms, us or ns since 1970", .value = &words.time_unit},
        {"format", "FORMAT", "of the files: ndjson", .value = &words.format},
        {"reject-file", "FILE", "keep bad lines there, with their line number and reason", .value = &produce->reject_file},
        {"generate", "N", "make up N events: sessions that walk the funnel", .value = &words.generate},
        {"seed", "S", "the same seed (and --days and --until) makes the same events", .value = &words.seed},
        {"days", "D", "over the last D days (14)", .value = &words.days},
        {"until", "TIME", "where those days end (now)", .value = &words.until},
        {"rate", "R", "send R events a second (as fast as it goes)", .value = &words.rate},
        {"ack-log", "FILE", "write the id, topic partition and offset of each acknowledged event", .value = &produce->ack_log},
        {"json", NULL, "the report as one JSON object on stdout", .flag = &produce->wants_json},
        {.name = NULL},
    };
    /* clang-format on */
    produce_cli.options = options;
    struct cli_result result;
    bool goes_on = cli_start(&produce_cli, argc, argv, &result, exit_code);
    produce_cli.options = NULL;
    if (!goes_on)
        return false;
    produce->settings = result.settings;
    produce->wants_check = result.check;
    produce->paths = result.arguments;
    produce->path_count = result.argument_count;
    if (read_words(produce, &words, &err))
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
