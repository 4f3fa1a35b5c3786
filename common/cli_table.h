/* cli_table.h - what a program says of its command line: the one table that parsing, --help and the manual page are made of. */
#ifndef TALLYMILL_COMMON_CLI_TABLE_H
#define TALLYMILL_COMMON_CLI_TABLE_H

#include <stdbool.h>

struct error;

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

#endif
