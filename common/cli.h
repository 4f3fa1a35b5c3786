/* cli.h - the command line that all programs share: --config, --set, --check, --print-settings, --version, --help, --man.
 *
 * cli_start() does it all: it reads the options, loads the settings, sets the log level, and answers --help, --man, --version
 * and --print-settings itself. Data goes to stdout, talk to stderr. Main thread, once.
 */
#ifndef TALLYMILL_COMMON_CLI_H
#define TALLYMILL_COMMON_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "common/cli_table.h"

#include "common/error.h"

struct settings;

struct cli_result {
    struct settings *settings; /* owned by the caller (settings_free) */
    bool check;                /* --check: the program tests settings, servers and schema, says the result, and stops */
    char **arguments;          /* what is no option, in order; points into argv; valid until the process ends */
    int argument_count;
};

/* True: go on. False: stop with *exit_code (0 after --help, 2 after a mistake, which has been told on stderr). */
bool cli_start(const struct cli *cli, int argc, char **argv, struct cli_result *result, int *exit_code);

/* The last call of main(): what was printed on stdout is written out. Returns the exit code; 1 instead of 0, told on stderr, where
 * any of it could not be written (a full disk, a closed pipe): half an answer with exit code 0 would pass for a whole one. */
int cli_end_output(const struct cli *cli, int exit_code);

/* For errors that main() ends with: writes "PROGRAM: TEXT" to stderr and returns error_exit_code(). */
MUST_CHECK int cli_fail(const struct cli *cli, const struct error *err);

#endif
