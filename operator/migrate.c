/* migrate.c - `tallymill migrate`: the schema, the rollups, the topic where it is missing, and the months ahead.
 *
 * Everything is checked before anything is changed, and each step leaves something whole: a migration commits with its row, a topic
 * is there or not, a month is attached or not. So the answer to any failure is to run it again. The topic comes last but one: a
 * database that refuses must not leave a topic behind that producers would start to fill. A rollup file with an error is named and
 * holds up nothing else: everything is done, and then the exit code is 2.
 */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/check.h"
#include "common/check_kafka.h"
#include "common/cli.h"
#include "common/clock.h"
#include "common/kafka.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "common/utf8.h"
#include "operator/command.h"
#include "operator/migrate_report.h"
#include "operator/month_indexes.h"
#include "operator/months.h"
#include "operator/rollups.h"
#include "operator/schema.h"
#include "operator/subjects.h"
#include "operator/topic.h"
#include "operator/topic_compare.h"

enum { KAFKA_TIMEOUT_MS = 10000 };

#define OPEN_US (10 * CLOCK_SECOND_US)

/* A topic's own settings. LogAppendTime: Kafka dates the messages itself, so that an import of old events does not fall to
 * retention at once and a wrong clock is not refused. 4 MiB: the producer's own limit for a batch of messages. */
static const struct kafka_forced topic_settings[] = {
    {"message.timestamp.type", "LogAppendTime"},
    {"max.message.bytes", "4194304"},
    {NULL, NULL},
};

/* Says where a topic that was there already differs from one of ours; nothing is changed, because others may use it too. */
static void compare_topic(rd_kafka_t *client, const char *name, struct migrate_report *report)
{
    for (const struct kafka_forced *wanted = topic_settings; wanted->name; wanted++) {
        char value[64];
        struct error err = {0};
        size_t used = strlen(report->topic_warning);
        if (!topic_setting(client, name, wanted->name, KAFKA_TIMEOUT_MS, value, sizeof value, &err)) {
            snprintf(report->topic_warning, sizeof report->topic_warning, "its settings could not be read (%.*s)",
                     UTF8_CUT(err.text, 150));
            return;
        }
        if (strcmp(value, wanted->value) != 0) {
            snprintf(report->topic_warning + used, sizeof report->topic_warning - used, "%s%s is %s, not %s", used ? "; " : "",
                     wanted->name, value, wanted->value);
        }
    }
}

/* Says where the topic is not the one that the books are about. True: it may be made, or is there. False with no error: another
 * cluster, where nothing is made. */
static bool compare_books(PGconn *conn, rd_kafka_t *client, struct migrate_report *report, struct error *err)
{
    struct topic_compare compared;
    if (!topic_compare(conn, client, report->topic, KAFKA_TIMEOUT_MS, &compared, err)) {
        return false;
    }
    if (compared.is_other_cluster) {
        snprintf(report->topic_refusal, sizeof report->topic_refusal,
                 "%s: offsets of two clusters do not compare, nothing was made there; give the topic another name, or, if it was "
                 "made anew there for good: "
                 "tallymill topic renew %s",
                 compared.difference, report->topic);
        return false;
    }
    if (compared.is_retired) {
        snprintf(report->topic_refusal, sizeof report->topic_refusal,
                 "its books are closed, nothing of it will be stored; if it was made anew: tallymill topic renew %s",
                 report->topic);
    } else if (compared.match == TOPIC_IS_ANOTHER) {
        snprintf(report->topic_refusal, sizeof report->topic_refusal,
                 "it is not the topic that the books are about: %s; nothing of it will be stored before: tallymill topic renew %s",
                 compared.difference, report->topic);
    }
    return true;
}

/* Says where a topic that is there has not as many topic partitions as the settings say: nothing makes fewer of them, and more move
 * keys. */
static void compare_count(const struct settings *settings, struct migrate_report *report)
{
    const int wanted = (int)settings_int(settings, "topics.partitions");
    const size_t used = strlen(report->topic_warning);
    if (report->topic_partitions != wanted) {
        snprintf(report->topic_warning + used, sizeof report->topic_warning - used,
                 "%sit has %d topic partitions, topics.partitions says %d", used ? "; " : "", report->topic_partitions, wanted);
    }
}

static bool make_topic(const struct settings *settings, PGconn *conn, struct migrate_report *report, struct error *err)
{
    rd_kafka_t *client = topic_client(settings, err);
    if (!client) {
        return false;
    }
    error_clear(err); /* whether there is one decides below */
    if (!compare_books(conn, client, report, err)) {
        rd_kafka_destroy(client);
        return err->kind == ERROR_NONE;
    }
    report->topic_asked = true;
    bool is_there = kafka_topic_make(client, report->topic, (int)settings_int(settings, "topics.partitions"),
                                     (int)settings_int(settings, "topics.replication"), topic_settings, KAFKA_TIMEOUT_MS,
                                     &report->topic_made, &report->topic_partitions, err);
    if (is_there && !report->topic_made) {
        compare_topic(client, report->topic, report);
        compare_count(settings, report);
    } else if (is_there && report->topic_refusal[0] == '\0') {
        compare_books(conn, client, report, err); /* one that was gone is another now */
        is_there = err->kind == ERROR_NONE;
    }
    rd_kafka_destroy(client);
    return is_there;
}

static bool check_database(struct check *check, const struct settings *settings, PGconn *conn, struct migrate_report *report,
                           const char *retired)
{
    struct error err = {0};
    if (!schema_look(conn, &report->ground, &err)) {
        return check_found(check, &err);
    }
    migrate_report_schema(report, true);
    if (!rollups_check(conn, settings, retired, &report->rollups, &err)) {
        return check_found(check, &err);
    }
    migrate_report_rollups(report, true);
    if (!subjects_define(conn, settings, true, &report->subjects, report->rollups.refused, &err)) {
        return check_found(check, &err);
    }
    migrate_report_subjects(report, true);
    return true;
}

/* A topic that is there is compared; of one that is not, the brokers are asked whether they would let us make it. */
static void check_topic(struct check *check, const struct settings *settings, rd_kafka_t *client, struct migrate_report *report)
{
    struct error err = {0};
    bool is_missing;
    if (!kafka_topic_try(client, report->topic, (int)settings_int(settings, "topics.partitions"),
                         (int)settings_int(settings, "topics.replication"), topic_settings, KAFKA_TIMEOUT_MS, &is_missing,
                         &report->topic_partitions, &err)) {
        check_found(check, &err);
    } else if (is_missing) {
        printf("topic   %s, to be made\n", report->topic);
    } else {
        printf("topic   %s, there already, %d topic partitions\n", report->topic, report->topic_partitions);
        compare_topic(client, report->topic, report);
        compare_count(settings, report);
        check_kafka(check, client, report->topic, NULL, 0, &report->topic_partitions);
    }
}

/* --check: what would be done, without doing it; and all that keeps it from being done. conn is NULL when the database lets nobody
 * in: Kafka is asked all the same. */
static int check(const struct settings *settings, PGconn *conn, struct migrate_report *report, const char *retired, bool no_topic,
                 const struct error *refused)
{
    struct error err = {0};
    struct check check = {.program = "tallymill migrate"};
    if (!conn) {
        check_found(&check, refused);
    }
    const bool is_read = conn && check_database(&check, settings, conn, report, retired);
    rd_kafka_t *client = no_topic ? NULL : topic_client(settings, &err);
    if (client && is_read && !compare_books(conn, client, report, &err)) {
        if (err.kind != ERROR_NONE) {
            check_found(&check, &err);
        }
    } else if (client) {
        check_topic(&check, settings, client, report);
    } else if (!no_topic) {
        check_found(&check, &err);
    }
    if (client) {
        rd_kafka_destroy(client);
    }
    return check_exit_code(&check);
}

static bool migrate(const struct settings *settings, PGconn *conn, struct migrate_report *report, const char *retired,
                    bool no_topic, struct error *err)
{
    return schema_claim_objects(conn, &report->given_back, err) && schema_look(conn, &report->ground, err) &&
           schema_apply(conn, &report->done, err) && rollups_define(conn, settings, retired, &report->rollups, err) &&
           subjects_define(conn, settings, false, &report->subjects, report->rollups.refused, err) &&
           (no_topic || make_topic(settings, conn, report, err)) && month_indexes_build(conn, &report->indexes, err) &&
           months_make(conn, &report->months, err);
}

/* The rollups of --retire, as an array for Postgres. */
struct retired {
    char names[4096];
};

static bool add_retired(void *context, const char *name, struct error *err)
{
    struct retired *retired = context;
    const size_t used = strlen(retired->names) - 1; /* without the brace that closes it */
    if (name[0] == '\0' || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name)) {
        return error_set(err, ERROR_USAGE, "--retire: a rollup has a name of small letters, digits and '_'");
    }
    const int added = snprintf(retired->names + used, sizeof retired->names - used, "%s%s}", used > 1 ? "," : "", name);
    return added > 0 && (size_t)added < sizeof retired->names - used ? true
                                                                     : error_set(err, ERROR_USAGE, "--retire: too many of them");
}

static const char summary[] =
    "Makes or updates the schema (each migration in one transaction, then the functions and views), defines the rollups of "
    "rollups.dir and the subjects "
    "of uniques (a file with an error is named\nand the others go on), makes the topic where it is missing, and the months ahead.\n"
    "Safe to repeat, safe beside running workers, safe twice at once. --check says what would be done.\n"
    "Needs a login that may create roles and owns the database, once; later a member of tallymill_admin.\n";

static const char examples[] =
    "  tallymill migrate --config settings.ini\n  tallymill migrate --config settings.ini --set topics.partitions=32\n";

/* What the command line asks for. */
struct wishes {
    bool no_topic, as_json;
    struct retired retired;
};

/* Does it, or says what would be done; the exit code, but for what err says. */
static int migrate_or_check(const struct cli_result *command, const struct wishes *wishes, struct migrate_report *report,
                            struct error *err)
{
    if (command->argument_count > 0) {
        error_set(err, ERROR_USAGE, "%s: migrate takes no arguments", command->arguments[0]);
        return 0;
    }
    int exit_code = 0;
    PGconn *conn = postgres_open(settings_text(command->settings, "postgres.dsn"), "tallymill migrate", OPEN_US, err);
    if (command->check) {
        exit_code = check(command->settings, conn, report, wishes->retired.names, wishes->no_topic, err);
        error_clear(err);
    } else if (conn && migrate(command->settings, conn, report, wishes->retired.names, wishes->no_topic, err)) {
        exit_code = wishes->as_json ? migrate_report_json(report) : (migrate_report_print(report), 0);
    }
    PQfinish(conn);
    return exit_code;
}

int migrate_run(int argc, char **argv)
{
    struct wishes wishes = {.retired = {"{}"}};
    const struct cli_option options[] = {
        {.name = "retire",
         .argument = "ROLLUP",
         .help = "end a rollup whose file is gone: its table stays as it is",
         .each = add_retired,
         .context = &wishes.retired},
        {.name = "no-topic", .help = "leave Kafka alone: somebody else makes the topic", .flag = &wishes.no_topic},
        {.name = "json", .help = "report as one JSON object", .flag = &wishes.as_json},
        {.name = NULL},
    };
    const struct cli cli = {.program = "tallymill migrate",
                            .usage = "[OPTION ...]",
                            .summary = summary,
                            .examples = examples,
                            .options = options,
                            .programs = FOR_OPERATOR};
    struct cli_result result = {0};
    struct error err = {0};
    int exit_code = 0;
    if (!cli_start(&cli, argc, argv, &result, &exit_code)) {
        return exit_code;
    }
    struct migrate_report report = {.topic = settings_text(result.settings, "topics.events"),
                                    .months.ahead = (int)settings_int(result.settings, "aggregator.months_ahead")};
    exit_code = migrate_or_check(&result, &wishes, &report, &err);
    migrate_report_talk(&report, result.check);
    const bool has_damage = months_print(&report.months);
    month_indexes_print(&report.indexes);
    if (err.kind != ERROR_NONE) {
        exit_code = cli_fail(&cli, &err);
    } else if (exit_code == 0 && (has_damage || report.topic_refusal[0] != '\0' || json_array_size(report.rollups.refused) > 0)) {
        exit_code = 2;
    }
    rollups_report_free(&report.rollups);
    months_report_free(&report.months);
    settings_free(result.settings);
    return cli_end_output(&cli, exit_code);
}
