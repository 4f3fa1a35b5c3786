/* topic_books.c - `tallymill topic retire NAME` and `tallymill topic renew NAME`: what becomes of a topic's books when the topic is
 * no more.
 *
 * A topic that was deleted, or is on a cluster that is no more, will never be read to its end; and one that was made anew under its
 * name is another log, whose offsets mean other events. Both need a person's word, for it is a loss that nobody can count: what the
 * old log held beyond the ledger's position is gone. Nothing is taken from the books: they are closed, and audit goes on counting
 * them. Kafka is asked first, and what is not so is refused: a topic that is still there with events to be read is not over, and
 * one that is still the ledger's was not made anew.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/check_postgres.h"
#include "common/cli.h"
#include "common/kafka_rights.h"
#include "common/number_text.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "operator/command.h"
#include "operator/terminal.h"
#include "operator/topic.h"
#include "operator/topic_compare.h"

enum { KAFKA_MS = 10000 };
#define CONNECT_US INT64_C(10000000)
#define QUERY_US   INT64_C(120000000)

struct action {
    const struct settings *settings;
    const char *name;
    bool is_confirmed, is_check;
    PGconn *conn;
    struct topic_compare compared;
};

static bool retire(struct action *action, struct error *err)
{
    const struct topic_compare *compared = &action->compared;
    char number[NUMBER_TEXT_BYTES];
    if (compared->is_retired) {
        return error_set(err, ERROR_USAGE, "the books of topic %s are closed already", action->name);
    }
    const bool is_there = compared->match == TOPIC_IS_THE_LEDGERS || (compared->match == TOPIC_IS_ANOTHER && compared->is_same_id);
    if (is_there && compared->unread > 0) {
        return error_set(
            err, ERROR_USAGE,
            "topic %s is there, and %s events of it are not stored yet: let a worker read it to its end, or delete the topic",
            action->name, number_text(number, compared->unread));
    }
    if (action->is_check) {
        puts("settings, servers and schema are in order; its books can be closed");
        return true;
    }
    if (!action->is_confirmed) {
        return error_set(err, ERROR_USAGE, "nothing of topic %s will ever be stored again; add --yes if that is meant",
                         action->name);
    }
    const char *values[] = {action->name};
    PGresult *result = postgres_query_params(action->conn, "SELECT tallymill.retire_topic($1)", 1, values, QUERY_US, err);
    if (result) {
        fputs("the books of topic ", stdout);
        terminal_text(stdout, action->name);
        printf(" are closed: %s offsets; audit goes on counting them\n",
               number_text(number, strtoll(PQgetvalue(result, 0, 0), NULL, 10)));
    }
    PQclear(result);
    return result != NULL;
}

static bool renew(struct action *action, struct error *err)
{
    const struct topic_compare *compared = &action->compared;
    if (compared->match == TOPIC_IS_THE_LEDGERS) {
        return error_set(err, ERROR_USAGE, "topic %s was not made anew: it is still the one that the books are about",
                         action->name);
    }
    if (compared->match == TOPIC_IS_GONE) {
        return error_set(err, ERROR_USAGE, "topic %s is not there: make it first (tallymill migrate), then renew its books",
                         action->name);
    }
    if (action->is_check) {
        puts("settings, servers and schema are in order; new books can be begun");
        return true;
    }
    if (!action->is_confirmed) {
        return error_set(err, ERROR_USAGE,
                         "new books begin at offset 0 of the topic that is there now (%s); what the one before held and was not "
                         "stored is given up; "
                         "add --yes if that is meant",
                         compared->difference);
    }
    const char *values[] = {action->name, compared->topic_id, compared->cluster_id};
    PGresult *result = postgres_query_params(action->conn, "SELECT tallymill.renew_topic($1, $2, $3)", 3, values, QUERY_US, err);
    if (result) {
        fputs("topic ", stdout);
        terminal_text(stdout, action->name);
        printf(" begins at offset 0 with new books; the old ones are closed, as %s\n", PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return result != NULL;
}

static bool run(struct action *action, bool (*act)(struct action *action, struct error *err), struct error *err)
{
    action->conn = postgres_open(settings_text(action->settings, "postgres.dsn"), "tallymill topic", CONNECT_US, err);
    rd_kafka_t *client = action->conn && postgres_check_schema(action->conn, err) ? topic_client(action->settings, err) : NULL;
    bool is_done = client && topic_compare(action->conn, client, action->name, KAFKA_MS, &action->compared, err);
    if (is_done && !action->compared.is_known) {
        is_done = error_set(err, ERROR_USAGE, "the books know no topic %s", action->name);
    }
    is_done = is_done && act(action, err);
    if (client) {
        rd_kafka_destroy(client);
    }
    PQfinish(action->conn);
    return is_done;
}

/* --check: all that is wrong with servers and rights. The topic need not be there. */
static int check(const struct action *action)
{
    struct error err = {0};
    struct check check = {.program = "tallymill topic"};
    check_postgres(&check, settings_text(action->settings, "postgres.dsn"), "tallymill_admin", NULL);
    rd_kafka_t *client = topic_client(action->settings, &err);
    if (!client || !kafka_rights_topic(client, action->name, RD_KAFKA_ACL_OPERATION_DESCRIBE, KAFKA_MS, &err)) {
        check_found(&check, &err);
    }
    if (client) {
        rd_kafka_destroy(client);
    }
    return check_exit_code(&check);
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct action *action = context;
    const char *word = command->argument_count > 0 ? command->arguments[0] : "";
    bool (*act)(struct action * action, struct error * err) = strcmp(word, "retire") == 0  ? retire
                                                              : strcmp(word, "renew") == 0 ? renew
                                                                                           : NULL;
    action->settings = command->settings;
    action->is_check = command->check;
    if (!act || command->argument_count != 2) {
        error_set(err, ERROR_USAGE,
                  "what, and which topic? tallymill topic retire NAME --yes, or tallymill topic renew NAME --yes");
        return 0;
    }
    action->name = command->arguments[1];
    const int exit_code = action->is_check ? check(action) : 0;
    if (exit_code == 0) {
        run(action, act, err);
    }
    return exit_code;
}

int topic_run(int argc, char **argv)
{
    struct action action = {0};
    const struct cli_option options[] = {
        {.name = "yes", .help = "do it", .flag = &action.is_confirmed},
        {.name = NULL},
    };
    const struct cli cli = {
        .program = "tallymill topic",
        .usage = "retire NAME --yes | renew NAME --yes [OPTION ...]",
        .summary = "retire closes the books of a topic that is over (deleted, or its cluster is no more): audit goes on counting "
                   "them, as retired.\n"
                   "renew begins a topic that was deleted and made anew under its name at offset 0, with new books; the old ones "
                   "are closed.\n"
                   "Both ask Kafka first, and refuse what is not so. Needs a login with tallymill_admin.\n",
        .examples = "  tallymill topic retire old-events --yes --config settings.ini\n  tallymill topic renew analytics-events "
                    "--yes --config settings.ini\n",
        .options = options,
        .programs = FOR_OPERATOR,
    };
    return command_work(&cli, argc, argv, work, &action);
}
