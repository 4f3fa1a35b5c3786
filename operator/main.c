/* main.c - `tallymill COMMAND`: finds the command and runs it.
 *
 * What is no command's business (--help, --version, --print-settings alone) goes through cli_start(), as in every program.
 */
#include <stdio.h>

#include "common/cli.h"
#include "common/descriptors.h"
#include "common/error.h"
#include "common/settings.h"
#include "operator/command.h"

/* The commands and their summaries, as --help shows them. */
static const char *summary_text(char *buffer, size_t size)
{
    int used = snprintf(
        buffer, size, "Runs and checks a Tallymill pipeline: events from Kafka in Postgres, with daily statistics.\n\nCommands:\n");
    for (const struct command *command = commands; command->name && used > 0 && (size_t)used < size; command++) {
        used += snprintf(buffer + used, size - (size_t)used, "  %-9s %s\n", command->name, command->summary);
    }
    return buffer;
}

/* No command was named: answer --help and its like, or say what is missing. */
static int run_without_command(int argc, char **argv)
{
    char summary[4096];
    const struct cli cli = {
        .program = "tallymill",
        .usage = "COMMAND [OPTION ...]",
        .summary = summary_text(summary, sizeof summary),
        .examples = "  tallymill migrate --config settings.ini\n"
                    "  tallymill audit --config settings.ini && echo nothing is lost\n"
                    "  tallymill COMMAND --help   tells more about a command\n",
        .programs = FOR_OPERATOR,
    };
    struct cli_result result = {0};
    struct error err = {0};
    int exit_code = 0;
    if (!cli_start(&cli, argc, argv, &result, &exit_code)) {
        return exit_code;
    }
    settings_free(result.settings);
    error_set(&err, ERROR_USAGE, "which command? tallymill --help lists them");
    return cli_fail(&cli, &err);
}

int main(int argc, char **argv)
{
    descriptors_fill();
    int place = command_place(argc, argv);
    if (place == 0) {
        return run_without_command(argc, argv);
    }
    const struct command *command = command_find(argv[place]);
    if (!command) {
        const char *nearest = command_nearest(argv[place]);
        fprintf(stderr, "tallymill: unknown command %s%s%s; tallymill --help lists them\n", argv[place],
                nearest ? ", did you mean " : "", nearest ? nearest : "");
        return 2;
    }
    command_to_front(argv, place);
    return command->run(argc - 1, argv + 1);
}
