/* main.c - tallymill-consumer: wires the worker to its command line and to systemd. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/descriptors.h"
#include "common/error.h"
#include "common/log.h"
#include "common/service.h"
#include "common/settings.h"
#include "common/settings_value.h"
#include "consumer/leave.h"
#include "consumer/malloc_tuning.h"
#include "consumer/spill.h"
#include "consumer/worker.h"

enum { CLOSE_SECONDS = 5, CHECK_SECONDS = 60 };

static int exit_code;

/* When and how it stops, as the command line says. */
struct stop {
    bool until_end, leave;
    const char *deadline; /* NULL: not given */
};

struct guard {
    int seconds;
    int *exit_code;
};

/* librdkafka's threads can hang at their end (known up to current releases). By then all is committed or dropped, so leaving
 * without them loses nothing. */
static void *leave_anyway(void *context)
{
    const struct guard *guard = context;
    const struct timespec limit = {guard->seconds, 0};
    nanosleep(&limit, NULL);
    log_warn("closing took too long, leaving without it", "limit_s=%d", guard->seconds);
    _exit(*guard->exit_code);
}

static void start_guard(struct guard *guard)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, leave_anyway, guard) == 0)
        pthread_detach(thread);
}

/* How long --until-end may take; 0 without it. */
static bool read_deadline(bool until_end, const char *text, int64_t *until_end_us, struct error *err)
{
    static const struct setting deadline = {"--deadline", SETTING_DURATION, "20 min", CLOCK_SECOND_US, 365 * CLOCK_DAY_US,
                                            NULL,         FOR_CONSUMER,     ""};
    if (text && !until_end)
        return error_set(err, ERROR_USAGE, "--deadline is for --until-end");
    if (!settings_value_parse(&deadline, text ? text : deadline.fallback, until_end_us, err))
        return error_wrap(err, "--deadline");
    *until_end_us = until_end ? *until_end_us : 0;
    return true;
}

static void check(const struct settings *settings)
{
    static struct guard guard = {CHECK_SECONDS, &exit_code};
    exit_code = 1; /* what the guard says */
    start_guard(&guard);
    exit_code = worker_check(settings);
}

static void work(const struct cli *cli, struct settings *settings, int64_t until_end_us, bool leave)
{
    static struct guard guard = {CLOSE_SECONDS, &exit_code};
    struct error err = {0};
    service_log_start(settings, settings_text(settings, "consumer.instance"));
    struct worker *worker = worker_open(settings, until_end_us, &err);
    if (worker && worker_run(worker, &err))
        error_clear(&err);
    exit_code = err.kind == ERROR_NONE ? 0 : cli_fail(cli, &err);
    service_stopping();
    const bool is_leaving = leave || service_is_leaving();
    guard.seconds += is_leaving ? LEAVE_FOR_GOOD_S : 0;
    start_guard(&guard);
    worker_close(worker, is_leaving);
    service_log_stop(&err);
}

/* With the command line read. Returns what kept it from being done, in err; exit_code has the rest. */
static bool run(const struct cli *cli, const struct cli_result *command, const struct stop *stop, struct error *err)
{
    int64_t until_end_us = 0;
    if (command->argument_count > 0)
        return error_set(err, ERROR_USAGE, "unexpected argument \"%s\"; see --help", command->arguments[0]);
    if (!read_deadline(stop->until_end, stop->deadline, &until_end_us, err) || !service_open(err))
        return false;
    if (!spill_open(settings_int(command->settings, "memory.max"), ""))
        log_warn("no file can be made in TMPDIR or /var/tmp: what a batch of Kafka's unpacks to beyond memory.max stays in memory",
                 NULL);
    if (command->check)
        check(command->settings);
    else
        work(cli, command->settings, until_end_us, stop->leave);
    service_close();
    settings_free(command->settings);
    return true;
}

int main(int argc, char **argv)
{
    descriptors_fill();
    malloc_tuning_apply();
    struct stop stop = {0};
    const struct cli_option options[] = {
        {.name = "until-end",
         .help = "stop once all that was in the topic at the start is in the ledger, whoever stored it",
         .flag = &stop.until_end},
        {.name = "deadline",
         .argument = "DURATION",
         .help = "of --until-end: give up after this time (20 min unless given), with exit code 1",
         .value = &stop.deadline},
        {.name = "leave",
         .help = "when stopping, give the topic partitions up at once (for scaling in); SIGUSR1 stops so too",
         .flag = &stop.leave},
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
    if (!cli_start(&cli, argc, argv, &command, &exit_code))
        return exit_code;
    struct error err = {0};
    if (!run(&cli, &command, &stop, &err))
        return cli_fail(&cli, &err);
    return cli_end_output(&cli, exit_code);
}
