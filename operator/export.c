/* export.c - `tallymill export`: events, daily statistics and rollups as CSV or NDJSON, of one moment of the database.
 *
 * One REPEATABLE READ snapshot, one COPY a file, a row in memory at a time: whatever is stored meanwhile, and however much there
 * is. Rejected: pages, as exports of web applications have them; rows that are stored between two of them shift the next, and are
 * lost or doubled.
 */
#include "operator/export.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/catalogue.h"
#include "common/cli.h"
#include "common/clock.h"
#include "common/number_text.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/command.h"
#include "operator/ground.h"
#include "operator/snapshot.h"
#include "operator/terminal.h"

void export_answer_add(struct export_run *run, const char *path, const struct export_written *written, json_t *more)
{
    json_t *file = json_pack("{s:s?, s:I, s:I, s:I}", "file", path, "rows", (json_int_t)written->rows, "bytes",
                             (json_int_t)written->bytes, "guarded", (json_int_t)written->guarded);
    json_object_update(file, more);
    json_decref(more);
    json_array_append_new(json_object_get(run->answer, "files"), file);
}

/* "csv|ndjson" and "none|gzip|zstd"; what is not said is the first. */
static bool read_style(struct export_run *run, struct error *err)
{
    const bool is_ndjson = run->format && strcmp(run->format, "ndjson") == 0;
    if (run->format && !is_ndjson && strcmp(run->format, "csv") != 0) {
        return error_set(err, ERROR_USAGE, "--format %.40s: there are csv and ndjson", run->format);
    }
    int packing = 0;
    while (run->compress && export_packing_names[packing] && strcmp(export_packing_names[packing], run->compress) != 0) {
        packing++;
    }
    if (!export_packing_names[packing]) {
        return error_set(err, ERROR_USAGE, "--compress %.40s: there are gzip and zstd", run->compress);
    }
    run->style = (struct export_style){.columns = &run->columns,
                                       .form = is_ndjson     ? EXPORT_NDJSON
                                               : run->is_raw ? EXPORT_CSV_RAW
                                                             : EXPORT_CSV,
                                       .packing = (enum export_packing)packing,
                                       .progress = &run->progress};
    return !run->as_json || run->output ||
           error_set(err, ERROR_USAGE, "--json tells what was written to --output; the export itself is on stdout");
}

/* [events | daily | ROLLUP] [DAY | FIRST..LAST]: what begins with a digit or a dot is days. */
static bool read_arguments(struct export_run *run, const struct cli_result *command, struct error *err)
{
    int at = 0;
    run->choice.what = "events";
    if (at < command->argument_count && strchr("0123456789.", command->arguments[at][0]) == NULL) {
        run->choice.what = command->arguments[at++];
    }
    if (at < command->argument_count && !day_range_parse(command->arguments[at++], &run->choice.range, err)) {
        return false;
    }
    return at == command->argument_count ||
           error_set(err, ERROR_USAGE, "%.60s: export takes events, daily or a rollup, and one day or one range of days",
                     command->arguments[at]);
}

static bool is_directory(const char *path)
{
    struct stat found;
    const size_t length = path ? strlen(path) : 0;
    return length > 0 && (path[length - 1] == '/' || (stat(path, &found) == 0 && S_ISDIR(found.st_mode)));
}

static bool write_one(struct export_run *run, struct error *err)
{
    struct export_written written;
    char *sql =
        export_source_copy(&run->source, run->snapshot, run->columns.list, &run->choice, export_span_of(&run->choice.range), err);
    const bool is_written = sql && export_output_write(run->snapshot, sql, run->output, &run->style, &written, err);
    free(sql);
    if (is_written) {
        export_output_tell(&written, &run->columns, run->output);
        export_answer_add(run, run->output, &written, json_pack("{s:s}", "row_hash", written.row_hash));
    }
    return is_written;
}

static void tell(const struct export_run *run)
{
    char number[NUMBER_TEXT_BYTES], bytes[NUMBER_TEXT_BYTES];
    size_t index;
    json_t *file;
    json_array_foreach(json_object_get(run->answer, "files"), index, file) {
        terminal_text(stdout, json_string_value(json_object_get(file, "file")));
        printf(": %s rows, %s bytes%s\n", number_text(number, json_integer_value(json_object_get(file, "rows"))),
               number_text(bytes, json_integer_value(json_object_get(file, "bytes"))),
               json_is_true(json_object_get(file, "kept")) ? ", as it was" : "");
    }
}

static bool choose(struct export_run *run, const struct settings *settings, struct error *err)
{
    struct catalogue *catalogue = catalogue_load(settings_text(settings, "catalogue.file"), err);
    const bool is_chosen = catalogue && export_source_find(&run->source, run->snapshot, &run->choice, err) &&
                           export_months_find(&run->months, run->snapshot, &run->source, &run->choice, err) &&
                           export_months_check(&run->months, run->without_archived, err) &&
                           export_columns_choose(&run->columns, run->snapshot, &run->source, &run->choice, catalogue, err);
    catalogue_free(catalogue);
    return is_chosen;
}

/* Only part of the rows is asked for: nobody knows which part. */
static bool is_filtered(const struct export_choice *choice)
{
    return choice->name_count > 0 || choice->category || choice->user || choice->session || choice->is_external ||
           *choice->range.first || *choice->range.last;
}

static bool export_all(struct export_run *run, const struct settings *settings, struct error *err)
{
    run->snapshot = snapshot_open_whole(settings, "tallymill export", err);
    if (!run->snapshot || !choose(run, settings, err)) {
        return false;
    }
    progress_init(&run->progress.bar, "rows", is_filtered(&run->choice) ? 0 : export_months_rows(&run->months), clock_now_us());
    run->progress.bar.is_shown &= run->output || !isatty(STDOUT_FILENO);
    if (!(is_directory(run->output) ? export_directory(run, err) : write_one(run, err))) {
        return false;
    }
    json_object_set(run->answer, "without_archived", run->months.archived);
    if (run->as_json) {
        return answer_print(run->answer) || error_set(err, ERROR_RETRY, "cannot write the answer to stdout");
    }
    if (run->output) {
        tell(run);
    }
    return true;
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct export_run *run = context;
    if (!read_arguments(run, command, err) || !read_style(run, err)) {
        return 0;
    }
    if (command->check) {
        return ground_check(command->settings, &(struct ground){.program = "tallymill export", .role = "tallymill_read"});
    }
    run->answer = json_pack("{s:[], s:[]}", "files", "without_archived");
    if (!run->answer) {
        error_set(err, ERROR_RETRY, "out of memory");
    } else {
        export_all(run, command->settings, err);
    }
    snapshot_close(run->snapshot);
    export_columns_reset(&run->columns);
    export_months_reset(&run->months);
    export_source_reset(&run->source);
    json_decref(run->answer);
    return 0;
}

static bool take_name(void *context, const char *value, struct error *err)
{
    struct export_choice *choice = context;
    if (choice->name_count == EXPORT_NAMES_MAX) {
        return error_set(err, ERROR_USAGE, "--event: at most %d of them", EXPORT_NAMES_MAX);
    }
    choice->names[choice->name_count++] = value;
    return true;
}

static const struct cli export_cli = {
    .program = "tallymill export",
    .usage = "[OPTION ...] [events | daily | ROLLUP] [DAY | FIRST..LAST]",
    .summary =
        "Writes events, the daily statistics or a rollup as CSV or NDJSON, of one moment of the database, to stdout, a file, or a\n"
        "directory with a file for each month and export.json; there a run that was interrupted goes on. Days are UTC. A text in\n"
        "CSV that a spreadsheet would take for a formula gets a ' in front, and stderr says which cells. Needs a login with "
        "tallymill_read.\n",
    .examples = "  tallymill export --config settings.ini 2026-11-01..2026-11-30 > november.csv\n"
                "  tallymill export --config settings.ini --event doc_export --columns flat --external --output exports.csv\n"
                "  tallymill export --config settings.ini --format ndjson --compress zstd --output all/\n"
                "  tallymill export --config settings.ini daily 2026-11-01..\n",
    .programs = FOR_OPERATOR,
};

int export_run(int argc, char **argv)
{
    static struct export_run run; /* large */
    const struct cli_option options[] = {
        {.name = "event",
         .argument = "NAME",
         .help = "only events of this name; again for more",
         .each = take_name,
         .context = &run.choice},
        {.name = "category", .argument = "CATEGORY", .help = "only events of this category", .value = &run.choice.category},
        {.name = "user", .argument = "ID", .help = "only events of this user_id", .value = &run.choice.user},
        {.name = "session", .argument = "ID", .help = "only events of this session_id", .value = &run.choice.session},
        {.name = "external", .help = "without internal events", .flag = &run.choice.is_external},
        {.name = "format", .argument = "FORMAT", .help = "csv (unless said), or ndjson", .value = &run.format},
        {.name = "columns",
         .argument = "COLUMNS",
         .help = "table (unless said); flat: the catalogue's attributes as columns; discover: those that the events have; or a "
                 "list: id,user_id,event_data.tier",
         .value = &run.choice.columns},
        {.name = "raw", .help = "texts in CSV as they are, also those that a spreadsheet would compute", .flag = &run.is_raw},
        {.name = "output",
         .argument = "FILE|DIR",
         .help = "a file, whole or not there; or a directory (an end of / makes it one)",
         .value = &run.output},
        {.name = "compress", .argument = "HOW", .help = "gzip or zstd", .value = &run.compress},
        {.name = "without-archived",
         .help = "leave out months that are archived, and say so, instead of exit code 1",
         .flag = &run.without_archived},
        {.name = "json", .help = "with --output: what was written, as JSON", .flag = &run.as_json},
        {.name = NULL},
    };
    struct cli cli = export_cli;
    cli.options = options;
    return command_work(&cli, argc, argv, work, &run);
}
