/* main.c - tallymill-produce: wires the command line, Kafka, the import or the generator, and the report together. */
#include <stdio.h>
#include <stdlib.h>

#include <tallymill/producer.h>

#include "ack_log.h"
#include "error.h"
#include "import.h"
#include "produce.h"
#include "rejects.h"
#include "sender.h"
#include "service.h"
#include "settings.h"

static bool generate(const struct produce *produce, struct sender *sender, struct error *err)
{
    struct generator *generator = generator_new(&produce->plan);
    struct tally_event *event = tally_event_new();
    bool ok = generator != NULL && event != NULL;
    if (!ok)
        error_set(err, ERROR_RETRY, "no memory");
    while (ok && generator_next(generator, event))
        ok = sender_send(sender, event, (int64_t)sender->sent, err) == SENDER_SENT;
    tally_event_free(event);
    generator_free(generator);
    return ok;
}

static void report(const struct produce *produce, const struct sender_report *sent, uint64_t rejected)
{
    double seconds = (double)sent->elapsed_us / 1e6, rate = seconds > 0 ? (double)sent->acknowledged / seconds : 0;
    char numbers[5][32];
    fprintf(stderr, "sent %s events in %.1f s (%s/s): %s acknowledged, %s failed", progress_number(numbers[0], sent->sent), seconds,
            progress_number(numbers[1], (uint64_t)rate), progress_number(numbers[2], sent->acknowledged),
            progress_number(numbers[3], sent->failed));
    if (produce->is_generating)
        fprintf(stderr, " (seed %llu)\n", (unsigned long long)produce->plan.seed);
    else
        fprintf(stderr, ", %s lines rejected\n", progress_number(numbers[4], rejected));
    if (produce->wants_json)
        printf(
            "{\"sent\": %llu, \"acknowledged\": %llu, \"failed\": %llu, \"rejected\": %llu, \"seconds\": %.3f, \"rate\": %.1f}\n",
            (unsigned long long)sent->sent, (unsigned long long)sent->acknowledged, (unsigned long long)sent->failed,
            (unsigned long long)rejected, seconds, rate);
}

/* 0 when every event was acknowledged and every line was one. */
static int run(struct produce *produce, struct sender *sender, struct rejects *rejects)
{
    struct error err;
    int64_t total = produce->is_generating ? (int64_t)produce->plan.events : import_size(produce->paths, produce->path_count);
    sender_start(sender, total, produce->rate);
    bool ok = produce->is_generating ? generate(produce, sender, &err)
                                     : import_files(produce->paths, produce->path_count, produce->columns, sender, rejects, &err);
    struct sender_report sent;
    sender_close(sender, &sent);
    int exit_code = ok ? 0 : cli_fail(&produce_cli, &err);
    report(produce, &sent, rejects_count(rejects));
    if (exit_code == 0 && (sent.acknowledged != sent.sent || rejects_count(rejects) != 0))
        exit_code = 1;
    return exit_code;
}

static int say_checked(struct produce *produce, struct sender *sender, int topic_partitions)
{
    sender_start(sender, 0, 0);
    struct sender_report nothing;
    sender_close(sender, &nothing);
    printf("Kafka answers; topic %s has %d topic partition%s\n", settings_text(produce->settings, "topics.events"),
           topic_partitions, topic_partitions == 1 ? "" : "s");
    return 0;
}

static int open_and_run(struct produce *produce)
{
    struct error err;
    struct ack_log *ack_log = NULL;
    struct rejects *rejects = NULL;
    struct sender sender = {0};
    int topic_partitions = 0, exit_code = 0;
    if (!service_open(&err))
        return cli_fail(&produce_cli, &err);
    /* Kafka first: the files of an earlier run are not emptied by one that cannot start. */
    if (!sender_open(&sender, produce->settings, &topic_partitions, &err)) {
        exit_code = cli_fail(&produce_cli, &err);
    } else if (produce->wants_check) {
        exit_code = say_checked(produce, &sender, topic_partitions);
    } else if ((produce->ack_log != NULL && (ack_log = ack_log_open(produce->ack_log, &err)) == NULL) ||
               (rejects = rejects_open(produce_cli.program, produce->reject_file, &err)) == NULL) {
        sender_close(&sender, &(struct sender_report){0});
        exit_code = cli_fail(&produce_cli, &err);
    } else {
        sender.ack_log = ack_log;
        exit_code = run(produce, &sender, rejects);
    }
    if (!rejects_close(rejects, &err) && exit_code == 0)
        exit_code = cli_fail(&produce_cli, &err);
    if (!ack_log_close(ack_log, &err) && exit_code == 0)
        exit_code = cli_fail(&produce_cli, &err);
    service_close();
    return exit_code;
}

int main(int argc, char **argv)
{
    struct produce produce;
    int exit_code;
    if (produce_read(&produce, argc, argv, &exit_code))
        exit_code = open_and_run(&produce);
    produce_reset(&produce);
    if (fflush(stdout) != 0 && exit_code == 0)
        exit_code = 1;
    return exit_code;
}
