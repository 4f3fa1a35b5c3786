/* verify.c - `tallymill verify`: the daily statistics against the plan's own query over the raw events, then the rollups against
 * theirs.
 *
 * The statistics run about a second behind the rows, so the question is only fair within one snapshot and over the batches that
 * `folded` says were taken in. A day that is known to wait makes no promise and is set aside by name, never in silence: one that is
 * marked for a rebuild, one whose month is archived, one with rows of another program that were not seen yet. The days are compared
 * one by one: a single query over all of them would sort the whole table three times at once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "answer.h"
#include "cli.h"
#include "command.h"
#include "day_range.h"
#include "finding.h"
#include "settings.h"
#include "snapshot.h"
#include "terminal.h"
#include "verify_rollups.h"

extern const char verify_days_sql[], verify_day_sql[], verify_folded_sql[], verify_foreign_sql[], status_statistics_sql[];

struct verification {
    struct snapshot *snapshot;
    bool as_json;
    int64_t days, days_aside, differences;
    struct rollups_verdict rollups;
    int64_t pending_rows; /* stored, but beyond `folded`: not compared */
    json_t *json;         /* set_aside, differences, damages */
};

/* A day that is not compared, and why. */
static void set_aside(struct verification *verification, const char *day, const char *reason)
{
    verification->days_aside++;
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
    verification->differences++;
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
    *waits = is_unseen && !answer_bool(foreign, 0, "is_closed");
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

static bool compare_day(struct verification *verification, const char *day, struct error *err)
{
    bool waits = false;
    if (!snapshot_set(verification->snapshot, "day", day, err)) {
        return false;
    }
    PGresult *result = snapshot_ask(verification->snapshot, verify_day_sql, err);
    if (!result || (PQntuples(result) > 0 && !waits_for_foreign(verification, day, &waits, err))) {
        PQclear(result);
        return error_wrap(err, "comparing %s", day);
    }
    if (!waits) {
        verification->days++;
        for (int row = 0; row < PQntuples(result); row++) {
            add_difference(verification, day, result, row);
        }
    }
    PQclear(result);
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
        verification->differences++;
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
    PGresult *result = snapshot_ask(verification->snapshot, status_statistics_sql, err);
    if (!result) {
        return error_wrap(err, "counting what the statistics have not taken in");
    }
    verification->pending_rows = answer_int(result, 0, "pending_rows");
    PQclear(result);
    return true;
}

static bool compare(struct verification *verification, const struct day_range *range, struct error *err)
{
    if (!count_pending(verification, err) || !check_folded(verification, err) ||
        !snapshot_set(verification->snapshot, "first_day", range->first, err) ||
        !snapshot_set(verification->snapshot, "last_day", range->last, err)) {
        return false;
    }
    PGresult *days = snapshot_ask(verification->snapshot, verify_days_sql, err);
    bool is_read = days != NULL;
    for (int row = 0; is_read && row < PQntuples(days); row++) {
        const char *day = answer_text(days, row, "day");
        if (answer_is_null(days, row, "set_aside")) {
            is_read = compare_day(verification, day, err);
        } else {
            set_aside(verification, day, answer_text(days, row, "set_aside"));
        }
    }
    PQclear(days);
    is_read = is_read && verify_rollups(verification->snapshot, verification->as_json ? verification->json : NULL,
                                        &verification->rollups, err);
    verification->differences += verification->rollups.differences;
    return is_read;
}

static int finish(const struct verification *verification)
{
    const char *verdict = verification->differences > 0 ? "damaged" : "ok";
    char number[TERMINAL_NUMBER_BYTES];
    int exit_code = verification->differences > 0 ? 1 : 0;
    if (verification->as_json) {
        json_object_set_new(verification->json, "days", json_integer(verification->days));
        json_object_set_new(verification->json, "pending_rows", json_integer(verification->pending_rows));
        json_object_set_new(verification->json, "rollups",
                            json_pack("{s:I, s:I}", "compared", (json_int_t)verification->rollups.compared, "set_aside",
                                      (json_int_t)verification->rollups.aside));
        json_object_set_new(verification->json, "verdict", json_string(verdict));
        return answer_print(verification->json) ? exit_code : 1;
    }
    if (verification->differences > 0) {
        printf("DAMAGED: %" PRId64 " differences, each named above.\n", verification->differences);
        return exit_code;
    }
    printf("OK: the statistics of %" PRId64 " days equal the raw events", verification->days);
    if (verification->rollups.compared > 0) {
        printf(", and rollups their queries (%" PRId64 " compared)", verification->rollups.compared);
    }
    if (verification->days_aside > 0) {
        printf("; %" PRId64 " days are set aside, named above", verification->days_aside);
    }
    if (verification->rollups.aside > 0) {
        printf("; %" PRId64 " rollups of a day or week are set aside", verification->rollups.aside);
    }
    if (verification->pending_rows > 0) {
        printf("; %s newer rows are not in the statistics yet and were not compared",
               terminal_number(number, verification->pending_rows));
    }
    fputs(".\n", stdout);
    return exit_code;
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct verification *verification = context;
    struct day_range range = {{0}, {0}};
    int exit_code = 0;
    if (command->argument_count > 1) {
        error_set(err, ERROR_USAGE, "%s: verify takes one day or one range of days", command->arguments[1]);
    } else if (!(verification->json =
                     json_pack("{s:[], s:[], s:[], s:[]}", "set_aside", "differences", "damages", "rollups_set_aside"))) {
        error_set(err, ERROR_RETRY, "out of memory");
    } else if ((command->argument_count == 0 || day_range_parse(command->arguments[0], &range, err)) &&
               (verification->snapshot = snapshot_open(command->settings, "tallymill verify", err)) != NULL) {
        if (command->check) {
            puts("settings, server and schema are in order");
        } else if (compare(verification, &range, err)) {
            exit_code = finish(verification);
        }
    }
    json_decref(verification->json);
    snapshot_close(verification->snapshot);
    return exit_code;
}

static const struct cli verify_cli = {
    .program = "tallymill verify",
    .usage = "[OPTION ...] [DAY | FIRST..LAST]",
    .summary =
        "Compares analytics_daily_stats with the raw events, day by day, and each rollup with its own query over them, in one "
        "snapshot;all days unless told which (UTC).\n"
        "Days that wait for a rebuild are set aside by name. Exit code 0: all equal. 1: differences, each named.\n"
        "Needs a login with tallymill_read.\n",
    .examples = "  tallymill verify --config settings.ini\n  tallymill verify --config settings.ini 2026-11-01..2026-11-24\n",
    .programs = FOR_OPERATOR,
};

int verify_run(int argc, char **argv)
{
    struct verification verification = {0};
    const struct cli_option options[] = {
        {.name = "json", .help = "answer with one JSON object", .flag = &verification.as_json},
        {.name = NULL},
    };
    struct cli cli = verify_cli;
    cli.options = options;
    return command_work(&cli, argc, argv, work, &verification);
}
