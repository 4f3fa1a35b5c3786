/* main.c - tallymill-consumer: wires the worker to its command line and to systemd. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "error.h"
#include "log.h"
#include "service.h"
#include "settings.h"
#include "worker.h"

/* librdkafka's close can hang (known up to current releases). By then all is committed or dropped, so leaving without it loses
 * nothing. */
static void *leave_anyway(void *exit_code)
{
    const struct timespec limit = {5, 0};
    nanosleep(&limit, NULL);
    log_warn("closing took longer than 5 s, leaving without it", NULL);
    _exit(*(int *)exit_code);
}

int main(int argc, char **argv)
{
    bool until_end = false, leave = false;
    const struct cli_option options[] = {
        {.name = "until-end",
         .help = "stop once all that was in the topic at the start is in the ledger, whoever stored it",
         .flag = &until_end},
        {.name = "leave", .help = "when stopping, give the topic partitions up at once (for scaling in)", .flag = &leave},
        {.name = NULL},
    };
    const struct cli cli = {
        .program = "tallymill-consumer",
        .usage = "[OPTION ...]",
        .summary = "Stores the events of a Kafka topic in Postgres, each acknowledged event exactly once.\n"
                   "Run as many as there are topic partitions, on any number of hosts; give each its own consumer.instance.",
        .examples = "  tallymill-consumer --config /etc/tallymill/tallymill.ini --set consumer.instance=host1-1\n"
                    "  tallymill-consumer --config .stack/settings.ini --until-end\n",
        .options = options,
        .programs = FOR_CONSUMER,
    };
    struct cli_result command;
    static int exit_code;
    if (!cli_start(&cli, argc, argv, &command, &exit_code))
        return exit_code;
    struct error err;
    error_clear(&err);
    if (command.argument_count > 0) {
        error_set(&err, ERROR_USAGE, "unexpected argument \"%s\"; see --help", command.arguments[0]);
        return cli_fail(&cli, &err);
    }
    if (!service_open(&err))
        return cli_fail(&cli, &err);
    if (command.check) {
        exit_code = worker_check(command.settings, &err) ? 0 : cli_fail(&cli, &err);
    } else {
        struct worker *worker = worker_open(command.settings, until_end, &err);
        exit_code = worker && worker_run(worker, &err) ? 0 : cli_fail(&cli, &err);
        pthread_t guard;
        service_stopping();
        if (pthread_create(&guard, NULL, leave_anyway, &exit_code) == 0)
            pthread_detach(guard);
        worker_close(worker, leave);
    }
    service_close();
    settings_free(command.settings);
    return exit_code;
}
