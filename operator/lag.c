/* lag.c - `tallymill lag`: one line for each topic partition, in offsets and in seconds, as users of kafka-consumer-groups know it.
 *
 * That tool shows what the group has committed to Kafka, which is advice here; the lag shown by this one is from the ledger. A lag
 * in offsets says nothing about how late the rows are, so beside it stands how long the message to be stored next has waited, by
 * Kafka's own time of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/number_text.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/backlog.h"
#include "operator/command.h"
#include "operator/ground.h"
#include "operator/snapshot.h"
#include "operator/table.h"
#include "operator/terminal.h"
#include "operator/topic.h"
#include "operator/watch.h"

enum { KAFKA_TIMEOUT_MS = 10000 };

struct lag {
    const struct settings *settings;
    const char *topic;
    bool as_json, is_watched, is_written;
    rd_kafka_t *client;
    PGresult *positions;
    struct backlog backlog;
};

static bool look(void *context, struct error *err)
{
    struct lag *lag = context;
    struct snapshot *snapshot = snapshot_open(lag->settings, "tallymill lag", err);
    lag->positions = snapshot ? snapshot_ask(snapshot, backlog_positions_sql, err) : NULL;
    snapshot_close(snapshot);
    return lag->positions && (lag->client || (lag->client = topic_client(lag->settings, err)) != NULL) &&
           backlog_read(lag->positions, lag->client, lag->topic, KAFKA_TIMEOUT_MS, true, &lag->backlog, NULL, err);
}

static void forget(void *context)
{
    struct lag *lag = context;
    backlog_free(&lag->backlog);
    PQclear(lag->positions);
    lag->positions = NULL;
}

/* "1.234"; "" where it is not known. */
static const char *seconds_text(char text[32], int64_t age_us)
{
    snprintf(text, 32, "%" PRId64 ".%03d", age_us / CLOCK_SECOND_US, (int)(age_us % CLOCK_SECOND_US / 1000));
    return age_us >= 0 ? text : "unknown";
}

static void print_table(const struct lag *lag)
{
    static const char *const heads[] = {"topic", "topic partition", "position",    "log end",
                                        "lag",   "seconds",         "last commit", "owner"};
    struct table *table = table_new("lrrrrrrl", heads);
    for (int i = 0; i < lag->backlog.count; i++) {
        const struct backlog_log *log = &lag->backlog.logs[i];
        char number[16], position[32], end[32], waiting[32], seconds[32], age[TERMINAL_AGE_BYTES],
            commit[TERMINAL_AGE_BYTES + 8] = "never";
        snprintf(number, sizeof number, "%d", i);
        snprintf(position, sizeof position, "%" PRId64, log->next_offset);
        snprintf(end, sizeof end, "%" PRId64, log->high);
        snprintf(waiting, sizeof waiting, "%" PRId64, log->waiting);
        if (log->commit_age_us >= 0) {
            snprintf(commit, sizeof commit, "%s ago", terminal_age(age, log->commit_age_us));
        }
        const char *const cells[] = {lag->topic,
                                     number,
                                     log->is_claimed ? position : "-",
                                     log->is_in_kafka ? end : "-",
                                     log->is_in_kafka ? waiting : "-",
                                     seconds_text(seconds, backlog_age_us(&lag->backlog, i)),
                                     commit,
                                     log->owner[0] ? log->owner : "-"};
        table_add(table, cells);
    }
    table_print(table, "", stdout);
    table_free(table);
    if (lag->backlog.lost > 0) {
        char number[NUMBER_TEXT_BYTES];
        printf("%s events were deleted by Kafka before they were stored: a worker will note them as a gap\n",
               number_text(number, lag->backlog.lost));
    }
}

static json_t *seconds_json(int64_t age_us)
{
    return age_us >= 0 ? json_real((double)age_us / CLOCK_SECOND_US) : json_null();
}

static json_t *log_json(const struct lag *lag, int topic_partition)
{
    const struct backlog_log *log = &lag->backlog.logs[topic_partition];
    return json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "topic", lag->topic, "topic_partition", topic_partition,
                     "next_offset", log->is_claimed ? json_integer(log->next_offset) : json_null(), "log_start",
                     log->is_in_kafka ? json_integer(log->low) : json_null(), "log_end",
                     log->is_in_kafka ? json_integer(log->high) : json_null(), "lag",
                     log->is_in_kafka ? json_integer(log->waiting) : json_null(), "lag_seconds",
                     seconds_json(backlog_age_us(&lag->backlog, topic_partition)), "last_commit_seconds",
                     seconds_json(log->commit_age_us), "lost", (json_int_t)log->lost, "owner",
                     log->owner[0] ? json_string(log->owner) : json_null());
}

/* Watched, each look is a line. */
static bool print_json(const struct lag *lag)
{
    json_t *logs = json_array();
    for (int i = 0; i < lag->backlog.count; i++) {
        json_array_append_new(logs, log_json(lag, i));
    }
    json_t *json = json_pack("{s:s, s:I, s:o, s:I, s:o}", "topic", lag->topic, "lag", (json_int_t)lag->backlog.waiting,
                             "lag_seconds", seconds_json(lag->backlog.waiting > 0 ? backlog_longest_us(&lag->backlog) : 0), "lost",
                             (json_int_t)lag->backlog.lost, "topic_partitions", logs);
    const bool is_written = lag->is_watched ? answer_print_line(json) : answer_print(json);
    json_decref(json);
    return is_written;
}

static void print(void *context)
{
    struct lag *lag = context;
    if (lag->as_json) {
        lag->is_written = print_json(lag);
    } else {
        print_table(lag);
    }
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct lag *lag = context;
    int exit_code = 0;
    lag->settings = command->settings;
    lag->topic = lag->topic ? lag->topic : settings_text(command->settings, "topics.events");
    if (command->argument_count > 0) {
        error_set(err, ERROR_USAGE, "%s: lag takes no arguments", command->arguments[0]);
    } else if (command->check) {
        exit_code = ground_check(command->settings,
                                 &(struct ground){"tallymill lag", "tallymill_read", lag->topic, RD_KAFKA_ACL_OPERATION_READ});
    } else if (lag->is_watched) {
        error_ignore(watch(&(struct watch){"tallymill lag", lag->as_json, look, print, forget, lag}, err)); /* err says it */
    } else if (look(lag, err)) {
        print(lag);
        exit_code = lag->is_written ? 0 : 1;
    }
    forget(lag);
    if (lag->client) {
        rd_kafka_destroy(lag->client);
    }
    return exit_code;
}

static const struct cli lag_cli = {
    .program = "tallymill lag",
    .usage = "[OPTION ...]",
    .summary =
        "Shows for each topic partition the offset that is stored next, the end of Kafka's log, how many offsets lie between, and "
        "for how many seconds the\n"
        "message to be stored next has waited. The positions are the ledger's, not the consumer group's, which are advice only.\n"
        "Needs a login with tallymill_read, and in Kafka the right to read the topic.\n",
    .examples = "  tallymill lag --config settings.ini\n  tallymill lag --config settings.ini --json | jq .lag_seconds\n",
    .programs = FOR_OPERATOR,
};

int lag_run(int argc, char **argv)
{
    struct lag lag = {.is_written = true};
    const struct cli_option options[] = {
        {.name = "topic", .argument = "TOPIC", .help = "another topic of the books than topics.events", .value = &lag.topic},
        {.name = "watch", .help = "look again every two seconds, until it is ended", .flag = &lag.is_watched},
        {.name = "json", .help = "answer with one JSON object; with --watch one a line", .flag = &lag.as_json},
        {.name = NULL},
    };
    struct cli cli = lag_cli;
    cli.options = options;
    return command_work(&cli, argc, argv, work, &lag);
}
