/* cli_man.h - a program's manual page, from the tables that its --help is made of: mdoc(7), clean by `mandoc -T lint`. Main thread.
 */
#ifndef TALLYMILL_COMMON_CLI_MAN_H
#define TALLYMILL_COMMON_CLI_MAN_H

#include <stdio.h>

struct cli;
struct cli_option;

/* `common` are the options of every program. The date is that of SOURCE_DATE_EPOCH, else today's. */
void cli_man_write(FILE *out, const struct cli *cli, const struct cli_option *common);

/* What --help and the page say where a program has no exit codes of its own. */
extern const char cli_exit_codes[];

#endif
