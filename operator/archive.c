/* archive.c - `tallymill archive`: which months are meant, and what is said of each. What is done with one: archive_month. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/number_text.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/archive_month.h"
#include "operator/archive_store.h"
#include "operator/command.h"
#include "operator/ground.h"
#include "operator/month_list.h"
#include "operator/terminal.h"

struct archive {
    bool is_due, is_verify, is_drop, is_confirmed, as_json; /* the options */
    const char *cancel;
    struct archive_run run;
    json_t *months; /* with as_json */
    int count, exit_code;
};

static void add_json(struct archive *archive, const struct month_name *month, const char *outcome,
                     const struct archive_report *report, const char *text)
{
    json_t *one = json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:s*, s:s*}", "month", month->text, "outcome", outcome,
                            "generation", report->generation, "rows", (json_int_t)report->rows, "bytes", (json_int_t)report->bytes,
                            "away_us", (json_int_t)report->away_us, "dead_letters_waiting", (json_int_t)report->late, "text", text,
                            "leftover", report->leftover[0] != '\0' ? report->leftover : NULL);
    json_array_append_new(archive->months, one);
}

static void tell(const char *text)
{
    fputs("tallymill archive: ", stderr);
    terminal_text(stderr, text);
    fputc('\n', stderr);
}

/* One that failed keeps no other from being done; the worst of all is the exit code. */
static void tell_failure(struct archive *archive, const struct month_name *month, const struct archive_report *report,
                         struct error *err)
{
    const int exit_code = error_exit_code(err);
    archive->exit_code = exit_code > archive->exit_code ? exit_code : archive->exit_code;
    if (archive->as_json)
        add_json(archive, month, err->kind == ERROR_REJECT ? "damaged" : "waits", report, err->text);
    else
        tell(err->text);
    error_clear(err);
}

static void tell_archived(const struct archive *archive, const struct month_name *month, const struct archive_report *report)
{
    char rows[NUMBER_TEXT_BYTES], bytes[NUMBER_TEXT_BYTES], late[NUMBER_TEXT_BYTES];
    printf("%s %s: %s rows", month->text,
           report->was_away     ? "is archived"
           : archive->run.store ? "archived"
                                : "dropped",
           number_text(rows, report->rows));
    if (archive->run.store)
        printf(" in %s bytes, generation %d%s", number_text(bytes, report->bytes), report->generation,
               report->is_reused ? " (written before, proven again)" : "");
    if (!report->was_away)
        printf("; they were in no query for %" PRId64 " ms while they left", report->away_us / 1000);
    if (report->late > 0)
        printf("; %s dead letters wait for it (tallymill restore %s --replay)", number_text(late, report->late), month->text);
    putchar('\n');
    fflush(stdout);
}

static void take_out(struct archive *archive, const struct month_name *month, struct error *err)
{
    struct archive_report report = {0};
    archive->count++;
    if (!archive_month(&archive->run, month, &report, err)) {
        tell_failure(archive, month, &report, err);
        return;
    }
    if (archive->as_json)
        add_json(archive, month, report.was_away ? "was archived" : "archived", &report, NULL);
    else
        tell_archived(archive, month, &report);
    if (report.leftover[0] == '\0')
        return;
    tell(report.leftover);
    archive->exit_code = archive->exit_code > 1 ? archive->exit_code : 1;
}

static void verify_one(struct archive *archive, const struct month_name *month, struct error *err)
{
    struct archive_report report = {0};
    bool is_kept = false;
    char rows[NUMBER_TEXT_BYTES];
    const bool is_good = archive_month_verify(&archive->run, month, &is_kept, &report, err);
    archive->count += !is_good || is_kept;
    if (!is_good)
        tell_failure(archive, month, &report, err);
    else if (is_kept && archive->as_json)
        add_json(archive, month, "whole", &report, NULL);
    else if (is_kept)
        printf("%s is whole: generation %d, %s rows in %d parts\n", month->text, report.generation, number_text(rows, report.rows),
               report.parts);
}

static bool cancel(struct archive *archive, struct error *err)
{
    struct month_name month;
    bool was_leaving = false;
    if (!month_name_parse(archive->cancel, &month, err) || !archive_month_cancel(&archive->run, &month, &was_leaving, err))
        return false;
    archive->count++;
    if (archive->as_json)
        add_json(archive, &month, was_leaving ? "stays" : "was not leaving", &(struct archive_report){0}, NULL);
    else
        printf(was_leaving ? "%s stays: it is part of analytics_events again\n" : "%s was not on its way out: nothing was done\n",
               month.text);
    return true;
}

/* The months of the list that are due, or not finished; oldest first. For --verify: all. */
static bool each_listed(struct archive *archive,
                        void (*take)(struct archive *archive, const struct month_name *month, struct error *err), struct error *err)
{
    PGresult *months = month_list_ask(archive->run.settings, "tallymill archive", err);
    for (int row = months ? PQntuples(months) - 1 : -1; row >= 0; row--) {
        struct month_name month;
        if ((archive->is_verify || answer_bool(months, row, "is_due") || answer_bool(months, row, "is_unfinished")) &&
            month_name_parse(answer_text(months, row, "month"), &month, err))
            take(archive, &month, err);
    }
    PQclear(months);
    return months != NULL;
}

static bool each_named(struct archive *archive, const struct cli_result *command,
                       void (*take)(struct archive *archive, const struct month_name *month, struct error *err), struct error *err)
{
    struct month_name month;
    for (int i = 0; i < command->argument_count; i++) /* a name that is wrong is told before anything is done */
        if (!month_name_parse(command->arguments[i], &month, err))
            return false;
    for (int i = 0; i < command->argument_count; i++)
        if (month_name_parse(command->arguments[i], &month, err))
            take(archive, &month, err);
    return true;
}

static bool run(struct archive *archive, const struct cli_result *command, struct error *err)
{
    if (archive->cancel)
        return cancel(archive, err);
    if (archive->is_verify)
        return command->argument_count > 0 ? each_named(archive, command, verify_one, err) : each_listed(archive, verify_one, err);
    return archive->is_due ? each_listed(archive, take_out, err) : each_named(archive, command, take_out, err);
}

/* Whether what was asked for goes together, and the store where there is one. */
static bool open_target(struct archive *archive, const struct cli_result *command, struct error *err)
{
    const char *target = settings_text(command->settings, "archive.target");
    const bool is_none = strcmp(target, "none") == 0, is_taking = !archive->cancel && !archive->is_verify;
    if ((archive->cancel || archive->is_due) && command->argument_count > 0)
        return error_set(err, ERROR_USAGE, "%s: with --%s no months are named", command->arguments[0],
                         archive->cancel ? "cancel MONTH" : "due");
    if (is_taking && !archive->is_due && command->argument_count == 0 && !command->check)
        return error_set(err, ERROR_USAGE, "which months? tallymill archive 2025-01 2025-02, or --due");
    if (!is_taking)
        return true;
    if (target[0] == '\0')
        return error_set(
            err, ERROR_USAGE,
            "archive.target is not set: it is the directory, or s3://BUCKET/PREFIX, that months are archived to, or none to keep "
            "nothing of them");
    if (is_none && !command->check && !(archive->is_drop && archive->is_confirmed))
        return error_set(err, ERROR_USAGE,
                         "archive.target is none: the events would be gone for good. If that is meant: --drop --yes");
    if (!is_none && archive->is_drop)
        return error_set(err, ERROR_USAGE, "--drop is for archive.target = none; it is %.100s", target);
    return is_none || command->check || (archive->run.store = archive_store_open(command->settings, target, err)) != NULL;
}

static int check(struct archive *archive, const struct cli_result *command)
{
    const struct settings *settings = command->settings;
    struct cli_result named = *command;
    if (archive->cancel) {
        named.arguments = (char **)&archive->cancel;
        named.argument_count = 1;
    }
    const int64_t wall_us = clock_wall_us();
    if (settings_oldest_us(settings, "window.oldest", wall_us) < settings_oldest_us(settings, "archive.after", wall_us))
        fprintf(stderr,
                "tallymill archive: window.oldest (%s) reaches further back than archive.after (%s): a month is due only once it "
                "lies before the window\n",
                settings_written(settings, "window.oldest"), settings_written(settings, "archive.after"));
    return ground_check_also(&named, &(struct ground){.program = "tallymill archive", .role = "tallymill_admin"},
                             archive_books_check);
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct archive *archive = context;
    archive->run.settings = command->settings;
    archive->months = json_array();
    bool is_done = open_target(archive, command, err);
    if (is_done && command->check)
        archive->exit_code = check(archive, command);
    else if (is_done)
        is_done =
            archive_books_open(&archive->run.books, command->settings, "tallymill archive", err) && run(archive, command, err);
    if (is_done && !command->check && archive->as_json) {
        json_t *answer = json_pack("{s:O}", "months", archive->months);
        answer_print(answer);
        json_decref(answer);
    } else if (is_done && !command->check && archive->count == 0) {
        puts(archive->is_verify ? "no archive of a month is kept" : "no month is due");
    }
    json_decref(archive->months);
    archive_books_close(&archive->run.books);
    archive_store_close(archive->run.store);
    return archive->exit_code;
}

static const struct cli archive_cli = {
    .program = "tallymill archive",
    .usage = "[OPTION ...] MONTH ... | --due | --verify [MONTH ...] | --cancel MONTH",
    .summary =
        "Takes months out of analytics_events into archive.target: written, read back and proven to be the month while it can "
        "still be\n"
        "queried, then detached and dropped, with the books kept. Statistics stay. Killed anywhere, the next run goes on.\n"
        "A month leaves only when its statistics are settled and equal its rows; events that come later wait as dead letters.\n"
        "Needs a login with tallymill_admin; behind a pooler one that inherits its rights (the detach sets no role there).\n",
    .examples = "  tallymill archive --config settings.ini --due\n  tallymill archive --config settings.ini 2025-01\n"
                "  tallymill archive --config settings.ini --verify\n",
    .exit_codes =
        "0 done; 1 a month waits, its archive is damaged, or an older one could not be deleted, each named, or a server is "
        "away;\n2 usage, settings or schema; 3 needs a person.",
    .programs = FOR_OPERATOR,
};

int archive_run(int argc, char **argv)
{
    struct archive archive = {0};
    const struct cli_option options[] = {
        {.name = "due", .help = "every month that is due, and what an earlier run left unfinished", .flag = &archive.is_due},
        {.name = "verify",
         .help = "read archives again, every byte and all rows, and name what is damaged",
         .flag = &archive.is_verify},
        {.name = "cancel", .argument = "MONTH", .help = "a month that is on its way out stays", .value = &archive.cancel},
        {.name = "drop",
         .help = "with archive.target = none: keep nothing of the months but their books",
         .flag = &archive.is_drop},
        {.name = "yes", .help = "yes, for good", .flag = &archive.is_confirmed},
        {.name = "json", .help = "answer with one JSON object", .flag = &archive.as_json},
        {.name = NULL},
    };
    struct cli cli = archive_cli;
    cli.options = options;
    return command_work(&cli, argc, argv, work, &archive);
}
