/* month_list.c - `tallymill months`: where each month is, how large, whether it is due for the archive, and what waits for it. */
#include "operator/month_list.h"

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
#include "operator/command.h"
#include "operator/ground.h"
#include "operator/snapshot.h"
#include "operator/table.h"

extern const char months_list_sql[];

enum { COLUMNS = 10, MB = 1000000 };

PGresult *month_list_ask(const struct settings *settings, const char *application_name, struct error *err)
{
    char cold_before[CLOCK_DAY_BYTES], window_from[CLOCK_TIME_BYTES], keep[40];
    const int64_t wall_us = clock_wall_us();
    struct snapshot *snapshot = snapshot_open(settings, application_name, err);
    clock_format_day(cold_before, clock_day_of(settings_oldest_us(settings, "archive.after", wall_us)));
    clock_format_time(window_from, settings_oldest_us(settings, "window.oldest", wall_us));
    snprintf(keep, sizeof keep, "%" PRId64 " us", settings_int(settings, "archive.restored_keep"));
    PGresult *result = snapshot && snapshot_set(snapshot, "cold_before", cold_before, err) &&
                               snapshot_set(snapshot, "window_from", window_from, err) &&
                               snapshot_set(snapshot, "restored_keep", keep, err)
                           ? snapshot_ask(snapshot, months_list_sql, err)
                           : NULL;
    snapshot_close(snapshot);
    return result;
}

/* "1,234.5" megabytes; "" for NULL. */
static const char *megabytes(char text[NUMBER_TEXT_BYTES + 4], const PGresult *months, int row, const char *column)
{
    char whole[NUMBER_TEXT_BYTES];
    const int64_t bytes = answer_int(months, row, column);
    text[0] = '\0';
    if (!answer_is_null(months, row, column))
        snprintf(text, NUMBER_TEXT_BYTES + 4, "%s.%d", number_text(whole, bytes / MB), (int)(bytes % MB / (MB / 10)));
    return text;
}

static const char *number(char text[NUMBER_TEXT_BYTES], const PGresult *months, int row, const char *column)
{
    text[0] = '\0';
    return answer_is_null(months, row, column) ? text : number_text(text, answer_int(months, row, column));
}

/* "~8,003" where it is not counted; "?" where there are some, and nobody knows how many. */
static const char *rows_text(char text[NUMBER_TEXT_BYTES + 1], const PGresult *months, int row)
{
    const bool is_estimate = answer_bool(months, row, "is_estimate");
    text[0] = '~';
    if (is_estimate && answer_is_null(months, row, "rows"))
        return "?";
    return number(text + is_estimate, months, row, "rows") - is_estimate;
}

static void add(struct table *table, const PGresult *months, int row)
{
    char rows[NUMBER_TEXT_BYTES + 1], table_mb[NUMBER_TEXT_BYTES + 4], index_mb[NUMBER_TEXT_BYTES + 4],
        archive_mb[NUMBER_TEXT_BYTES + 4], waiting[NUMBER_TEXT_BYTES], archive[600] = "", unfinished[600] = "not finished";
    if (!answer_is_null(months, row, "generation"))
        snprintf(archive, sizeof archive, "%s %s", answer_text(months, row, "target"), answer_text(months, row, "generation"));
    if (!answer_is_null(months, row, "leftovers"))
        snprintf(unfinished, sizeof unfinished, "not finished: %.500s", answer_text(months, row, "leftovers"));
    const bool is_away = strcmp(answer_text(months, row, "state"), "archived") != 0 && !answer_bool(months, row, "is_attached");
    const char *const cells[] = {
        answer_text(months, row, "month"),
        answer_text(months, row, "state"),
        answer_text(months, row, "class"),
        rows_text(rows, months, row),
        megabytes(table_mb, months, row, "table_bytes"),
        megabytes(index_mb, months, row, "index_bytes"),
        archive,
        megabytes(archive_mb, months, row, "archive_bytes"),
        answer_int(months, row, "dead_letters_waiting") > 0 ? number(waiting, months, row, "dead_letters_waiting") : "",
        is_away                                     ? "not attached"
        : answer_bool(months, row, "is_due")        ? "due"
        : answer_bool(months, row, "is_unfinished") ? unfinished
                                                    : ""};
    table_add(table, cells);
}

static void print(const PGresult *months)
{
    static const char *const heads[COLUMNS] = {"month",    "state",   "class", "rows",         "table MB",
                                               "index MB", "archive", "MB",    "dead letters", ""};
    struct table *table = table_new("lllrrrlrrl", heads);
    int due = 0;
    for (int row = 0; row < PQntuples(months); row++) {
        add(table, months, row);
        due += answer_bool(months, row, "is_due");
    }
    table_print(table, "", stdout);
    table_free(table);
    if (due > 0)
        printf("\n%d due: tallymill archive --due\n", due);
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    const bool *as_json = context;
    if (command->argument_count > 0) {
        error_set(err, ERROR_USAGE, "%s: months takes no arguments", command->arguments[0]);
        return 0;
    }
    if (command->check)
        return ground_check(command->settings, &(struct ground){.program = "tallymill months", .role = "tallymill_read"});
    PGresult *months = month_list_ask(command->settings, "tallymill months", err);
    if (months && *as_json) {
        json_t *answer = json_pack("{s:o}", "months", answer_array(months));
        answer_print(answer);
        json_decref(answer);
    } else if (months) {
        print(months);
    }
    PQclear(months);
    return 0;
}

int months_run(int argc, char **argv)
{
    bool as_json = false;
    const struct cli_option options[] = {{.name = "json", .help = "answer with one JSON object", .flag = &as_json}, {.name = NULL}};
    const struct cli cli = {
        .program = "tallymill months",
        .usage = "[OPTION ...]",
        .summary = "Lists the months, where each of them is, how large, and what is due.\n"
                   "State, class (hot: this one and the last; warm; cold: older than archive.after), rows (~8,003: an estimate of "
                   "Postgres,\n"
                   "not counted; ?: there are some, and it has none), sizes, the archive, and the dead letters that wait for a "
                   "month to come back. What is due leaves by: tallymill archive --due.\n"
                   "Needs a login with tallymill_read.\n",
        .examples = "  tallymill months --config settings.ini\n  tallymill months --config settings.ini --json\n",
        .options = options,
        .programs = FOR_OPERATOR,
    };
    return command_work(&cli, argc, argv, work, &as_json);
}
