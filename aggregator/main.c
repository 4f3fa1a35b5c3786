/* main.c - tallymill-aggregator: reads the command line and the settings, and runs the service.
 */
#include "aggregator/aggregator.h"

#include <malloc.h>

#include "common/cli.h"
#include "common/descriptors.h"
#include "common/error.h"
#include "common/log.h"
#include "common/service.h"
#include "common/settings.h"

static const struct cli cli = {
    .program = "tallymill-aggregator",
    .usage = "[--once]",
    .summary = "Keeps analytics_daily_stats exact, about a second behind the rows; closes days and makes months ahead.\n"
               "Start as many as you like: one leads, the others stand by.",
    .examples = "  tallymill-aggregator --config /etc/tallymill/tallymill.ini\n"
                "  tallymill-aggregator --once --set 'postgres.dsn=dbname=tallymill'\n",
    .programs = FOR_AGGREGATOR,
};

/* Memory of sets and keys goes back to the system when it is freed. Left to itself, glibc takes ever larger blocks from its heap
 * once it has freed one, and keeps what lies below the last of them: memory.max would hold for each, and not for one after the
 * other. */
enum { MMAP_BYTES = 1 << 20 };

int main(int argc, char **argv)
{
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    descriptors_fill();
    bool once = false;
    const struct cli_option options[] = {
        {.name = "once", .help = "take in what is committed, close what is due, and stop", .flag = &once},
        {.name = NULL},
    };
    struct cli with_options = cli;
    with_options.options = options;
    struct cli_result parsed;
    struct error err = {0};
    int exit_code;
    if (!cli_start(&with_options, argc, argv, &parsed, &exit_code))
        return exit_code;
    exit_code = 0;
    if (parsed.argument_count > 0)
        error_set(&err, ERROR_USAGE, "unexpected argument: %s (options begin with --; see --help)", parsed.arguments[0]);
    else if (parsed.check)
        exit_code = aggregator_check(parsed.settings);
    else if (service_open(&err)) {
        service_log_start(parsed.settings, "");
        error_ignore(aggregator_run(parsed.settings, once, &err)); /* err says how it ended */
        service_log_stop(&err);
        service_close();
    }
    if (err.kind != ERROR_NONE)
        exit_code = cli_fail(&cli, &err);
    settings_free(parsed.settings);
    return cli_end_output(&cli, exit_code);
}
