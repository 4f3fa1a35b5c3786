/* status.c - `tallymill status`: where everything stands now, for a person or (--json) a program.
 *
 * The database answers in one snapshot, then Kafka is asked for the ends of its logs; so a lag is never too small. Kafka may be
 * away: that is something to show, not a failure. The lag shown is from the ledger, which is the truth; the consumer group's own
 * offsets are advice to other tools and are not read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/cli.h"
#include "common/lock_watch.h"
#include "common/number_text.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/command.h"
#include "operator/ground.h"
#include "operator/snapshot.h"
#include "operator/table.h"
#include "operator/terminal.h"
#include "operator/topic.h"

extern const char status_topic_partitions_sql[], status_statistics_sql[], status_days_sql[], status_rollups_sql[], status_troubles_sql[],
    audit_totals_sql[];

enum { KAFKA_TIMEOUT_MS = 5000 };

struct status {
    const struct settings *settings;
    bool as_json;
    PGresult *topic_partitions, *totals, *statistics, *days, *rollups, *troubles, *waits;
    struct topic topic; /* of topics.events */
    char kafka_silence[ERROR_TEXT_BYTES];
};

static bool ask_database(struct status *status, struct error *err)
{
    struct snapshot *snapshot = snapshot_open(status->settings, "tallymill status", err);
    bool is_read = snapshot && (status->topic_partitions = snapshot_ask(snapshot, status_topic_partitions_sql, err)) &&
                   (status->totals = snapshot_ask(snapshot, audit_totals_sql, err)) &&
                   (status->statistics = snapshot_ask(snapshot, status_statistics_sql, err)) &&
                   (status->days = snapshot_ask(snapshot, status_days_sql, err)) &&
                   (status->rollups = snapshot_ask(snapshot, status_rollups_sql, err)) &&
                   (status->troubles = snapshot_ask(snapshot, status_troubles_sql, err)) &&
                   (status->waits = snapshot_ask(snapshot, lock_waits_sql, err));
    snapshot_close(snapshot);
    return is_read;
}

static void ask_kafka(struct status *status)
{
    struct error err = {0};
    rd_kafka_t *client = topic_client(status->settings, &err);
    if (!client || !topic_read(client, settings_text(status->settings, "topics.events"), KAFKA_TIMEOUT_MS, &status->topic, &err)) {
        snprintf(status->kafka_silence, sizeof status->kafka_silence, "%s", err.text);
    }
    if (client) {
        rd_kafka_destroy(client);
    }
}

static bool is_events_topic(const struct status *status, const char *name)
{
    return strcmp(name, settings_text(status->settings, "topics.events")) == 0;
}

/* Offsets that Kafka has and the ledger has not; -1 where Kafka was not asked about that topic partition. */
static int64_t lag_of(const struct status *status, int row)
{
    int64_t topic_partition = answer_int(status->topic_partitions, row, "topic_partition");
    if (!is_events_topic(status, answer_text(status->topic_partitions, row, "topic")) || topic_partition >= status->topic.count) {
        return -1;
    }
    return status->topic.logs[topic_partition].high - answer_int(status->topic_partitions, row, "next_offset");
}

/* What lies in topic partitions that nobody has claimed yet. */
static int64_t unclaimed_offsets(const struct status *status)
{
    int64_t offsets = 0;
    for (int i = 0; i < status->topic.count; i++) {
        offsets += status->topic.logs[i].high - status->topic.logs[i].low;
    }
    for (int row = 0; row < PQntuples(status->topic_partitions); row++) {
        if (lag_of(status, row) >= 0) {
            const struct topic_log *log = &status->topic.logs[answer_int(status->topic_partitions, row, "topic_partition")];
            offsets -= log->high - log->low;
        }
    }
    return offsets;
}

static void print_topic_partitions(const struct status *status)
{
    static const char *const heads[] = {"topic", "topic partition", "lag", "position", "last commit", "owner", "epoch"};
    struct table *table = table_new("lrrrrlr", heads);
    const PGresult *rows = status->topic_partitions;
    for (int row = 0; row < PQntuples(rows); row++) {
        char lag[NUMBER_TEXT_BYTES], position[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES + 8] = "never";
        char number[NUMBER_TEXT_BYTES];
        int64_t offsets = lag_of(status, row);
        number_text(position, answer_int(rows, row, "next_offset"));
        if (!answer_is_null(rows, row, "commit_age_us")) {
            snprintf(age, sizeof age, "%s ago", terminal_age(number, answer_int(rows, row, "commit_age_us")));
        }
        const char *const cells[] = {answer_text(rows, row, "topic"),
                                     answer_text(rows, row, "topic_partition"),
                                     offsets >= 0 ? number_text(lag, offsets) : "unknown",
                                     position,
                                     age,
                                     answer_text(rows, row, "owner"),
                                     answer_text(rows, row, "epoch")};
        table_add(table, cells);
    }
    if (PQntuples(rows) == 0) {
        printf("no topic partition was claimed yet: no worker has run\n");
    } else {
        table_print(table, "", stdout);
    }
    table_free(table);
}

static void print_kafka(const struct status *status)
{
    char number[NUMBER_TEXT_BYTES];
    if (status->kafka_silence[0] != '\0') {
        fputs("Kafka: unreachable, so the lag is unknown: ", stdout);
        terminal_text(stdout, status->kafka_silence);
        fputc('\n', stdout);
    } else if (unclaimed_offsets(status) > 0) {
        printf("%s events lie in topic partitions that no worker has claimed yet\n",
               number_text(number, unclaimed_offsets(status)));
    }
}

static void print_troubles(const PGresult *troubles)
{
    char age[TERMINAL_AGE_BYTES];
    for (int row = 0; row < PQntuples(troubles); row++) {
        fputs("worker ", stdout);
        terminal_text(stdout, answer_text(troubles, row, "owner"));
        printf(" has not stored a batch for %s: ", terminal_age(age, answer_int(troubles, row, "since_us")));
        terminal_text(stdout, answer_text(troubles, row, "reason"));
        if (answer_text(troubles, row, "sqlstate")[0] != '\0') {
            printf(" (SQLSTATE %s)", answer_text(troubles, row, "sqlstate"));
        }
        fputc('\n', stdout);
    }
}

/* Sessions of ours, or on tables of ours, that wait for a lock of somebody. */
static void print_waits(const PGresult *waits)
{
    for (int row = 0; row < PQntuples(waits); row++) {
        if (!answer_bool(waits, row, "is_ours"))
            continue;
        fputs("waiting for a lock: pid ", stdout);
        terminal_text(stdout, answer_text(waits, row, "pid"));
        fputs(" (", stdout);
        terminal_text(stdout, answer_text(waits, row, "application_name"));
        fputs("); ", stdout);
        terminal_text(stdout, answer_text(waits, row, "holder"));
        fputc('\n', stdout);
    }
}

static void print_totals(const struct status *status)
{
    static const char *const heads[] = {"topic", "offsets consumed", "stored", "duplicates", "dead letters", "skipped", "gaps"};
    static const char *const columns[] = {"consumed", "stored", "duplicates", "dead_letters", "skipped", "gaps"};
    struct table *table = table_new("lrrrrrr", heads);
    for (int row = 0; row < PQntuples(status->totals); row++) {
        char numbers[6][NUMBER_TEXT_BYTES];
        const char *cells[7] = {answer_text(status->totals, row, "topic")};
        for (int i = 0; i < 6; i++) {
            cells[i + 1] = number_text(numbers[i], answer_int(status->totals, row, columns[i]));
        }
        table_add(table, cells);
    }
    if (PQntuples(status->totals) > 0) {
        fputc('\n', stdout);
        table_print(table, "", stdout);
    }
    table_free(table);
}

static void print_statistics(const struct status *status)
{
    const PGresult *facts = status->statistics;
    char number[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES];
    fputs("\nstatistics: ", stdout);
    if (answer_int(facts, 0, "pending_batches") == 0) {
        fputs("up to date with every stored row", stdout);
    } else {
        printf("%s rows stored and not yet counted, the oldest for %s",
               number_text(number, answer_int(facts, 0, "pending_rows")), terminal_age(age, answer_int(facts, 0, "behind_us")));
    }
    if (answer_is_null(facts, 0, "leader_since")) {
        fputs("; no aggregator has run yet\n", stdout);
    } else if (answer_text(facts, 0, "leader")[0] == '\0') {
        fputs("; no aggregator runs now\n", stdout);
    } else {
        fputs("; aggregator ", stdout);
        terminal_text(stdout, answer_text(facts, 0, "leader"));
        printf(", last seen %s ago\n", terminal_age(age, answer_int(facts, 0, "leader_seen_us")));
    }
    if (answer_int(facts, 0, "dirty_days") > 0) {
        printf("%s days wait for a rebuild, the newest: %s (", number_text(number, answer_int(facts, 0, "dirty_days")),
               answer_text(facts, 0, "dirty_newest"));
        terminal_text(stdout, answer_text(facts, 0, "dirty_reasons"));
        printf("); the oldest waits for %s", terminal_age(age, answer_int(facts, 0, "dirty_oldest_us")));
        if (answer_is_null(facts, 0, "dirty_left_us")) {
            puts("; none was rebuilt in the last minute");
        } else {
            printf("; at the pace of the last minute all are rebuilt in %s\n", terminal_age(age, answer_int(facts, 0, "dirty_left_us")));
        }
    }
}

static void print_rollups(const PGresult *facts)
{
    char number[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES];
    if (answer_int(facts, 0, "rollups") == 0) {
        return;
    }
    printf("rollups: %s days and weeks of %s rollups", number_text(number, answer_int(facts, 0, "periods")),
           answer_text(facts, 0, "rollups"));
    printf(", %s wait to be computed", number_text(number, answer_int(facts, 0, "waiting")));
    if (answer_int(facts, 0, "waiting") > 0 && !answer_is_null(facts, 0, "left_us")) {
        printf(" (%s in the last minute, so %s", number_text(number, answer_int(facts, 0, "done_last_minute")),
               terminal_age(age, answer_int(facts, 0, "left_us")));
        fputs(" are left)", stdout);
    }
    if (!answer_is_null(facts, 0, "ran_age_us")) {
        printf("; the last %s ago", terminal_age(age, answer_int(facts, 0, "ran_age_us")));
        printf(", the slowest %s in %s", answer_text(facts, 0, "slowest"), terminal_age(age, answer_int(facts, 0, "slowest_us")));
    }
    fputc('\n', stdout);
    if (answer_int(facts, 0, "failed") > 0) {
        printf("%s of them failed, the last: ", number_text(number, answer_int(facts, 0, "failed")));
        terminal_text(stdout, answer_text(facts, 0, "failure"));
        fputc('\n', stdout);
    }
}

static void print_days(const struct status *status)
{
    static const char *const heads[] = {"day", "events", "event names", "state"};
    struct table *table = table_new("lrrl", heads);
    for (int row = 0; row < PQntuples(status->days); row++) {
        char events[NUMBER_TEXT_BYTES];
        const char *const cells[] = {answer_text(status->days, row, "day"),
                                     number_text(events, answer_int(status->days, row, "events")),
                                     answer_text(status->days, row, "event_names"), answer_text(status->days, row, "state")};
        table_add(table, cells);
    }
    if (PQntuples(status->days) > 0) {
        fputc('\n', stdout);
        table_print(table, "", stdout);
    }
    table_free(table);
}

/* One object; `lag` is null where Kafka did not say. */
static bool print_json(const struct status *status)
{
    json_t *topic_partitions = answer_array(status->topic_partitions);
    for (int row = 0; row < PQntuples(status->topic_partitions); row++) {
        int64_t lag = lag_of(status, row);
        json_object_set_new(json_array_get(topic_partitions, (size_t)row), "lag", lag >= 0 ? json_integer(lag) : json_null());
    }
    json_t *waits = answer_array(status->waits);
    for (size_t i = json_array_size(waits); i-- > 0;) {
        json_t *wait = json_array_get(waits, i);
        json_object_del(wait, "self");
        if (!json_is_true(json_object_get(wait, "is_ours")))
            json_array_remove(waits, i);
    }
    json_t *json = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kafka",
                             status->kafka_silence[0] ? status->kafka_silence : "reachable", "topic_partitions", topic_partitions,
                             "totals", answer_array(status->totals), "statistics", answer_object(status->statistics, 0), "days",
                             answer_array(status->days), "rollups", answer_object(status->rollups, 0), "troubles",
                             answer_array(status->troubles), "waits", waits);
    if (json && status->kafka_silence[0] == '\0') {
        json_object_set_new(json, "unclaimed_offsets", json_integer(unclaimed_offsets(status)));
    }
    bool is_written = answer_print(json);
    json_decref(json);
    return is_written;
}

static bool print_text(const struct status *status)
{
    print_topic_partitions(status);
    print_kafka(status);
    print_troubles(status->troubles);
    print_waits(status->waits);
    print_totals(status);
    print_statistics(status);
    print_rollups(status->rollups);
    print_days(status);
    return fflush(stdout) == 0;
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct status *status = context;
    int exit_code = 0;
    status->settings = command->settings;
    if (command->argument_count > 0) {
        error_set(err, ERROR_USAGE, "%s: status takes no arguments", command->arguments[0]);
    } else if (command->check) {
        exit_code = ground_check(command->settings, &(struct ground){"tallymill status", "tallymill_read", settings_text(command->settings, "topics.events"),
                                                                     RD_KAFKA_ACL_OPERATION_DESCRIBE});
    } else if (ask_database(status, err)) {
        ask_kafka(status);
        exit_code = (status->as_json ? print_json(status) : print_text(status)) ? 0 : 1;
    }
    topic_free(&status->topic);
    PQclear(status->topic_partitions);
    PQclear(status->totals);
    PQclear(status->statistics);
    PQclear(status->days);
    PQclear(status->rollups);
    PQclear(status->troubles);
    PQclear(status->waits);
    return exit_code;
}

static const struct cli status_cli = {
    .program = "tallymill status",
    .usage = "[OPTION ...]",
    .summary =
        "Shows lag, owner and last commit of each topic partition, what became of the events, and how fresh the statistics are.\n"
        "Works while Kafka is away. Needs a login with tallymill_read.\n",
    .examples = "  tallymill status --config settings.ini\n  tallymill status --config settings.ini --json | jq "
                "'[.topic_partitions[].lag] | add'\n",
    .programs = FOR_OPERATOR,
};

int status_run(int argc, char **argv)
{
    struct status status = {0};
    const struct cli_option options[] = {
        {.name = "json", .help = "answer with one JSON object", .flag = &status.as_json},
        {.name = NULL},
    };
    struct cli cli = status_cli;
    cli.options = options;
    return command_work(&cli, argc, argv, work, &status);
}
