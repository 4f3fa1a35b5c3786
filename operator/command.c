/* command.c - see command.h. */
#include "operator/command.h"

#include <stddef.h>
#include <string.h>

#include "common/cli.h"
#include "common/error.h"
#include "common/nearest.h"
#include "common/settings.h"

const struct command commands[] = {
    {"migrate", "make or update the schema, the topic and the months ahead; safe to repeat", migrate_run},
    {"status", "lag, owners, rows, dead letters, and how fresh the statistics are", status_run},
    {"lag", "offsets and seconds that each topic partition is behind", lag_run},
    {"top", "a live view of rates, lag, statistics and dead letters", top_run},
    {"doctor", "look at everything that is known to go wrong, and say what mends it", doctor_run},
    {"audit", "prove that every event is stored once, or name what is missing", audit_run},
    {"verify", "compare the daily statistics with the raw events", verify_run},
    {"rebuild", "make the statistics of days anew from their rows, beside live events", rebuild_run},
    {"dlq", "look at dead letters, send them again after a fix, or settle them for good", dlq_run},
    {"reset", "give up what a topic partition has not stored, as a gap", reset_run},
    {"topic", "close the books of a topic that is over, or begin new ones for a topic that was made anew", topic_run},
    {"adopt", "take an existing analytics_events over, beside the application that writes it", adopt_run},
    {"advise", "say by the plan's thresholds what the table needs next, with reason and statements", advise_run},
    {"months", "list the months: where they are, how large, which are due for the archive", months_run},
    {"archive", "take old months out, proven in a store before they are dropped", archive_run},
    {"restore", "bring an archived month back", restore_run},
    {"refresh", "refresh the materialized views of the plan's Phase 2", refresh_run},
    {"export", "events, daily statistics or a rollup as CSV or NDJSON, of one moment", export_run},
#ifdef TALLYMILL_DASHBOARD
    {"dashboard", "serve the page with the statistics and the state of the pipeline", dashboard_run},
#endif
    {"erase", "take away what is kept of a user or a session, with a receipt", erase_run},
    {NULL, NULL, NULL},
};

enum { COMMANDS_MAX = sizeof commands / sizeof commands[0] };

const struct command *command_find(const char *name)
{
    for (const struct command *command = commands; command->name; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}

const char *command_nearest(const char *typed)
{
    const char *names[COMMANDS_MAX];
    size_t count = 0;
    for (; commands[count].name; count++) {
        names[count] = commands[count].name;
    }
    return nearest_word(typed, names, count);
}

int command_place(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "--set") == 0) {
            i++; /* its argument */
        } else if (argv[i][0] != '-') {
            return i;
        }
    }
    return 0;
}

int command_work(const struct cli *cli, int argc, char **argv,
                 int (*work)(void *context, const struct cli_result *command, struct error *err), void *context)
{
    struct cli_result command = {0};
    struct error err = {0};
    int exit_code = 0;
    if (!cli_start(cli, argc, argv, &command, &exit_code)) {
        return exit_code;
    }
    exit_code = work(context, &command, &err);
    if (err.kind != ERROR_NONE) {
        const int failed = cli_fail(cli, &err);
        exit_code = exit_code != 0 ? exit_code : failed;
    }
    settings_free(command.settings);
    return cli_end_output(cli, exit_code);
}

void command_to_front(char **argv, int place)
{
    char *command = argv[place];
    memmove(&argv[2], &argv[1], (size_t)(place - 1) * sizeof *argv);
    argv[1] = command;
}
