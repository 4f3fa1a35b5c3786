/* verify.c - `tallymill verify`: the daily statistics against the plan's own query over the raw events, then the rollups against
 * theirs.
 *
 * The statistics run about a second behind the rows, so the question is only fair within one snapshot and over the batches that
 * `folded` says were taken in. A day that is known to wait makes no promise and is set aside by name, never in silence: one that is
 * marked for a rebuild, one whose month is archived, one with rows of another program that were not seen yet. The days are compared
 * in spans of a year or half a million events: a query for each day, or for each month of a long and sparse history, would cost
 * more than most of them hold, and a single query over all of them would sort the whole table three times at once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/settings.h"
#include "common/settings_value.h"
#include "operator/answer.h"
#include "operator/command.h"
#include "operator/day_range.h"
#include "operator/finding.h"
#include "operator/ground.h"
#include "operator/proof.h"
#include "operator/run_metrics.h"
#include "operator/snapshot.h"
#include "operator/terminal.h"
#include "operator/verify.h"
#include "operator/verify_rollups.h"
#include "operator/verify_uniques.h"
#include "operator/verify_verdict.h"

extern const char verify_days_sql[], verify_day_sql[], verify_folded_sql[], verify_foreign_sql[], verify_pending_sql[];

struct verification {
    struct snapshot *snapshot;
    bool as_json, is_strict;  /* the options */
    const char *metrics_path; /* --metrics, or NULL */
    int64_t ranges;           /* the option */
    struct verify_found found;
    json_t *json; /* set_aside, differences, damages */
};

/* A day that is not compared, and why. */
static void set_aside(struct verification *verification, const char *day, const char *reason)
{
    verification->found.days_aside++;
    if (verification->as_json) {
        json_array_append_new(json_object_get(verification->json, "set_aside"),
                              json_pack("{s:s, s:s}", "day", day, "reason", reason));
        return;
    }
    printf("  aside   %s: ", day);
    terminal_text(stdout, reason);
    fputc('\n', stdout);
}

/* One figure that differs. A statistic that is not there has no `have`, one without events no `should`. */
static void add_difference(struct verification *verification, const char *day, const PGresult *result, int row)
{
    verification->found.differences++;
    if (verification->as_json) {
        json_t *difference = answer_object(result, row);
        json_object_set_new(difference, "day", json_string(day));
        json_array_append_new(json_object_get(verification->json, "differences"), difference);
        return;
    }
    const char *have = answer_is_null(result, row, "have") ? "missing" : answer_text(result, row, "have");
    const char *should = answer_is_null(result, row, "should") ? "not there: no such events" : answer_text(result, row, "should");
    printf("  DAMAGE  %s ", day);
    terminal_text(stdout, answer_text(result, row, "event_name"));
    printf(": %s is %s, should be %s\n", answer_text(result, row, "column_name"), have, should);
}

/* True when an open day's rows of other programs are not those that the statistics hold: they will be, so it is not a difference
 * yet. On a closed day nothing looks at them again, and one late row must not hide what else is wrong there: its differences are
 * named. */
static bool waits_for_foreign(struct verification *verification, const char *day, bool *waits, struct error *err)
{
    PGresult *foreign = snapshot_ask(verification->snapshot, verify_foreign_sql, err);
    if (!foreign) {
        return false;
    }
    const bool is_unseen = !answer_bool(foreign, 0, "is_seen");
    *waits = is_unseen && !answer_bool(foreign, 0, "is_closed") && answer_bool(foreign, 0, "may_wait");
    char reason[200];
    snprintf(reason, sizeof reason, "other programs have %" PRId64 " rows there, the statistics have seen %" PRId64,
             answer_int(foreign, 0, "rows"), answer_int(foreign, 0, "seen_rows"));
    if (*waits) {
        set_aside(verification, day, reason);
    } else if (is_unseen) {
        fprintf(stderr, "tallymill verify: %s is closed, and %s: rebuild the day to take them in\n", day, reason);
    }
    PQclear(foreign);
    return true;
}

/* The differences of one day, rows from `row` on; returns the row behind them, or -1: err says why. */
static int take_day(struct verification *verification, const PGresult *result, int row, struct error *err)
{
    const char *day = answer_text(result, row, "day");
    bool waits = false;
    if (!snapshot_set(verification->snapshot, "day", day, err) || !waits_for_foreign(verification, day, &waits, err)) {
        return -1;
    }
    verification->found.days -= waits;
    for (; row < PQntuples(result) && strcmp(answer_text(result, row, "day"), day) == 0; row++) {
        if (!waits) {
            add_difference(verification, day, result, row);
        }
    }
    return row;
}

/* The days of rows first to last, which are not set aside. */
static bool compare_span(struct verification *verification, const PGresult *days, int first, int last, struct error *err)
{
    const char *first_day = answer_text(days, first, "day"), *last_day = answer_text(days, last, "day");
    PGresult *result = NULL;
    int row = 0;
    if (!snapshot_set(verification->snapshot, "first_day", first_day, err) ||
        !snapshot_set(verification->snapshot, "last_day", last_day, err) ||
        !(result = snapshot_ask(verification->snapshot, verify_day_sql, err))) {
        PQclear(result);
        return error_wrap(err, "comparing %s to %s", first_day, last_day);
    }
    verification->found.days += last - first + 1;
    while (row >= 0 && row < PQntuples(result)) {
        row = take_day(verification, result, row, err);
    }
    PQclear(result);
    return row >= 0 || error_wrap(err, "comparing %s to %s", first_day, last_day);
}

/* The last row of the span that begins at row `first`: days of one year, about SNAPSHOT_SPAN_EVENTS events, none that is set aside.
 */
static int end_of_span(const PGresult *days, int first)
{
    int64_t events = answer_int(days, first, "events");
    int last = first;
    while (last + 1 < PQntuples(days) && answer_is_null(days, last + 1, "set_aside") &&
           strcmp(answer_text(days, last + 1, "span"), answer_text(days, first, "span")) == 0 &&
           (events += answer_int(days, last + 1, "events")) <= SNAPSHOT_SPAN_EVENTS) {
        last++;
    }
    return last;
}

static bool compare_days(struct verification *verification, const PGresult *days, struct error *err)
{
    for (int row = 0; row < PQntuples(days); row++) {
        if (!answer_is_null(days, row, "set_aside")) {
            set_aside(verification, answer_text(days, row, "day"), answer_text(days, row, "set_aside"));
            continue;
        }
        int last = end_of_span(days, row);
        if (!compare_span(verification, days, row, last, err)) {
            return false;
        }
        row = last;
    }
    return true;
}

static bool check_folded(struct verification *verification, struct error *err)
{
    PGresult *result = snapshot_ask(verification->snapshot, verify_folded_sql, err);
    if (!result) {
        return error_wrap(err, "checking how far the statistics have come");
    }
    for (int row = 0; row < PQntuples(result); row++) {
        struct finding finding = finding_of_row(result, row);
        verification->found.differences++;
        if (verification->as_json) {
            json_array_append_new(json_object_get(verification->json, "damages"), finding_json(&finding));
        } else {
            fputs("  DAMAGE  ", stdout);
            finding_print(&finding, stdout);
        }
    }
    PQclear(result);
    return true;
}

static bool count_pending(struct verification *verification, struct error *err)
{
    PGresult *result = snapshot_ask(verification->snapshot, verify_pending_sql, err);
    if (!result) {
        return error_wrap(err, "counting what the statistics have not taken in");
    }
    verification->found.pending_rows = answer_int(result, 0, "pending_rows");
    PQclear(result);
    return true;
}

static bool compare(struct verification *verification, const struct day_range *range, struct error *err)
{
    if (!snapshot_set(verification->snapshot, "first_day", range->first, err) ||
        !snapshot_set(verification->snapshot, "last_day", range->last, err) || !count_pending(verification, err) ||
        !check_folded(verification, err)) {
        return false;
    }
    PGresult *days = snapshot_ask(verification->snapshot, verify_days_sql, err);
    bool is_read = days && compare_days(verification, days, err) &&
                   snapshot_set(verification->snapshot, "first_day", range->first, err) &&
                   snapshot_set(verification->snapshot, "last_day", range->last, err);
    PQclear(days);
    is_read = is_read && verify_rollups(verification->snapshot, verification->as_json ? verification->json : NULL,
                                        &verification->found.rollups, err);
    verification->found.differences += verification->found.rollups.differences; /* also of those before a question that failed */
    /* Of the days asked for: what the rollups asked with may be others. */
    is_read = is_read && snapshot_set(verification->snapshot, "first_day", range->first, err) &&
              snapshot_set(verification->snapshot, "last_day", range->last, err) &&
              verify_uniques(verification->snapshot, verification->ranges, verification->as_json ? verification->json : NULL,
                             &verification->found.uniques, err);
    verification->found.differences += verification->found.uniques.differences;
    return is_read;
}

static int finish(const struct verification *verification, const struct settings *settings, const struct error *err)
{
    const enum proof proof = verify_verdict(&verification->found, verification->is_strict, err);
    const int exit_code = proof_exit_code(proof, err);
    if (!verification->as_json) {
        proof_print_next(proof, settings);
        verify_verdict_print(&verification->found, proof, err);
        return exit_code;
    }
    verify_verdict_add(&verification->found, verification->json);
    return proof_print_json(verification->json, proof, err) ? exit_code : 1;
}

static void leave_metrics(const struct verification *verification, int64_t began_us, int exit_code, struct error *err)
{
    const struct run_figure figures[] = {
        {"statistics_compared", "days whose statistics were compared", verification->found.days},
        {"statistics_set_aside", "days that were set aside, each by name in the answer", verification->found.days_aside},
        {"rollups_compared", "days and weeks of rollups that were compared", verification->found.rollups.compared},
        {"rollups_set_aside", "days and weeks of rollups that were set aside", verification->found.rollups.aside},
        {"rows_pending", "rows of these days that were not in the statistics yet", verification->found.pending_rows},
        {"differences", "differences that the last run found", verification->found.differences},
    };
    run_metrics_end(verification->metrics_path, "tallymill_verify", began_us, exit_code, figures,
                    sizeof figures / sizeof figures[0], err);
}

/* The arrays that all findings go into. */
static json_t *new_answer(struct error *err)
{
    json_t *answer = json_pack("{s:[], s:[], s:[], s:[], s:[]}", "set_aside", "differences", "damages", "rollups_set_aside",
                               "uniques_set_aside");
    if (!answer) {
        error_set(err, ERROR_RETRY, "out of memory");
    }
    return answer;
}

json_t *verify_range(struct snapshot *snapshot, const struct day_range *range, struct error *err)
{
    struct verification verification = {.snapshot = snapshot, .as_json = true, .json = new_answer(err)};
    if (verification.json) {
        compare(&verification, range, err);
        json_object_set_new(verification.json, "pending_rows", json_integer(verification.found.pending_rows));
    }
    return verification.json;
}

json_t *verify_from(struct snapshot *snapshot, const char *first_day, struct error *err)
{
    struct day_range range = {{0}, {0}};
    snprintf(range.first, sizeof range.first, "%s", first_day);
    return verify_range(snapshot, &range, err);
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct verification *verification = context;
    const int64_t began_us = clock_now_us();
    struct day_range range = {{0}, {0}};
    int exit_code = 0;
    if (command->argument_count > 1) {
        error_set(err, ERROR_USAGE, "%s: verify takes one day or one range of days", command->arguments[1]);
    } else if (command->check) {
        exit_code = command->argument_count == 0 || day_range_parse(command->arguments[0], &range, err)
                        ? ground_check(command->settings, &(struct ground){.program = "tallymill verify", .role = "tallymill_read"})
                        : 0;
    } else if ((verification->json = new_answer(err)) != NULL &&
               (command->argument_count == 0 || day_range_parse(command->arguments[0], &range, err)) &&
               (verification->snapshot = snapshot_open_whole(command->settings, "tallymill verify", err)) != NULL) {
        compare(verification, &range, err);
    }
    if (!command->check && verification->json && proof_is_said(err, verification->found.differences)) {
        exit_code = finish(verification, command->settings, err);
    }
    if (!command->check) {
        leave_metrics(verification, began_us, exit_code, err);
    }
    json_decref(verification->json);
    snapshot_close(verification->snapshot);
    return exit_code;
}

static const struct cli verify_cli = {
    .program = "tallymill verify",
    .usage = "[OPTION ...] [DAY | FIRST..LAST]",
    .summary = "Compares analytics_daily_stats with the raw events, day by day, each rollup with its own query over them, and "
               "analytics_daily_uniques with the "
               "statistics, in one snapshot; all days unless told which (UTC).\n"
               "What waits (a day for its rebuild, a rollup for its cadence) is set aside by name.\n"
               "Needs a login with tallymill_read.\n",
    .examples = "  tallymill verify --config settings.ini\n  tallymill verify --config settings.ini 2026-11-01..2026-11-24\n"
                "  tallymill verify --config settings.ini --strict ..2026-11-23\n"
                "  tallymill verify --config settings.ini --ranges 200\n",
    .exit_codes = "0 all that was compared is equal; 1 differences, each named, or with --strict something set aside;\n"
                  "2 usage, settings or schema; 3 needs a person; 4 not proven: a server did not answer.\n"
                  "--json says the same as verdict: ok, damaged, set aside, not proven.",
    .programs = FOR_OPERATOR,
};

static bool read_ranges(void *context, const char *text, struct error *err)
{
    static const struct setting ranges = {.key = "--ranges", .type = SETTING_COUNT, .min = 0, .max = 1000000};
    return settings_value_parse(&ranges, text, context, err) || error_wrap(err, "--ranges");
}

int verify_run(int argc, char **argv)
{
    struct verification verification = {0};
    const struct cli_option options[] = {
        {.name = "strict",
         .help = "exit code 1 too where something is set aside, or rows of these days are not in the statistics yet",
         .flag = &verification.is_strict},
        {.name = "ranges",
         .argument = "N",
         .help = "compare so many random ranges of analytics_daily_uniques with the raw events",
         .each = read_ranges,
         .context = &verification.ranges},
        {.name = "json", .help = "answer with one JSON object", .flag = &verification.as_json},
        {.name = "metrics", .argument = "FILE", .help = RUN_METRICS_HELP, .value = &verification.metrics_path},
        {.name = NULL},
    };
    struct cli cli = verify_cli;
    cli.options = options;
    return command_work(&cli, argc, argv, work, &verification);
}
