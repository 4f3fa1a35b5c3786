/* cli.h - the command line that all programs share: --config, --set, --check, --print-settings, --version, --help.
 *
 * cli_start() does it all: it reads the options, loads the settings, sets the log level, and answers --help, --version and
 * --print-settings itself. Data goes to stdout, talk to stderr. Main thread, once.
 */
#ifndef TALLYMILL_COMMON_CLI_H
#define TALLYMILL_COMMON_CLI_H

#include <stdbool.h>
#include <stddef.h>

struct error;
struct settings;

struct cli_option {
    const char *name;     /* "until-end": a long option; NULL ends the list */
    const char *argument; /* "N" in the help; NULL for a flag */
    const char *help;     /* one line */
    bool *flag;           /* set to true when given (flags) */
    const char **value;   /* set to the argument (points into argv); the last one wins */
    bool (*each)(void *context, const char *value, struct error *err); /* instead of value: called for each use, may refuse */
    void *context;
};

struct cli {
    const char *program;              /* "tallymill-consumer" */
    const char *usage;                /* what stands behind the name in the usage line: "[OPTION ...] [FILE ...]" */
    const char *summary;              /* what the program does, a few lines */
    const char *examples;             /* lines for the end of --help, or NULL */
    const char *exit_codes;           /* what the exit codes say, where they say more than all programs' do; else NULL */
    const struct cli_option *options; /* the program's own options */
    unsigned programs;                /* setting_program bits: which settings --help and --print-settings show */
};

struct cli_result {
    struct settings *settings; /* owned by the caller (settings_free) */
    bool check;                /* --check: the program tests settings, servers and schema, says the result, and stops */
    char **arguments;          /* what is no option, in order; points into argv; valid until the process ends */
    int argument_count;
};

/* True: go on. False: stop with *exit_code (0 after --help, 2 after a mistake, which has been told on stderr). */
bool cli_start(const struct cli *cli, int argc, char **argv, struct cli_result *result, int *exit_code);

/* The last call of main(): what was printed on stdout is written out. Returns the exit code; 1 instead of 0, told on stderr, where any of
 * it could not be written (a full disk, a closed pipe): half an answer with exit code 0 would pass for a whole one. */
int cli_end_output(const struct cli *cli, int exit_code);

/* For errors that main() ends with: writes "PROGRAM: TEXT" to stderr and returns error_exit_code(). */
int cli_fail(const struct cli *cli, const struct error *err);

#endif
