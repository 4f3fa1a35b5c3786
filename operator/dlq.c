/* dlq.c - `tallymill dlq`: looks at dead letters, sends them again after a fix, and settles those that never will be.
 *
 * Counting and listing need tallymill_read and show no contents; the others need tallymill_admin, because an event's
 * contents may be personal. A replayed dead letter stays in the table with replayed_at, and one whose bytes were dropped with
 * emptied_at: the ledger's count of it stays true.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/postgres.h"
#include "common/reason.h"
#include "common/settings.h"
#include "common/settings_value.h"
#include "operator/answer.h"
#include "operator/command.h"
#include "operator/dlq.h"
#include "operator/ground.h"
#include "operator/packed.h"
#include "operator/place.h"
#include "operator/terminal.h"

enum { LISTED = 20, LISTED_MAX = 100000 };
#define CONNECT_US INT64_C(10000000)

struct dlq {
    PGconn *conn;
    const struct settings *settings;
    struct dlq_choice choice;
    const char *at; /* "PARTITION:OFFSET" */
    struct place place;
    const char *since, *key, *limit; /* as given */
    char since_text[CLOCK_TIME_BYTES], *key_text;
    char **places; /* of discard */
    int place_count;
    bool as_json, is_confirmed, is_dry;
    int exit_code; /* where there is no error */
};

/* Whether the books of a topic are closed; false for a topic that has none. */
static bool read_closed(const struct dlq *dlq, const char *topic, bool *is_known, bool *is_closed, struct error *err)
{
    const char *values[] = {topic};
    PGresult *result = postgres_query_params(
        dlq->conn, "SELECT c.retired_at IS NOT NULL FROM tallymill.clusters c WHERE c.topic = $1", 1, values, DLQ_QUERY_US, err);
    *is_known = result && PQntuples(result) == 1;
    *is_closed = *is_known && PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return result != NULL;
}

/* Where a replay sends: to the topic whose books these are, or, where they are closed, to the one of the settings, whose events are
 * stored. */
static bool choose_target(struct dlq *dlq, struct error *err)
{
    struct dlq_choice *choice = &dlq->choice;
    const char *own = settings_text(dlq->settings, "topics.events");
    bool is_known, is_closed, is_own_known, is_own_closed;
    if (!read_closed(dlq, choice->topic, &is_known, &is_closed, err) ||
        !read_closed(dlq, own, &is_own_known, &is_own_closed, err)) {
        return false;
    }
    choice->target = is_closed ? own : choice->topic;
    if (is_closed && is_own_closed) {
        return error_set(
            err, ERROR_USAGE,
            "the books of topic %s are closed: what is sent there is stored by nobody. Set topics.events to the topic whose events "
            "are stored, and name the old books: tallymill dlq replay --topic %s",
            own, choice->topic);
    }
    return true;
}

/* A misspelt reason would pick nothing, and look like nothing to do. */
static bool check_reason(const char *reason, struct error *err)
{
    char list[400] = "";
    if (!reason) {
        return true;
    }
    for (const char *const *name = &reason_names[REASON_NONE + 1]; *name; name++) {
        if (strcmp(*name, reason) == 0) {
            return true;
        }
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", *name);
    }
    return error_set(err, ERROR_USAGE, "--reason %.60s: there is no such reason; there are: %s", reason, list);
}

/* "3:4711" or "3" into the choice. */
static bool read_place(struct dlq *dlq, struct error *err)
{
    if (!dlq->at) {
        return true;
    }
    if (!place_parse(dlq->at, &dlq->place) || dlq->place.is_end) {
        return error_set(err, ERROR_USAGE, "--at %s: a place is TOPIC_PARTITION or TOPIC_PARTITION:OFFSET, both numbers", dlq->at);
    }
    dlq->choice.topic_partition = dlq->place.topic_partition;
    dlq->choice.offset = *dlq->place.offset ? dlq->place.offset : NULL;
    return true;
}

/* "2 h" before now, a day, or a time. */
static bool read_since(struct dlq *dlq, struct error *err)
{
    static const struct setting age = {.key = "--since", .type = SETTING_DURATION, .fallback = "1 h", .max = 3650 * CLOCK_DAY_US};
    struct error ignored = {0};
    int64_t number, wall_us;
    int32_t day;
    if (!dlq->since) {
        return true;
    }
    if (clock_parse_day(dlq->since, strlen(dlq->since), &day)) {
        wall_us = day * CLOCK_DAY_US;
    } else if (settings_value_parse(&age, dlq->since, &number, &ignored)) {
        wall_us = clock_wall_us() - number;
    } else if (!clock_parse_time(dlq->since, strlen(dlq->since), &wall_us)) {
        return error_set(err, ERROR_USAGE,
                         "--since %.60s: an age as \"2 h\", a UTC day as 2026-11-24, or a time as 2026-11-24T11:00:00Z",
                         dlq->since);
    }
    clock_format_time(dlq->since_text, wall_us);
    dlq->choice.since = dlq->since_text;
    return true;
}

/* The bytes of --key, as Postgres writes them. */
static bool read_key(struct dlq *dlq, struct error *err)
{
    if (!dlq->key) {
        return true;
    }
    const size_t length = strlen(dlq->key);
    dlq->key_text = malloc(2 * length + 3);
    if (!dlq->key_text) {
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    memcpy(dlq->key_text, "\\x", 3);
    for (size_t i = 0; i < length; i++) {
        snprintf(dlq->key_text + 2 + 2 * i, 3, "%02x", (unsigned char)dlq->key[i]);
    }
    dlq->choice.key = dlq->key_text;
    return true;
}

static bool list(struct dlq *dlq, struct error *err)
{
    static const struct setting count = {.key = "--limit", .type = SETTING_COUNT, .fallback = "20", .min = 1, .max = LISTED_MAX};
    int64_t limit = LISTED;
    if (dlq->limit && !settings_value_parse(&count, dlq->limit, &limit, err)) {
        return error_wrap(err, "--limit %.60s", dlq->limit);
    }
    return dlq_list(dlq->conn, &dlq->choice, (int)limit, dlq->as_json, err);
}

/* 16 bytes a line, as hexdump -C: what was sent is often not text at all. */
static void print_bytes(const char *name, const PGresult *result, int column, bool is_packed)
{
    if (PQgetisnull(result, 0, column)) {
        printf("%s: none\n", name);
        return;
    }
    size_t length = 0;
    unsigned char *bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(result, 0, column), &length);
    printf("%s: %zu bytes\n", name, length);
    for (size_t at = 0; bytes && at < length; at += 16) {
        printf("  %06zx ", at);
        for (size_t i = at; i < at + 16; i++) {
            i < length ? printf(" %02x", bytes[i]) : printf("   ");
        }
        fputs("  ", stdout);
        for (size_t i = at; i < at + 16 && i < length; i++) {
            putchar(isprint(bytes[i]) ? bytes[i] : '.');
        }
        putchar('\n');
    }
    if (is_packed && bytes && length > 0) {
        printf("%s as msgpack:\n", name);
        packed_print(stdout, bytes, length);
    }
    PQfreemem(bytes);
}

/* Of those that the options name: one has to be meant, and it is said which. */
static bool choose_newest(struct dlq *dlq, struct error *err)
{
    bool is_there;
    const struct dlq_choice *choice = &dlq->choice;
    if (!choice->topic_partition && !choice->reason && !choice->since && !choice->key) {
        return error_set(err, ERROR_USAGE,
                         "which one? tallymill dlq show --at TOPIC_PARTITION:OFFSET, or the newest of --reason, --since or --key; "
                         "tallymill dlq names their places");
    }
    if (!dlq_newest(dlq->conn, choice, &dlq->place, &is_there, err)) {
        return false;
    }
    if (!is_there) {
        return error_set(err, ERROR_USAGE, "topic %s has no such dead letter%s", choice->topic,
                         choice->with_replayed ? "" : " that waits (--replayed: also those sent again, or without their bytes)");
    }
    dlq->choice.topic_partition = dlq->place.topic_partition;
    dlq->choice.offset = dlq->place.offset;
    printf("place: %s:%s (the newest; tallymill dlq names the others)\n", dlq->place.topic_partition, dlq->place.offset);
    return true;
}

static bool show(struct dlq *dlq, struct error *err)
{
    enum { BYTES_FROM = 7 };
    if (!dlq->choice.offset && !choose_newest(dlq, err)) {
        return false;
    }
    const char *values[] = {dlq->choice.topic, dlq->choice.topic_partition, dlq->choice.offset};
    PGresult *result = postgres_query_params(
        dlq->conn,
        "SELECT reason, detail, message_time, dead_at, replayed_at, emptied_at, batch_id, message_key, message_value "
        "FROM tallymill.dead_letters WHERE topic = $1 AND topic_partition = $2 AND kafka_offset = $3",
        3, values, DLQ_QUERY_US, err);
    if (!result) {
        return false;
    }
    const bool is_there = PQntuples(result) == 1;
    for (int column = 0; is_there && column < BYTES_FROM; column++) {
        printf("%s: ", PQfname(result, column));
        terminal_text(stdout, PQgetisnull(result, 0, column) ? "none" : PQgetvalue(result, 0, column));
        putchar('\n');
    }
    if (is_there) {
        print_bytes("message_key", result, BYTES_FROM, false);
        print_bytes("message_value", result, BYTES_FROM + 1, true);
    }
    PQclear(result);
    return is_there || error_set(err, ERROR_USAGE, "topic %s has no dead letter at %s:%s", dlq->choice.topic,
                                 dlq->choice.topic_partition, dlq->choice.offset);
}

/* Whether there is a dead letter at the place that was named, sent again or not. */
static bool is_place_known(const struct dlq *dlq, struct error *err)
{
    const struct dlq_choice *choice = &dlq->choice;
    if (!choice->topic_partition) {
        return true;
    }
    const char *values[] = {choice->topic, choice->topic_partition, choice->offset};
    PGresult *result = postgres_query_params(dlq->conn,
                                             "SELECT FROM tallymill.dead_letters WHERE topic = $1 AND topic_partition = $2 "
                                             "AND ($3::bigint IS NULL OR kafka_offset = $3) LIMIT 1",
                                             3, values, DLQ_QUERY_US, err);
    const bool is_known = result && PQntuples(result) > 0;
    if (result && !is_known) {
        error_set(err, ERROR_USAGE, "topic %s has no dead letter at %s", choice->topic, dlq->at);
    }
    PQclear(result);
    return is_known;
}

static bool replay(struct dlq *dlq, struct error *err)
{
    int64_t would = 0;
    if (dlq->is_dry) {
        const bool is_told = is_place_known(dlq, err) && choose_target(dlq, err) &&
                             dlq_dry_run(dlq->conn, dlq->settings, &dlq->choice, dlq->as_json, &would, err);
        dlq->exit_code = would > 0 ? 0 : 1;
        return is_told;
    }
    struct dlq_replay done = {.left_list = dlq->as_json ? json_array() : NULL};
    const bool is_done =
        is_place_known(dlq, err) && choose_target(dlq, err) && dlq_replay(dlq->conn, dlq->settings, &dlq->choice, &done, err);
    if (dlq->as_json) {
        json_t *answer = json_pack("{s:I, s:O?}", "sent", (json_int_t)done.sent, "left", done.left_list);
        answer_print(answer);
        json_decref(answer);
    } else if (is_done || done.sent > 0) {
        printf("sent %" PRId64 " dead letters to topic %s again%s\n", done.sent,
               dlq->choice.target ? dlq->choice.target : dlq->choice.topic,
               done.sent > 0               ? "; the workers store them, or bury them again with the reason"
               : dlq->choice.with_replayed ? ""
                                           : ": none waits (--replayed also takes those sent before)");
        if (done.left > 0) {
            printf("left %" PRId64 " that are too large for Kafka, each named above\n", done.left);
        }
    }
    json_decref(done.left_list);
    dlq->exit_code = done.sent > 0 && done.left == 0 ? 0 : 1;
    return is_done;
}

static bool discard(struct dlq *dlq, struct error *err)
{
    if (dlq->choice.reason || dlq->since || dlq->key || (dlq->at && dlq->place_count > 0)) {
        return error_set(
            err, ERROR_USAGE,
            "dlq discard names each dead letter: tallymill dlq discard TOPIC_PARTITION:OFFSET ... --yes, or one by --at");
    }
    char *at = (char *)dlq->at;
    return dlq_discard(dlq->conn, dlq->choice.topic, at ? &at : dlq->places, at ? 1 : dlq->place_count, dlq->is_confirmed,
                       dlq->as_json, err);
}

static bool run(struct dlq *dlq, const struct cli_result *command, struct error *err)
{
    static const struct {
        const char *name;
        bool (*run)(struct dlq *dlq, struct error *err);
        const char *role;
        bool takes_places, does_publish;
    } actions[] = {{"list", list, "tallymill_read", false, false},
                   {"show", show, "tallymill_admin", false, false},
                   {"replay", replay, "tallymill_admin", false, true},
                   {"discard", discard, "tallymill_admin", true, false}};
    const char *action = command->argument_count > 0 ? command->arguments[0] : "list";
    dlq->places = command->arguments + 1;
    dlq->place_count = command->argument_count - 1;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(actions[i].name, action) != 0) {
            continue;
        }
        if (dlq->place_count > 0 && !actions[i].takes_places) {
            return error_set(err, ERROR_USAGE, "%s: dlq %s takes no arguments", dlq->places[0], action);
        }
        if (command->check) {
            dlq->exit_code = ground_check(dlq->settings, &(struct ground){"tallymill dlq", actions[i].role,
                                                                          actions[i].does_publish ? dlq->choice.topic : NULL,
                                                                          RD_KAFKA_ACL_OPERATION_WRITE});
            return true;
        }
        dlq->conn = postgres_open(settings_text(dlq->settings, "postgres.dsn"), "tallymill dlq", CONNECT_US, err);
        /* A replay leaves the session idle while Kafka takes a page. */
        if (!dlq->conn || !postgres_check_schema(dlq->conn, err) ||
            !postgres_exec(dlq->conn, "SET idle_session_timeout = 0", DLQ_QUERY_US, err)) {
            return false;
        }
        return actions[i].run(dlq, err);
    }
    return error_set(err, ERROR_USAGE, "%s: dlq knows list, show, replay and discard", action);
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct dlq *dlq = context;
    dlq->settings = command->settings;
    if (!dlq->choice.topic) {
        dlq->choice.topic = settings_text(command->settings, "topics.events");
    }
    const bool is_done = check_reason(dlq->choice.reason, err) && read_place(dlq, err) && read_since(dlq, err) &&
                         read_key(dlq, err) && run(dlq, command, err);
    PQfinish(dlq->conn);
    free(dlq->key_text);
    return is_done ? dlq->exit_code : 0;
}

int dlq_run(int argc, char **argv)
{
    struct dlq dlq = {0};
    const struct cli_option options[] = {
        {.name = "topic",
         .argument = "TOPIC",
         .help = "all four: those in the books of this topic, closed ones (NAME@GENERATION) too; instead of topics.events",
         .value = &dlq.choice.topic},
        {.name = "reason",
         .argument = "REASON",
         .help = "list, replay: only dead letters of this reason; show: the newest of it",
         .value = &dlq.choice.reason},
        {.name = "at",
         .argument = "PLACE",
         .help = "the one at TOPIC_PARTITION:OFFSET; list, replay also those of a TOPIC_PARTITION, show the newest of it",
         .value = &dlq.at},
        {.name = "since",
         .argument = "AGE|DAY|TIME",
         .help = "list, show, replay: only those that died since then: 2 h, 2026-11-24, 2026-11-24T11:00:00Z",
         .value = &dlq.since},
        {.name = "key",
         .argument = "KEY",
         .help = "list, show, replay: only those of this Kafka key, mostly a session (tallymill_admin)",
         .value = &dlq.key},
        {.name = "limit", .argument = "N", .help = "list: the newest N instead of 20", .value = &dlq.limit},
        {.name = "dry-run", .help = "replay: say what would be sent, and send nothing", .flag = &dlq.is_dry},
        {.name = "replayed",
         .help = "list, show, replay: also those sent again before; list, show: also those whose bytes were dropped",
         .flag = &dlq.choice.with_replayed},
        {.name = "yes", .help = "discard: drop the bytes for good", .flag = &dlq.is_confirmed},
        {.name = "json", .help = "list, replay, discard: answer with one JSON object", .flag = &dlq.as_json},
        {.name = NULL},
    };
    const struct cli cli = {
        .program = "tallymill dlq",
        .usage = "[list | show --at PLACE | replay | discard PLACE ...] [OPTION ...]",
        .summary =
            "Dead letters: events that broke a rule, kept with their bytes, place and reason.\n"
            "list counts and names them (tallymill_read), with one of each reason and what it holds (tallymill_admin); show prints "
            "one with its bytes and what they say, and replay publishes the same bytes\n"
            "again after a fix, which stores each event at most once; one that is larger than Kafka takes is named and left.\n"
            "What is in closed books is sent to the topic of topics.events.\n"
            "Each option says for which of the four it is. For which reasons a replay can help: the runbook "
            "dead-letter-flood.md.\n"
            "discard settles dead letters for good: their bytes go, place and reason stay (both tallymill_admin).\n",
        .examples = "  tallymill dlq --config settings.ini\n"
                    "  tallymill dlq show --at 3:4711 --config settings.ini\n"
                    "  tallymill dlq replay --reason archived_month --config settings.ini\n"
                    "  tallymill dlq replay --since '2 h' --dry-run --config settings.ini\n"
                    "  tallymill dlq replay --topic analytics-events@1 --config settings.ini\n"
                    "  tallymill dlq discard 3:4711 3:4712 --yes --config settings.ini\n"
                    "  tallymill dlq discard --at 3:4711 --yes --config settings.ini\n",
        .exit_codes = "0 done; 1 failed, a restart may help, or replay sent none, or left one; 2 usage, settings or schema;\n"
                      "3 needs a person.",
        .options = options,
        .programs = FOR_OPERATOR,
    };
    return command_work(&cli, argc, argv, work, &dlq);
}
