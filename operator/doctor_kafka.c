/* doctor_kafka.c - what `tallymill doctor` asks Kafka: whether it lets us in, what the topic is like, and what waits in it. */
#include "operator/doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/kafka.h"
#include "common/kafka_reach.h"
#include "common/kafka_rights.h"
#include "common/number_text.h"
#include "common/settings.h"
#include "common/utf8.h"
#include "operator/answer.h"
#include "operator/terminal.h"
#include "operator/topic.h"
#include "operator/topic_compare.h"

extern const char status_troubles_sql[];

enum {
    TIMEOUT_MS = 6000,
    RIGHT_MS = 5000,
    TOLD_MAX = 5,
    LEAST_MESSAGE_BYTES = 4194304,
    LATE_SECONDS = 60,
    BEHIND_SECONDS = 300,
    STANDING_SECONDS = 5
};

static const char unstored[] = "what cannot be read from Kafka is not stored, and Kafka deletes it after a while";

static const char *topic_of(const struct doctor *doctor)
{
    return settings_text(doctor->settings, "topics.events");
}

static const char *servers_of(const struct doctor *doctor)
{
    size_t count;
    const struct kafka_setting *setting = settings_kafka(doctor->settings, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(setting[i].name, "bootstrap.servers") == 0) {
            return setting[i].value;
        }
    }
    return "HOST:9092";
}

/* An error whose text ends with what to do, cut in two; else `fallback` is what to do. */
static void tell_error(struct doctor *doctor, const char *object, const struct error *err, const char *fallback)
{
    static const char *const begins[] = {": kafka-acls ", ": put ",   ": write ", ": renew ",
                                         ": set ",        ": check ", ": give ",  "; run: "};
    char what[ERROR_TEXT_BYTES];
    const char *remedy = NULL, *from = NULL;
    for (size_t i = 0; i < sizeof begins / sizeof *begins && !remedy; i++) {
        from = strstr(err->text, begins[i]);
        remedy = from ? from + (begins[i][0] == ';' ? strlen(begins[i]) : 2) : NULL;
    }
    snprintf(what, sizeof what, "%.*s", from ? (int)(from - err->text) : (int)sizeof what - 1, err->text);
    doctor_tell(doctor, DOCTOR_FINDING, object, what, unstored, remedy ? remedy : fallback);
}

static void tell_unreachable(void *context, const struct error *err)
{
    tell_error(context, err->text, err,
               "systemctl start kafka -- on that broker's host; if it runs, correct its advertised.listeners");
}

void doctor_kafka(struct doctor *doctor)
{
    struct error err = {0};
    int topic_partitions = 0;
    char remedy[2 * DOCTOR_TEXT_BYTES], place[DOCTOR_TEXT_BYTES];
    rd_kafka_t *client = topic_client(doctor->settings, &err);
    doctor_place(doctor, "kafka.bootstrap.servers", place);
    snprintf(remedy, sizeof remedy, "systemctl start kafka -- on %.200s; if it runs there, correct %s", servers_of(doctor), place);
    if (!client) {
        tell_error(doctor, "client", &err, "tallymill-consumer --check -- names the setting");
        return;
    }
    if (!kafka_topic_partitions(client, topic_of(doctor), TIMEOUT_MS, &topic_partitions, &err)) {
        char cluster_id[TOPIC_CLUSTER_BYTES];
        topic_cluster(client, 0, cluster_id);
        tell_error(doctor, "topic", &err, cluster_id[0] ? "tallymill migrate" : remedy);
        rd_kafka_destroy(client);
        return;
    }
    doctor->client = client;
    doctor->has_topic = true;
    json_object_set_new(doctor->versions, "topic_partitions", json_integer(topic_partitions));
    kafka_reach(client, topic_of(doctor), TIMEOUT_MS, tell_unreachable, doctor);
}

void doctor_acls(struct doctor *doctor)
{
    struct error err = {0};
    if (!kafka_rights_topic(doctor->client, topic_of(doctor), RD_KAFKA_ACL_OPERATION_READ, RIGHT_MS, &err)) {
        err.kind == ERROR_USAGE ? tell_error(doctor, "topic", &err, "kafka-acls --add") : doctor_pass(doctor, "%s", err.text);
    }
    error_clear(&err);
    if (kafka_rights_group(doctor->client, settings_text(doctor->settings, "consumer.group"), RD_KAFKA_ACL_OPERATION_READ, RIGHT_MS,
                           &err)) {
        return;
    }
    if (err.kind == ERROR_USAGE && doctor->login.is_known && !doctor->login.is_worker) { /* nor need it */
        doctor_pass(doctor,
                    "whether the workers may join group %.100s: this login is not theirs, and may not; tallymill-consumer --check, "
                    "with their settings, asks",
                    settings_text(doctor->settings, "consumer.group"));
    } else if (err.kind == ERROR_USAGE) {
        tell_error(doctor, "group", &err, "kafka-acls --add");
    } else {
        doctor_pass(doctor, "%s", err.text);
    }
}

/* A setting of the topic that is not as it should be, with Kafka's own tool as the remedy. */
static void tell_setting(struct doctor *doctor, enum doctor_grade grade, const char *key, const char *value, const char *better,
                         const char *why)
{
    char what[DOCTOR_TEXT_BYTES], remedy[DOCTOR_TEXT_BYTES];
    snprintf(what, sizeof what, "topic %s has %s = %s", topic_of(doctor), key, value);
    snprintf(remedy, sizeof remedy,
             "kafka-configs.sh --bootstrap-server %.200s --alter --entity-type topics --entity-name %s --add-config %s=%s",
             servers_of(doctor), topic_of(doctor), key, better);
    doctor_tell(doctor, grade, key, what, why, remedy);
}

/* False: the broker does not say, and none of the others either. */
static bool read_setting(struct doctor *doctor, const char *key, char value[64])
{
    struct error err = {0};
    value[0] = '\0';
    if (!topic_setting(doctor->client, topic_of(doctor), key, RIGHT_MS, value, 64, &err)) {
        doctor_pass(doctor, "the topic's settings: %s", err.text);
        return false;
    }
    return true;
}

static void judge_settings(struct doctor *doctor, int copies)
{
    char value[64];
    if (!read_setting(doctor, "cleanup.policy", value)) {
        return;
    }
    if (strstr(value, "compact")) {
        tell_setting(doctor, DOCTOR_FINDING, "cleanup.policy", value, "delete",
                     "of all events with one key (a session) compaction keeps only the last: the others are lost where they were "
                     "not stored yet");
    }
    if (read_setting(doctor, "message.timestamp.type", value) && strcmp(value, "LogAppendTime") != 0) {
        tell_setting(doctor, DOCTOR_WARNING, "message.timestamp.type", value, "LogAppendTime",
                     "Kafka keeps events by the producer's time: an import of old ones is deleted at once, and one dated ahead is "
                     "kept for ever");
    }
    if (read_setting(doctor, "max.message.bytes", value) && strtoll(value, NULL, 10) < LEAST_MESSAGE_BYTES) {
        tell_setting(doctor, DOCTOR_WARNING, "max.message.bytes", value, "4194304",
                     "producers of ours send up to 4 MiB at once: Kafka refuses larger ones than this");
    }
    if (copies > 2 && read_setting(doctor, "min.insync.replicas", value) && strtol(value, NULL, 10) < 2) {
        tell_setting(doctor, DOCTOR_WARNING, "min.insync.replicas", value, "2",
                     "an event is acknowledged while only one broker has it, and lost with that broker's disk");
    }
    if (read_setting(doctor, "unclean.leader.election.enable", value) && strcmp(value, "true") == 0) {
        tell_setting(doctor, DOCTOR_WARNING, "unclean.leader.election.enable", value, "false",
                     "a broker that lacks acknowledged events may come to lead: they are lost, and the log is another one");
    }
}

/* Copies of each topic partition: too few for the brokers that there are, or some of them behind. Returns the smallest number. */
static int judge_copies(struct doctor *doctor)
{
    const struct rd_kafka_metadata *metadata;
    char what[DOCTOR_TEXT_BYTES];
    int copies = 0, behind = 0;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(doctor->client, topic_of(doctor), NULL);
    if (!topic || rd_kafka_metadata(doctor->client, 0, topic, &metadata, TIMEOUT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        doctor_pass(doctor, "Kafka did not tell about the topic");
        if (topic) {
            rd_kafka_topic_destroy(topic);
        }
        return 0;
    }
    const int brokers = metadata->broker_cnt, wanted = (int)settings_int(doctor->settings, "topics.replication");
    const struct rd_kafka_metadata_topic *about = metadata->topic_cnt > 0 ? &metadata->topics[0] : NULL;
    for (int i = 0; about && i < about->partition_cnt; i++) {
        const int here = about->partitions[i].replica_cnt;
        copies = i == 0 || here < copies ? here : copies;
        behind += about->partitions[i].isr_cnt < here;
    }
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
    const int possible = brokers < wanted ? brokers : wanted;
    if (copies > 0 && copies < possible) {
        snprintf(what, sizeof what,
                 "topic %s has %d copies of a topic partition; there are %d brokers, and topics.replication says %d",
                 topic_of(doctor), copies, brokers, wanted);
        doctor_tell(doctor, DOCTOR_WARNING, "copies", what, "with the disk of a broker acknowledged events are lost",
                    "kafka-reassign-partitions.sh -- with a plan that names more brokers for each topic partition");
    }
    if (behind > 0) {
        snprintf(what, sizeof what, "of %d topic partitions of %s some copies are behind", behind, topic_of(doctor));
        doctor_tell(doctor, DOCTOR_WARNING, "copies behind", what,
                    "a broker is down or slow; with another one the topic partition stands still",
                    "kafka-topics.sh --describe --under-replicated-partitions -- names the broker");
    }
    return copies;
}

static void judge_books(struct doctor *doctor)
{
    struct error err = {0};
    struct topic_compare compared;
    char what[DOCTOR_TEXT_BYTES], remedy[DOCTOR_TEXT_BYTES];
    if (!doctor->has_schema) {
        return;
    }
    if (!topic_compare(doctor->conn, doctor->client, topic_of(doctor), TIMEOUT_MS, &compared, &err)) {
        doctor_pass_error(doctor, &err);
        return;
    }
    snprintf(remedy, sizeof remedy, "tallymill topic renew %s --yes", topic_of(doctor));
    if (compared.is_retired) {
        snprintf(what, sizeof what, "the books of topic %s are closed", topic_of(doctor));
        doctor_tell(doctor, DOCTOR_FINDING, "books", what, "nothing of it is stored; if it was made anew, begin new books", remedy);
    } else if (compared.is_other_cluster || compared.match == TOPIC_IS_ANOTHER) {
        snprintf(what, sizeof what, "topic %s is not the one that the books are about: %s", topic_of(doctor), compared.difference);
        doctor_tell(doctor, DOCTOR_FINDING, "books", what, "nothing of it is stored, because offsets of two logs do not compare",
                    remedy);
    }
}

void doctor_topic(struct doctor *doctor)
{
    judge_books(doctor);
    judge_settings(doctor, judge_copies(doctor));
}

static void tell_troubles(struct doctor *doctor)
{
    PGresult *troubles = doctor_ask(doctor, status_troubles_sql);
    for (int row = 0; troubles && row < PQntuples(troubles); row++) {
        char what[2 * DOCTOR_TEXT_BYTES], age[TERMINAL_AGE_BYTES];
        const char *reason = answer_text(troubles, row, "reason"), *remedy = strstr(reason, "SELECT pg_terminate_backend");
        remedy = remedy ? remedy : strstr(reason, "kafka-acls --add");
        snprintf(what, sizeof what, "worker %s has not stored a batch for %s: %s", answer_text(troubles, row, "owner"),
                 terminal_age(age, answer_int(troubles, row, "since_us")), reason);
        doctor_tell(doctor, DOCTOR_FINDING, answer_text(troubles, row, "owner"), what, "its topic partitions wait",
                    remedy ? remedy
                           : "journalctl -u 'tallymill-consumer@*' -n 50 -- on its host; the other findings may name the cause");
    }
    PQclear(troubles);
}

/* Nobody is there to store what waits: as far as the logins tell, because none may. Which login is the workers' nobody knows here
 * but those who are connected; a superuser may store, and is no worker's login where another one is used to look. */
static void tell_nobody(struct doctor *doctor)
{
    char what[DOCTOR_TEXT_BYTES], number[NUMBER_TEXT_BYTES];
    const struct doctor_login *login = &doctor->login;
    const bool is_known = login->is_known && !(login->is_worker && login->is_reader); /* else this one may store itself */
    snprintf(what, sizeof what, "%s events wait in topic %s, and no worker is connected to Postgres%s%s",
             number_text(number, doctor->backlog.waiting), topic_of(doctor),
             is_known && login->may_store[0] ? "; these logins may store: " : "", is_known ? login->may_store : "");
    doctor_tell(doctor, DOCTOR_FINDING, "workers", what, unstored,
                "systemctl start tallymill-consumer@1 -- one that ends again says why: journalctl -u tallymill-consumer@1 -n 5");
    if (is_known && !login->may_store[0]) {
        doctor_tell(
            doctor, DOCTOR_FINDING, "tallymill_ingest", "no login has the role tallymill_ingest", "no worker may store",
            "GRANT tallymill_ingest TO the login of postgres.dsn in the workers' settings -- journalctl -u tallymill-consumer@1 "
            "-n 5 names it");
    }
}

/* A topic partition that waits: since long, or while its position does not move. The object names the position, so that one that
 * moves is not found again. */
static bool tell_log(struct doctor *doctor, int topic_partition)
{
    const struct backlog_log *log = &doctor->backlog.logs[topic_partition];
    const int64_t age_us = backlog_age_us(&doctor->backlog, topic_partition);
    const bool is_late = age_us > LATE_SECONDS * CLOCK_SECOND_US;
    const bool is_standing = log->commit_age_us < 0 || log->commit_age_us > STANDING_SECONDS * CLOCK_SECOND_US;
    char what[DOCTOR_TEXT_BYTES], object[64], number[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES], commit[TERMINAL_AGE_BYTES];
    if (log->waiting == 0 || (!is_late && !is_standing)) {
        return false;
    }
    snprintf(what, sizeof what, "topic partition %d: %s events wait, the oldest for %s; %s%.100s, last commit %s%s",
             topic_partition, number_text(number, log->waiting), age_us >= 0 ? terminal_age(age, age_us) : "an unknown time",
             log->owner[0] ? "owner " : "nobody owns it", log->owner,
             log->commit_age_us >= 0 ? terminal_age(commit, log->commit_age_us) : "never", log->commit_age_us >= 0 ? " ago" : "");
    if (is_standing) {
        snprintf(object, sizeof object, "topic partition %d at %" PRId64, topic_partition, log->next_offset);
        doctor_tell(
            doctor, DOCTOR_FINDING, object, what,
            "its worker is refused something, was stopped, stopped reading it, or hangs: its log says why",
            "journalctl -u 'tallymill-consumer@*' -n 50 -- on the owner's host, then tallymill-consumer --check as the worker; "
            "systemctl restart only where neither names a cause");
    } else {
        snprintf(object, sizeof object, "topic partition %d", topic_partition);
        doctor_tell(doctor, age_us > BEHIND_SECONDS * CLOCK_SECOND_US ? DOCTOR_FINDING : DOCTOR_WARNING, object, what,
                    "more is sent than is stored: more workers help up to the number of topic partitions, then a faster Postgres "
                    "(the checks of server and foreign)",
                    "systemctl start tallymill-consumer@2 -- or the next number that does not run");
    }
    return true;
}

void doctor_workers(struct doctor *doctor)
{
    struct error err = {0};
    if (!doctor->has_schema) {
        doctor_pass(doctor, "there is no schema that it could be asked of");
        return;
    }
    PGresult *positions =
        doctor_ask(doctor, backlog_positions_sql); /* anew: what is compared with its end must be no older than that */
    if (!positions) {
        return;
    }
    backlog_free(&doctor->backlog);
    PQclear(doctor->positions);
    doctor->positions = positions;
    tell_troubles(doctor);
    if (!backlog_read(positions, doctor->client, topic_of(doctor), TIMEOUT_MS, true, &doctor->backlog, NULL, &err)) {
        doctor_pass(doctor, "%s", err.text);
    } else if (doctor->backlog.waiting > 0 && doctor->consumers == 0) {
        tell_nobody(doctor);
    } else {
        for (int i = 0, told = 0; i < doctor->backlog.count && told < TOLD_MAX; i++) {
            told += tell_log(doctor, i);
        }
    }
}

void doctor_retention(struct doctor *doctor)
{
    char value[64], better[32], what[DOCTOR_TEXT_BYTES], number[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES],
        keeps[TERMINAL_AGE_BYTES];
    if (!read_setting(doctor, "retention.ms", value)) {
        return;
    }
    const int64_t keeps_us = strtoll(value, NULL, 10) * 1000; /* below 0: for ever */
    const int64_t longest_us = doctor->backlog.logs ? backlog_longest_us(&doctor->backlog) : -1;
    const int64_t week_ms = 7 * CLOCK_DAY_US / 1000, four_times_ms = longest_us / 250;
    snprintf(better, sizeof better, "%" PRId64, four_times_ms > week_ms ? four_times_ms : week_ms);
    if (doctor->backlog.lost > 0) {
        snprintf(what, sizeof what, "Kafka has deleted %s events of topic %s before they were stored (retention.ms = %s)",
                 number_text(number, doctor->backlog.lost), topic_of(doctor), value);
        doctor_tell(doctor, DOCTOR_FINDING, "gap", what,
                    "they are lost; a worker notes them in tallymill.gaps, and what still waits may follow",
                    "tallymill audit -- lists the gaps; then start workers, and give retention.ms more time");
    }
    if (keeps_us >= 0 && longest_us > keeps_us / 2) {
        terminal_age(age, longest_us);
        char because[DOCTOR_TEXT_BYTES];
        snprintf(because, sizeof because, "events wait for %s, and Kafka keeps them for %s: what is not stored in time is lost",
                 age, terminal_age(keeps, keeps_us));
        tell_setting(doctor, DOCTOR_FINDING, "retention.ms", value, better, because);
    } else if (keeps_us >= 0 && keeps_us < 3600 * CLOCK_SECOND_US) {
        tell_setting(doctor, DOCTOR_WARNING, "retention.ms", value, better,
                     "an outage of Postgres that lasts longer than that loses events");
    }
}
