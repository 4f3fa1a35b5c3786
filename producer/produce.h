/* produce.h - what a user of tallymill-produce asked for: the command line, read and checked. */
#ifndef TALLYMILL_PRODUCER_PRODUCE_H
#define TALLYMILL_PRODUCER_PRODUCE_H

#include <stdbool.h>

#include "common/cli.h"
#include "producer/generate/generator.h"
#include "producer/import/import.h"
#include "producer/sender.h"

struct columns;
struct error;
struct settings;

struct produce {
    struct settings *settings; /* owned */
    struct columns *columns;   /* owned */
    struct import_plan import; /* what to import: "-" alone where nothing was named; without its resume */
    bool is_generating;
    struct generator_plan plan;
    struct sender_pace pace;
    const char *config; /* as it was named, for the command that --guess prints; or NULL */
    const char *ack_log, *reject_file, *resume_file;
    bool wants_check, wants_json, is_dry_run, is_guessing, has_format;
};

/* The program's command line: name, usage and examples, for cli_fail. Its options are filled in by produce_read. */
extern struct cli produce_cli;

/* False: stop with *exit_code. produce_reset in either case. */
bool produce_read(struct produce *produce, int argc, char **argv, int *exit_code);
void produce_reset(struct produce *produce);

#endif
