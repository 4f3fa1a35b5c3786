/* rebuild.c - `tallymill rebuild`: asks the aggregator to make the statistics of days anew, and waits for it.
 *
 * The days go through the queue in tallymill.days, a week at a time, so that the aggregator goes on with live events and with other
 * days that wait, inside its budget; whoever interrupts this command leaves at most a week in the queue, which is then rebuilt all
 * the same. Invariant: a day that is reported as done was rebuilt in a snapshot taken after this command asked for it. Rejected:
 * rebuilding here, beside the aggregator: it would have to take the leadership away, for one snapshot must hold the statistics
 * and `folded`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/array_text.h"
#include "common/cli.h"
#include "common/clock.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/command.h"
#include "operator/day_queue.h"
#include "operator/day_range.h"
#include "operator/ground.h"
#include "operator/snapshot.h"
#include "operator/terminal.h"

extern const char verify_days_sql[];

enum { STEP_DAYS = 7 };

static const int64_t CONNECT_US = 10 * CLOCK_SECOND_US;

struct rebuild {
    PGconn *conn;
    bool is_unwaited; /* --no-wait */
    PGresult *days;
    int count, done, aside; /* days to rebuild, rebuilt, set aside */
    int step_done;          /* of the step that is waited for */
    int *rows;              /* the rows of `days` that are to be rebuilt */
};

static const char *day_at(const struct rebuild *rebuild, int number)
{
    return answer_text(rebuild->days, rebuild->rows[number], "day");
}

/* The days of the range that have events or statistics; one of a month that is not attached keeps the statistics it has. */
static bool list_days(struct rebuild *rebuild, const struct settings *settings, const struct day_range *range, struct error *err)
{
    struct snapshot *snapshot = snapshot_open(settings, "tallymill rebuild", err);
    bool is_read = snapshot && snapshot_set(snapshot, "first_day", range->first, err) &&
                   snapshot_set(snapshot, "last_day", range->last, err) &&
                   (rebuild->days = snapshot_ask(snapshot, verify_days_sql, err)) != NULL;
    snapshot_close(snapshot);
    if (!is_read)
        return false;
    rebuild->rows = calloc((size_t)PQntuples(rebuild->days) + 1, sizeof *rebuild->rows);
    if (!rebuild->rows)
        return error_set(err, ERROR_RETRY, "no memory for %d days", PQntuples(rebuild->days));
    for (int row = 0; row < PQntuples(rebuild->days); row++) {
        if (answer_bool(rebuild->days, row, "is_attached")) {
            rebuild->rows[rebuild->count++] = row;
            continue;
        }
        rebuild->aside++;
        printf("  aside   %s: ", answer_text(rebuild->days, row, "day"));
        terminal_text(stdout, answer_text(rebuild->days, row, "set_aside"));
        fputc('\n', stdout);
    }
    return true;
}

static void show_progress(const struct rebuild *rebuild, int done)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rrebuilt %d of %d days%s", done, rebuild->count, done == rebuild->count ? "\n" : " ");
}

/* The next step's days as an array, and their number; 0: no memory. */
static int step_days(const struct rebuild *rebuild, struct array_text *days)
{
    int count = 0;
    array_text_begin(days);
    for (; count < STEP_DAYS && rebuild->done + count < rebuild->count; count++)
        array_text_add(days, day_at(rebuild, rebuild->done + count), strlen(day_at(rebuild, rebuild->done + count)));
    return array_text_end(days) ? count : 0;
}

static void look(void *context, int done)
{
    struct rebuild *rebuild = context;
    rebuild->step_done = done;
    show_progress(rebuild, rebuild->done + done);
}

static bool wait_for_step(struct rebuild *rebuild, const char *days, int count, struct error *err)
{
    char rest[160];
    rebuild->step_done = 0;
    if (day_queue_wait(rebuild->conn, days, count, DAY_QUEUE_LEADERLESS_US, look, rebuild, err))
        return true;
    snprintf(rest, sizeof rest, ", from %s on; %d of %d days are rebuilt", day_at(rebuild, rebuild->done),
             rebuild->done + rebuild->step_done, rebuild->count);
    strncat(err->text, rest, sizeof err->text - strlen(err->text) - 1);
    return false;
}

static bool mark_step(struct rebuild *rebuild, int count, struct error *err)
{
    for (int i = 0; i < count; i++) {
        if (!day_queue_ask(rebuild->conn, day_at(rebuild, rebuild->done + i), err))
            return false;
    }
    return true;
}

static bool rebuild_days(struct rebuild *rebuild, struct error *err)
{
    struct array_text days = {0};
    bool succeeded = true;
    while (succeeded && rebuild->done < rebuild->count) { /* ends: each turn does a step */
        const int count = step_days(rebuild, &days);
        succeeded = count > 0
                        ? mark_step(rebuild, count, err) && (rebuild->is_unwaited || wait_for_step(rebuild, days.bytes, count, err))
                        : error_set(err, ERROR_RETRY, "out of memory");
        rebuild->done += succeeded ? count : 0;
    }
    array_text_free(&days);
    return succeeded;
}

static void tell(const struct rebuild *rebuild)
{
    if (rebuild->count == 0)
        printf("no day there has events or statistics that can be rebuilt");
    else
        printf("%d days %s, %s to %s", rebuild->count, rebuild->is_unwaited ? "wait for their rebuild" : "rebuilt",
               day_at(rebuild, 0), day_at(rebuild, rebuild->count - 1));
    printf(rebuild->aside > 0 ? "; %d set aside\n" : "\n", rebuild->aside);
}

static bool run(struct rebuild *rebuild, const struct settings *settings, const struct day_range *range, struct error *err)
{
    rebuild->conn = postgres_open(settings_text(settings, "postgres.dsn"), "tallymill rebuild", CONNECT_US, err);
    if (!rebuild->conn || !postgres_check_schema(rebuild->conn, err))
        return false;
    if (!list_days(rebuild, settings, range, err) || !rebuild_days(rebuild, err))
        return false;
    tell(rebuild);
    return true;
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct rebuild *rebuild = context;
    struct day_range range = {{0}, {0}};
    int exit_code = 0;
    if (command->argument_count != 1 && !command->check)
        error_set(err, ERROR_USAGE, "which days? tallymill rebuild FIRST..LAST, as 2026-11-01..2026-11-24");
    else if (command->argument_count > 0 && !day_range_parse(command->arguments[0], &range, err))
        exit_code = 2;
    else if (command->check)
        exit_code =
            ground_check(command->settings, &(struct ground){.program = "tallymill rebuild", .role = "tallymill_aggregate"});
    else
        run(rebuild, command->settings, &range, err);
    PQclear(rebuild->days);
    PQfinish(rebuild->conn);
    free(rebuild->rows);
    return exit_code;
}

int rebuild_run(int argc, char **argv)
{
    struct rebuild rebuild = {0};
    const struct cli_option options[] = {
        {.name = "no-wait", .help = "leave the days to the aggregator and return at once", .flag = &rebuild.is_unwaited},
        {.name = NULL},
    };
    const struct cli cli = {
        .program = "tallymill rebuild",
        .usage = "[OPTION ...] DAY | FIRST..LAST",
        .summary =
            "Makes the statistics of UTC days anew from their rows, beside live events: after rows were changed or deleted by\n"
            "hand, say. The leading aggregator does it, a week of days at a time. Days of archived months are set aside by\n"
            "name. Needs a login with tallymill_aggregate.\n",
        .examples = "  tallymill rebuild --config settings.ini 2026-11-24\n"
                    "  tallymill rebuild --config settings.ini 2026-01-01..2026-06-30\n",
        .options = options,
        .programs = FOR_OPERATOR,
    };
    return command_work(&cli, argc, argv, work, &rebuild);
}
