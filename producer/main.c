/* main.c - tallymill-produce: wires the command line, Kafka, the import or the generator, and the report together. */
#include <stdio.h>
#include <stdlib.h>

#include <tallymill/producer.h>

#include "common/descriptors.h"
#include "common/error.h"
#include "common/number_text.h"
#include "common/service.h"
#include "common/settings.h"
#include "producer/ack_log.h"
#include "producer/dry_run.h"
#include "producer/import/columns.h"
#include "producer/import/guess.h"
#include "producer/import/import.h"
#include "producer/import/rejects.h"
#include "producer/import/resume.h"
#include "producer/produce.h"
#include "producer/produce_check.h"
#include "producer/sender.h"

static bool generate(const struct produce *produce, struct sender *sender, struct error *err)
{
    struct generator *generator = generator_new(&produce->plan);
    struct tally_event *event = tally_event_new();
    bool ok = generator != NULL && event != NULL;
    if (!ok)
        error_set(err, ERROR_RETRY, "no memory");
    while (ok && generator_next(generator, event))
        ok = sender_send(sender, event, (int64_t)sender->sent, err) == SINK_SENT;
    tally_event_free(event);
    generator_free(generator);
    return ok;
}

static void report_json(const struct sender_report *sent, uint64_t rejected, const struct outside *outside,
                        const struct latency *latency)
{
    double seconds = (double)sent->elapsed_us / 1e6, rate = seconds > 0 ? (double)sent->acknowledged / seconds : 0;
    printf("{\"sent\": %llu, \"acknowledged\": %llu, \"failed\": %llu, \"rejected\": %llu, \"recovered\": %llu, "
           "\"waiting\": %llu, \"outside\": %llu, \"seconds\": %.3f, \"rate\": %.1f",
           (unsigned long long)sent->sent, (unsigned long long)sent->acknowledged, (unsigned long long)sent->failed,
           (unsigned long long)rejected, (unsigned long long)sent->recovered, (unsigned long long)sent->waiting,
           (unsigned long long)(outside->before + outside->behind), seconds, rate);
    if (latency != NULL)
        printf(", \"latency_us\": {\"p50\": %lld, \"p99\": %lld, \"p99.9\": %lld, \"max\": %lld}",
               (long long)latency_at(latency, 0.5), (long long)latency_at(latency, 0.99), (long long)latency_at(latency, 0.999),
               (long long)latency->max_us);
    puts("}");
}

static void report(const struct produce *produce, const struct sender_report *sent, uint64_t rejected,
                   const struct outside *outside, const struct latency *latency)
{
    double seconds = (double)sent->elapsed_us / 1e6, rate = seconds > 0 ? (double)sent->acknowledged / seconds : 0;
    char numbers[5][32];
    fprintf(stderr, "sent %s events in %.1f s (%s/s): %s acknowledged, %s failed", number_text(numbers[0], sent->sent), seconds,
            number_text(numbers[1], (uint64_t)rate), number_text(numbers[2], sent->acknowledged),
            number_text(numbers[3], sent->failed));
    if (produce->is_generating)
        fprintf(stderr, " (seed %llu)\n", (unsigned long long)produce->plan.seed);
    else
        fprintf(stderr, ", %s lines rejected\n", number_text(numbers[4], rejected));
    outside_report(outside, produce->settings, stderr);
    if (sent->recovered != 0)
        fprintf(stderr, "%s events of an earlier run were found in the spool\n", number_text(numbers[0], sent->recovered));
    if (sent->waiting != 0)
        fprintf(stderr, "%s events wait in the spool (%s): the next run sends them\n", number_text(numbers[0], sent->waiting),
                settings_text(produce->settings, "spool.dir"));
    if (latency != NULL)
        fprintf(stderr, "acknowledged after they were due: half within %.1f ms, 99 %% within %.1f ms, all within %.1f ms\n",
                (double)latency_at(latency, 0.5) / 1e3, (double)latency_at(latency, 0.99) / 1e3, (double)latency->max_us / 1e3);
    if (produce->wants_json)
        report_json(sent, rejected, outside, latency);
}

/* 0 when every event was acknowledged and every line was one. */
static int run(struct produce *produce, struct sender *sender, struct rejects *rejects)
{
    struct error err;
    struct sink sink = sender_sink(sender);
    int64_t total = produce->is_generating        ? (int64_t)produce->plan.events
                    : produce->import.is_followed ? 0
                                                  : import_size(produce->import.paths, produce->import.path_count);
    sender_start(sender, total, &produce->pace);
    bool ok = produce->is_generating ? generate(produce, sender, &err) : import_files(&produce->import, &sink, rejects, &err);
    struct sender_report sent;
    sender_close(sender, &sent);
    int exit_code = ok ? 0 : cli_fail(&produce_cli, &err);
    report(produce, &sent, rejects_count(rejects), &sender->outside, produce->pace.is_live ? &sender->latency : NULL);
    if (exit_code == 0 && (sent.acknowledged != sent.sent + sent.recovered || rejects_count(rejects) != 0))
        exit_code = 1;
    return exit_code;
}

/* Tells one more failure; the first one's exit code stays. */
static int also_failed(int exit_code, const struct error *err)
{
    int code = cli_fail(&produce_cli, err);
    return exit_code != 0 ? exit_code : code;
}

/* Where an interrupted import was left, if one is to be resumed; and the files that this run writes. */
static bool open_files(struct produce *produce, struct ack_log **ack_log, struct rejects **rejects, struct error *err)
{
    struct resume_totals earlier = {0};
    if (produce->resume_file != NULL) {
        struct import_plan *import = &produce->import;
        uint64_t options = columns_fingerprint(import->columns) + (uint64_t)import->kind.format +
                           (import->kind.is_typed ? 16U : 0U) +
                           ((uint64_t)(uint8_t)(import->kind.delimiter != 0 ? import->kind.delimiter : ',') << 8);
        import->resume = resume_open(produce->resume_file, import->paths, import->path_count, options, err);
        if (import->resume == NULL)
            return false;
        earlier = *resume_totals(import->resume);
    }
    if (produce->ack_log != NULL && (*ack_log = ack_log_open(produce->ack_log, err)) == NULL)
        return false;
    *rejects = rejects_open(produce_cli.program, produce->reject_file, earlier.rejected, earlier.reject_bytes, err);
    return *rejects != NULL;
}

static int open_and_run(struct produce *produce)
{
    struct error err;
    struct ack_log *ack_log = NULL;
    struct rejects *rejects = NULL;
    struct sender sender = {0};
    int exit_code = 0;
    /* Kafka first: the files of an earlier run are not emptied by one that cannot start. */
    if (!sender_open(&sender, produce->settings, &err)) {
        exit_code = cli_fail(&produce_cli, &err);
    } else if (!open_files(produce, &ack_log, &rejects, &err)) {
        sender_close(&sender, &(struct sender_report){0});
        exit_code = cli_fail(&produce_cli, &err);
    } else {
        sender.ack_log = ack_log;
        exit_code = run(produce, &sender, rejects);
    }
    if (!rejects_close(rejects, &err))
        exit_code = also_failed(exit_code, &err);
    if (!ack_log_close(ack_log, &err))
        exit_code = also_failed(exit_code, &err);
    resume_free(produce->import.resume);
    return exit_code;
}

/* 0 when every line would be an event. */
static int show(struct produce *produce)
{
    struct error err;
    struct dry_run dry_run;
    if (!dry_run_open(&dry_run, produce->settings, &err))
        return cli_fail(&produce_cli, &err);
    struct sink sink = dry_run_sink(&dry_run);
    struct rejects *rejects = rejects_open(produce_cli.program, produce->reject_file, 0, 0, &err);
    bool ok = rejects != NULL && import_files(&produce->import, &sink, rejects, &err);
    int exit_code = ok ? 0 : cli_fail(&produce_cli, &err);
    char numbers[2][32];
    uint64_t rejected = rejects == NULL ? 0 : rejects_count(rejects);
    if (!rejects_close(rejects, &err))
        exit_code = also_failed(exit_code, &err);
    fprintf(stderr, "nothing was sent: %s events would be, %s lines would be rejected\n", number_text(numbers[0], dry_run.sent),
            number_text(numbers[1], rejected));
    outside_report(&dry_run.outside, produce->settings, stderr);
    dry_run_close(&dry_run);
    return exit_code == 0 && rejected != 0 ? 1 : exit_code;
}

static int serve(struct produce *produce)
{
    struct error err;
    if (!service_open(&err))
        return cli_fail(&produce_cli, &err);
    int exit_code = 0;
    if (produce->is_guessing && !produce->is_generating)
        exit_code = guess_print(&produce->import, produce->config, produce->has_format, &err) ? 0 : cli_fail(&produce_cli, &err);
    else
        exit_code = produce->is_dry_run    ? show(produce)
                    : produce->wants_check ? produce_check(produce->settings)
                                           : open_and_run(produce);
    service_close();
    return exit_code;
}

int main(int argc, char **argv)
{
    struct produce produce;
    int exit_code;
    descriptors_fill();
    if (produce_read(&produce, argc, argv, &exit_code))
        exit_code = serve(&produce);
    produce_reset(&produce);
    return cli_end_output(&produce_cli, exit_code);
}
