/* reset.c - `tallymill reset`: gives up what a topic partition has not stored up to an offset.
 *
 * For the day when a person decides that a stretch of the log shall not be stored (a flood of garbage; a topic partition that
 * stopped because its log was truncated and has grown past the old position again). Forward only, and never in silence: what is
 * given up becomes a row in tallymill.gaps, which audit shows for ever.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "common/number_text.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "operator/command.h"
#include "operator/ground.h"
#include "operator/place.h"
#include "operator/terminal.h"
#include "operator/topic.h"

enum { KAFKA_MS = 10000 };
#define CONNECT_US INT64_C(10000000)
#define QUERY_US   INT64_C(30000000)

/* A topic that was made anew is read on behind a reset, as a log that was truncated is: the books then do not know its id until
 * messages have shown that the other topic partitions are of it too. */
static const char reset_sql[] =
    "WITH anew AS (UPDATE tallymill.clusters SET topic_id = '' WHERE topic = $1 AND $4 NOT IN ('', topic_id)) "
    "SELECT tallymill.reset_position($1, $2, $3)";

struct reset {
    const char *at;
    bool is_confirmed;
    long topic_partition;
    char topic_id[KAFKA_TOPIC_ID_BYTES];
    bool is_to_end;
    int64_t offset; /* the end of the log, when is_to_end and the broker has told */
};

static bool read_place(struct reset *reset, struct error *err)
{
    struct place place;
    if (!reset->at || !place_parse(reset->at, &place) || (!place.is_end && !*place.offset)) {
        return error_set(err, ERROR_USAGE,
                         "which one, and to where? tallymill reset --at TOPIC_PARTITION:OFFSET, or TOPIC_PARTITION:end");
    }
    reset->topic_partition = strtol(place.topic_partition, NULL, 10);
    reset->is_to_end = place.is_end;
    reset->offset = place.is_end ? 0 : strtoll(place.offset, NULL, 10);
    return true;
}

/* Fills in the end of the log, and refuses an offset beyond it: the events there do not exist yet. */
static bool check_log(struct reset *reset, const struct settings *settings, const char *topic, struct error *err)
{
    rd_kafka_t *client = topic_client(settings, err);
    struct topic logs = {0};
    bool is_good = client && topic_read(client, topic, KAFKA_MS, &logs, err);
    if (is_good && reset->topic_partition >= logs.count) {
        is_good = error_set(err, ERROR_USAGE, "topic %s has topic partitions 0 to %d, not %ld", topic, logs.count - 1,
                            reset->topic_partition);
    } else if (is_good) {
        const int64_t high = logs.logs[reset->topic_partition].high;
        if (reset->is_to_end) {
            reset->offset = high;
        }
        is_good = reset->offset <= high ||
                  error_set(err, ERROR_USAGE, "topic partition %ld ends at offset %" PRId64 ": nothing beyond can be given up",
                            reset->topic_partition, high);
    }
    memcpy(reset->topic_id, logs.id, sizeof reset->topic_id);
    topic_free(&logs);
    if (client) {
        rd_kafka_destroy(client);
    }
    return is_good;
}

static bool run(struct reset *reset, const struct settings *settings, struct error *err)
{
    const char *topic = settings_text(settings, "topics.events");
    if (!check_log(reset, settings, topic, err)) {
        return false;
    }
    PGconn *conn = postgres_open(settings_text(settings, "postgres.dsn"), "tallymill reset", CONNECT_US, err);
    bool is_done = conn && postgres_check_schema(conn, err);
    if (is_done && !reset->is_confirmed) {
        is_done = error_set(err, ERROR_USAGE,
                            "events of topic partition %ld below offset %" PRId64
                            " that are not stored yet will never be; add --yes if that is meant",
                            reset->topic_partition, reset->offset);
    } else if (is_done) {
        char partition[24], offset[24], number[NUMBER_TEXT_BYTES];
        snprintf(partition, sizeof partition, "%ld", reset->topic_partition);
        snprintf(offset, sizeof offset, "%" PRId64, reset->offset);
        const char *values[] = {topic, partition, offset, reset->topic_id};
        PGresult *result = postgres_query_params(conn, reset_sql, 4, values, QUERY_US, err);
        is_done = result != NULL;
        if (is_done) {
            const int64_t from = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
            printf("topic partition %ld goes on at offset %" PRId64 "; %s offsets are given up, noted in tallymill.gaps\n",
                   reset->topic_partition, reset->offset, number_text(number, reset->offset - from));
        }
        PQclear(result);
    }
    PQfinish(conn);
    return is_done;
}

/* With all that is wrong of the servers and our rights, or the place that is not in the log. */
static int check(struct reset *reset, const struct settings *settings, struct error *err)
{
    const char *topic = settings_text(settings, "topics.events");
    const int exit_code =
        ground_check(settings, &(struct ground){"tallymill reset", "tallymill_admin", topic, RD_KAFKA_ACL_OPERATION_DESCRIBE});
    if (exit_code == 0) {
        check_log(reset, settings, topic, err);
    }
    return exit_code;
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    if (command->argument_count > 0) {
        error_set(err, ERROR_USAGE, "unexpected argument \"%s\"; see --help", command->arguments[0]);
    } else if (read_place(context, err)) {
        return command->check ? check(context, command->settings, err) : (run(context, command->settings, err), 0);
    }
    return 0;
}

int reset_run(int argc, char **argv)
{
    struct reset reset = {0};
    const struct cli_option options[] = {
        {.name = "at",
         .argument = "PLACE",
         .help = "TOPIC_PARTITION:OFFSET, the first offset to store next; or TOPIC_PARTITION:end",
         .value = &reset.at},
        {.name = "yes", .help = "give the events up", .flag = &reset.is_confirmed},
        {.name = NULL},
    };
    const struct cli cli = {
        .program = "tallymill reset",
        .usage = "--at PLACE --yes [OPTION ...]",
        .summary =
            "Gives up what a topic partition has not stored up to an offset, and notes it as a gap. Forward only; running workers\n"
            "go on at the new offset. Needs a login with tallymill_admin.\n",
        .examples = "  tallymill reset --at 3:4711 --yes --config settings.ini\n",
        .options = options,
        .programs = FOR_OPERATOR,
    };
    return command_work(&cli, argc, argv, work, &reset);
}
