/* command.h - the commands of `tallymill`, and which of them a command line means.
 *
 * Each command is a file of its own with its own --help. A command gets argv with its name in argv[0] and returns the exit code.
 */
#ifndef TALLYMILL_OPERATOR_COMMAND_H
#define TALLYMILL_OPERATOR_COMMAND_H

#include <stdbool.h>

struct cli;
struct cli_result;
struct error;

struct command {
    const char *name;
    const char *summary; /* one line of `tallymill --help` */
    int (*run)(int argc, char **argv);
};

int migrate_run(int argc, char **argv);
int status_run(int argc, char **argv);
int audit_run(int argc, char **argv);
int verify_run(int argc, char **argv);
int dlq_run(int argc, char **argv);
int rebuild_run(int argc, char **argv);
int reset_run(int argc, char **argv);
int refresh_run(int argc, char **argv);
int topic_run(int argc, char **argv);
int doctor_run(int argc, char **argv);
int lag_run(int argc, char **argv);
int top_run(int argc, char **argv);
int export_run(int argc, char **argv);
int erase_run(int argc, char **argv);
int dashboard_run(int argc, char **argv); /* not in a build without the dashboard */
int advise_run(int argc, char **argv);
int adopt_run(int argc, char **argv);
int months_run(int argc, char **argv);
int archive_run(int argc, char **argv);
int restore_run(int argc, char **argv);

/* All commands, ended by a NULL name. */
extern const struct command commands[];

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

/* The name nearest to what was typed, or NULL when none is near. */
const char *command_nearest(const char *typed);

/* The place of the command in argv: the first word that is no option and no option's argument (of --config and --set, which
 * all commands share, so that `tallymill --config FILE status` works too). 0: there is none. */
int command_place(int argc, char **argv);

/* What all commands have in common: reads options and settings as `cli` says, runs `work`, and tells its error, if it set one, on
 * stderr. `work` gets the context, and answers with the exit code, where 0 beside an error means: the error's own. Returns the exit
 * code; 1 instead of 0 where the answer could not be written to stdout. */
int command_work(const struct cli *cli, int argc, char **argv,
                 int (*work)(void *context, const struct cli_result *command, struct error *err), void *context);

/* Moves argv[place] to argv[1]; the others keep their order. */
void command_to_front(char **argv, int place);

#endif
