/* worker_check.c - `tallymill-consumer --check`: what the worker would meet, asked without doing it.
 *
 * Each question is put whatever became of the others, so that one run tells all that is wrong: Postgres is asked while Kafka is
 * away, and the other way round. To open a worker and close it again was rejected: it joined the group, which made the others
 * rebalance, and with the name of a running one it put an end to that.
 */
#include "consumer/worker.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/catalogue.h"
#include "common/check.h"
#include "common/check_kafka.h"
#include "common/check_postgres.h"
#include "common/clock.h"
#include "common/kafka.h"
#include "common/monitor.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "consumer/identity.h"
#include "consumer/source_conf.h"
#include "consumer/worker_state.h"

enum { ANSWER_MS = 6000 };

struct subject {
    const struct settings *settings;
    struct check check;
    const char *topic;
    char cluster_id[128];                /* "" when no broker has told it */
    char topic_id[KAFKA_TOPIC_ID_BYTES]; /* likewise */
};

static void check_files(struct subject *subject)
{
    struct error err;
    struct catalogue *catalogue = catalogue_load(settings_text(subject->settings, "catalogue.file"), &err);
    if (catalogue == NULL)
        check_found(&subject->check, &err);
    catalogue_free(catalogue);
    if (!monitor_check(subject->settings, &err))
        check_found(&subject->check, &err);
}

/* That a broker gives no id, or does not answer, is told by others. */
static void ask_topic_id(struct subject *subject, rd_kafka_t *handle)
{
    struct identity identity = {0};
    struct pollfd answers = {.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .events = POLLIN};
    identity_ask(&identity, handle, subject->topic, answers.fd, clock_now_us());
    if (poll(&answers, 1, ANSWER_MS) == 1 && identity_look(&identity, handle) && identity.state == IDENTITY_KNOWN)
        snprintf(subject->topic_id, sizeof subject->topic_id, "%s", identity.topic_id);
    identity_reset(&identity);
    close(answers.fd);
}

static void ask_kafka(struct subject *subject, rd_kafka_t *handle)
{
    int count;
    const struct check_right rights[] = {
        {"topic", subject->topic, RD_KAFKA_ACL_OPERATION_READ},
        {"group", settings_text(subject->settings, "consumer.group"), RD_KAFKA_ACL_OPERATION_READ}};
    if (check_kafka(&subject->check, handle, subject->topic, rights, sizeof rights / sizeof *rights, &count))
        printf("Kafka: topic %s, its %d topic partitions, their leaders and our rights: good\n", subject->topic, count);
    ask_topic_id(subject, handle);
    char *cluster_id = rd_kafka_clusterid(handle, 0); /* known by now, or nobody answered */
    if (cluster_id != NULL) {
        snprintf(subject->cluster_id, sizeof subject->cluster_id, "%s", cluster_id);
        rd_kafka_mem_free(handle, cluster_id);
    }
}

static void ask_broker(struct subject *subject)
{
    struct error err;
    rd_kafka_conf_t *conf = source_conf_check_topic(subject->topic, &err) ? source_conf(subject->settings, &err) : NULL;
    rd_kafka_t *handle = conf != NULL ? kafka_open(RD_KAFKA_CONSUMER, conf, &err) : NULL; /* who never subscribes never joins */
    if (handle == NULL) {
        check_found(&subject->check, &err);
        return;
    }
    ask_kafka(subject, handle);
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static const char ledger_sql[] =
    "SELECT cluster_id, consumer_group, topic_id, retired_at::text FROM tallymill.clusters WHERE topic = $1";

/* The books are closed, or about another topic of that name. */
static void check_books(struct subject *subject, const PGresult *result)
{
    struct error err;
    const char *known_id = PQgetvalue(result, 0, 2);
    const bool is_other = known_id[0] != '\0' && subject->topic_id[0] != '\0' && strcmp(known_id, subject->topic_id) != 0;
    if (!PQgetisnull(result, 0, 3)) {
        error_set(&err, ERROR_USAGE,
                  "the books of topic %s were closed at %s: nothing of it is stored; if the topic was made anew: tallymill topic "
                  "renew %s",
                  subject->topic, PQgetvalue(result, 0, 3), subject->topic);
        check_found(&subject->check, &err);
    } else if (is_other) {
        error_set(&err, ERROR_USAGE,
                  "topic %s was deleted and made anew: its id is %s, the books are about %s; to begin new books: tallymill topic "
                  "renew %s",
                  subject->topic, subject->topic_id, known_id, subject->topic);
        check_found(&subject->check, &err);
    }
}

/* What claim() would refuse, compared without claiming. A login that may not read the row is told nothing about it. */
static void check_ledger(struct subject *subject, PGconn *conn)
{
    struct error err;
    const char *group = settings_text(subject->settings, "consumer.group");
    PGresult *result = postgres_query_params(conn, ledger_sql, 1, &subject->topic, CONNECTION_LIMIT_US, &err);
    const bool is_known = result != NULL && PQntuples(result) == 1;
    if (is_known && subject->cluster_id[0] != '\0' && strcmp(PQgetvalue(result, 0, 0), subject->cluster_id) != 0) {
        error_set(&err, ERROR_USAGE, "topic %s is stored from Kafka cluster %s, and kafka.bootstrap.servers leads to cluster %s",
                  subject->topic, PQgetvalue(result, 0, 0), subject->cluster_id);
        check_found(&subject->check, &err);
    }
    if (is_known && strcmp(PQgetvalue(result, 0, 1), group) != 0) {
        error_set(&err, ERROR_USAGE,
                  "topic %s is stored by consumer group %s, not %s: set consumer.group = %s, or use another database",
                  subject->topic, PQgetvalue(result, 0, 1), group, PQgetvalue(result, 0, 1));
        check_found(&subject->check, &err);
    }
    if (is_known)
        check_books(subject, result);
    PQclear(result);
}

static void ask_postgres(struct subject *subject)
{
    PGconn *conn;
    if (check_postgres(&subject->check, settings_text(subject->settings, "postgres.dsn"), "tallymill_ingest", &conn))
        printf("Postgres: login, schema and rights: good\n");
    if (conn != NULL)
        check_ledger(subject, conn);
    PQfinish(conn);
}

int worker_check(const struct settings *settings)
{
    struct subject subject = {
        .settings = settings, .check = {.program = "tallymill-consumer"}, .topic = settings_text(settings, "topics.events")};
    check_files(&subject);
    ask_broker(&subject);
    ask_postgres(&subject);
    return check_exit_code(&subject.check);
}
