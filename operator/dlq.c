/* dlq.c - `tallymill dlq`: looks at dead letters, and sends them again after a fix.
 *
 * Counting and listing need tallymill_read and show no contents; `show` and `replay` need tallymill_admin, because an event's
 * contents may be personal. A replayed dead letter stays in the table with replayed_at, and one whose bytes were dropped with emptied_at:
 * the ledger's count of it stays true.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "answer.h"
#include "cli.h"
#include "command.h"
#include "dlq.h"
#include "place.h"
#include "postgres.h"
#include "settings.h"
#include "table.h"
#include "terminal.h"

enum { LISTED = 20 };
#define CONNECT_US INT64_C(10000000)
#define QUERY_US   INT64_C(60000000)

extern const char dlq_counts_sql[], dlq_list_sql[];

struct dlq {
    PGconn *conn;
    const struct settings *settings;
    struct dlq_choice choice;
    const char *at; /* "PARTITION:OFFSET" */
    struct place place;
    bool as_json;
};

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

static PGresult *ask(const struct dlq *dlq, const char *sql, const char *limit, struct error *err)
{
    const struct dlq_choice *choice = &dlq->choice;
    const char *values[] = {
        choice->topic, choice->reason, choice->topic_partition, choice->offset, choice->with_replayed ? "t" : "f", limit};
    return postgres_query_params(dlq->conn, sql, limit ? 6 : 5, values, QUERY_US, err);
}

static void print_table(const PGresult *result, const char *sides, const char *const *heads)
{
    struct table *table = table_new(sides, heads);
    for (int row = 0; row < PQntuples(result); row++) {
        const char *cells[TABLE_COLUMNS_MAX] = {NULL};
        for (int column = 0; column < PQnfields(result); column++) {
            cells[column] = PQgetisnull(result, row, column) ? "" : PQgetvalue(result, row, column);
        }
        table_add(table, cells);
    }
    table_print(table, "", stdout);
    table_free(table);
}

static bool list(const struct dlq *dlq, struct error *err)
{
    static const char *const count_heads[] = {"reason", "dead letters", "replayed", "emptied", "first", "last"};
    static const char *const list_heads[] = {"topic partition", "offset", "reason", "dead since", "replayed", "emptied"};
    char limit[16];
    snprintf(limit, sizeof limit, "%d", LISTED);
    PGresult *counts = ask(dlq, dlq_counts_sql, NULL, err), *letters = counts ? ask(dlq, dlq_list_sql, limit, err) : NULL;
    if (letters && dlq->as_json) {
        json_t *answer = json_pack("{s:o, s:o}", "reasons", answer_array(counts), "newest", answer_array(letters));
        answer_print(answer);
        json_decref(answer);
    } else if (letters && PQntuples(counts) == 0) {
        printf("topic %s has no dead letters%s\n", dlq->choice.topic,
               dlq->choice.with_replayed ? "" : " that wait (--replayed shows those sent again, and those whose bytes were dropped)");
    } else if (letters) {
        print_table(counts, "lrrrll", count_heads);
        printf("\nthe newest%s:\n", PQntuples(letters) == LISTED ? " 20" : "");
        print_table(letters, "rrllll", list_heads);
        printf(
            "\ntallymill dlq show --at TOPIC_PARTITION:OFFSET shows one with its bytes; tallymill dlq replay sends them again\n");
    }
    PQclear(counts);
    PQclear(letters);
    return letters != NULL;
}

/* 16 bytes a line, as hexdump -C: what was sent is often not text at all. */
static void print_bytes(const char *name, const PGresult *result, int column)
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
    PQfreemem(bytes);
}

static bool show(const struct dlq *dlq, struct error *err)
{
    enum { BYTES_FROM = 7 };
    const char *values[] = {dlq->choice.topic, dlq->choice.topic_partition, dlq->choice.offset};
    if (!dlq->choice.offset) {
        return error_set(err, ERROR_USAGE, "which one? tallymill dlq show --at TOPIC_PARTITION:OFFSET");
    }
    PGresult *result =
        postgres_query_params(dlq->conn,
                              "SELECT reason, detail, message_time, dead_at, replayed_at, emptied_at, batch_id, message_key, message_value "
                              "FROM tallymill.dead_letters WHERE topic = $1 AND topic_partition = $2 AND kafka_offset = $3",
                              3, values, QUERY_US, err);
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
        print_bytes("message_key", result, BYTES_FROM);
        print_bytes("message_value", result, BYTES_FROM + 1);
    }
    PQclear(result);
    return is_there || error_set(err, ERROR_USAGE, "topic %s has no dead letter at %s", dlq->choice.topic, dlq->at);
}

static bool replay(const struct dlq *dlq, struct error *err)
{
    struct dlq_replay done = {0, 0};
    const bool is_done = dlq_replay(dlq->conn, dlq->settings, &dlq->choice, &done, err);
    if (dlq->as_json) {
        printf("{\"sent\": %" PRId64 "}\n", done.sent);
    } else if (is_done || done.sent > 0) {
        printf("sent %" PRId64 " dead letters to topic %s again; the workers store them, or bury them again with the reason\n",
               done.sent, dlq->choice.topic);
    }
    return is_done;
}

static bool run(struct dlq *dlq, const struct cli_result *command, struct error *err)
{
    static const struct {
        const char *name;
        bool (*run)(const struct dlq *dlq, struct error *err);
    } actions[] = {{"list", list}, {"show", show}, {"replay", replay}};
    const char *action = command->argument_count > 0 ? command->arguments[0] : "list";
    if (command->argument_count > 1) {
        return error_set(err, ERROR_USAGE, "%s: dlq takes one word: list, show or replay", command->arguments[1]);
    }
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(actions[i].name, action) != 0) {
            continue;
        }
        dlq->conn = postgres_open(settings_text(dlq->settings, "postgres.dsn"), "tallymill dlq", CONNECT_US, err);
        if (!dlq->conn || !postgres_check_schema(dlq->conn, err)) {
            return false;
        }
        if (command->check) {
            puts("settings, server and schema are in order");
            return true;
        }
        return actions[i].run(dlq, err);
    }
    return error_set(err, ERROR_USAGE, "%s: dlq knows list, show and replay", action);
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct dlq *dlq = context;
    dlq->settings = command->settings;
    dlq->choice.topic = settings_text(command->settings, "topics.events");
    if (read_place(dlq, err)) {
        run(dlq, command, err);
    }
    PQfinish(dlq->conn);
    return 0;
}

int dlq_run(int argc, char **argv)
{
    struct dlq dlq = {0};
    const struct cli_option options[] = {
        {.name = "reason", .argument = "REASON", .help = "only dead letters of this reason", .value = &dlq.choice.reason},
        {.name = "at", .argument = "PLACE", .help = "only TOPIC_PARTITION, or TOPIC_PARTITION:OFFSET", .value = &dlq.at},
        {.name = "replayed", .help = "also those sent again before; in lists also those whose bytes were dropped", .flag = &dlq.choice.with_replayed},
        {.name = "json", .help = "answer with one JSON object", .flag = &dlq.as_json},
        {.name = NULL},
    };
    const struct cli cli = {
        .program = "tallymill dlq",
        .usage = "[list | show | replay] [OPTION ...]",
        .summary =
            "Dead letters: events that broke a rule, kept with their bytes, place and reason.\n"
            "list counts and names them (tallymill_read); show prints one with its bytes, and replay publishes the same bytes\n"
            "again after a fix, which stores each event at most once (tallymill_admin).\n",
        .examples = "  tallymill dlq --config settings.ini\n"
                    "  tallymill dlq show --at 3:4711 --config settings.ini\n"
                    "  tallymill dlq replay --reason archived_month --config settings.ini\n",
        .options = options,
        .programs = FOR_OPERATOR,
    };
    return command_work(&cli, argc, argv, work, &dlq);
}
