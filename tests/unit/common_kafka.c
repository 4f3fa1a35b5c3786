/* librdkafka's configuration from ours, and what Kafka's errors ask for. No broker is needed for either. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/error.h"
#include "common/kafka.h"
#include "common/settings.h"
#include "common_temporary.h"

static const struct kafka_forced forced[] = {{"enable.auto.commit", "false"}, {"linger.ms", "5"}, {NULL, NULL}};

static rd_kafka_conf_t *configure(const char *file, const struct kafka_forced *defaults, const char **path, struct error *err)
{
    *path = temporary_text(file);
    struct settings *settings = settings_load(*path, NULL, 0, err);
    cr_assert_not_null(settings, "%s", err->text);
    rd_kafka_conf_t *conf = kafka_conf(settings, defaults, forced, err);
    settings_free(settings);
    return conf;
}

static void expect_value(const rd_kafka_conf_t *conf, const char *name, const char *wanted)
{
    char value[256];
    size_t bytes = sizeof value;
    cr_assert_eq(rd_kafka_conf_get(conf, name, value, &bytes), RD_KAFKA_CONF_OK);
    cr_expect_str_eq(value, wanted, "%s", name);
}

static void expect_refused(const char *file, const char *said)
{
    struct error err = {0};
    const char *path;
    cr_assert_null(configure(file, NULL, &path, &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
    char wanted[ERROR_TEXT_BYTES];
    snprintf(wanted, sizeof wanted, "%s:%s", path, said);
    cr_expect_str_eq(err.text, wanted);
}

Test(kafka_conf, takes_defaults_then_settings_then_what_is_forced)
{
    static const struct kafka_forced defaults[] = {{"compression.codec", "lz4"}, {"batch.size", "1000"}, {NULL, NULL}};
    struct error err = {0};
    const char *path;
    rd_kafka_conf_t *conf = configure("[kafka]\nbootstrap.servers = a:1\ncompression.codec = zstd\n", defaults, &path, &err);
    cr_assert_not_null(conf, "%s", err.text);
    expect_value(conf, "bootstrap.servers", "a:1");
    expect_value(conf, "compression.codec", "zstd");
    expect_value(conf, "batch.size", "1000");
    expect_value(conf, "enable.auto.commit", "false");
    expect_value(conf, "client.id", "tallymill");
    expect_value(conf, "allow.auto.create.topics", "false");
    rd_kafka_conf_destroy(conf);
}

/* One settings file for all programs, whose units have the secrets that they use each. */
Test(kafka_conf, a_secret_that_cannot_be_read_is_told_when_it_is_used)
{
    struct error err = {0};
    char wanted[ERROR_TEXT_BYTES];
    const char *path = temporary_text("[kafka]\nbootstrap.servers = a:1\nsasl.password = @/nowhere/password\n"
                                      "[postgres]\ndsn = @/nowhere/dsn\n");
    cr_assert_null(settings_load_for(FOR_CONSUMER, path, NULL, 0, &err));
    snprintf(wanted, sizeof wanted, "%s:3: kafka.sasl.password: /nowhere/password: cannot open: No such file or directory", path);
    cr_expect_str_eq(err.text, wanted);
    cr_assert_null(settings_load_for(FOR_PRODUCE, path, NULL, 0, &err));
    cr_expect_str_eq(err.text, wanted);
    cr_assert_null(settings_load_for(FOR_AGGREGATOR, path, NULL, 0, &err));
    cr_expect_not_null(strstr(err.text, ":5: postgres.dsn: /nowhere/dsn"), "%s", err.text);
    path = temporary_text("[kafka]\nbootstrap.servers = a:1\n[postgres]\ndsn = @/nowhere/dsn\n");
    struct settings *settings = settings_load_for(FOR_PRODUCE, path, NULL, 0, &err);
    cr_assert_not_null(settings, "%s", err.text);
    settings_free(settings);
    path = temporary_text("[kafka]\nsasl.password = @/nowhere/password\nssl.ca.location = @/nowhere/ca\n");
    settings = settings_load_for(FOR_OPERATOR, path, NULL, 0, &err);
    cr_assert_not_null(settings, "%s", err.text);
    struct settings *again = settings_load_again(settings, &err);
    cr_assert_not_null(again, "%s", err.text);
    settings_free(again);
    cr_assert_null(kafka_conf(settings, NULL, forced, &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
    snprintf(wanted, sizeof wanted, "%s:2: kafka.sasl.password: /nowhere/password: cannot open: No such file or directory", path);
    cr_expect_str_eq(err.text, wanted);
    settings_free(settings);
}

Test(kafka_conf, refuses_a_forced_property_with_file_line_and_key)
{
    expect_refused("[kafka]\nbootstrap.servers = a:1\nenable.auto.commit = true\n",
                   "3: kafka.enable.auto.commit: this program sets enable.auto.commit itself; remove the line");
}

Test(kafka_conf, refuses_a_forced_property_under_its_other_name)
{
    expect_refused(
        "[kafka]\nqueue.buffering.max.ms = 50\nbootstrap.servers = a:1\n",
        "2: kafka.queue.buffering.max.ms: this program sets linger.ms itself, and this is another name for it; remove the line");
}

Test(kafka_conf, names_a_property_or_value_that_librdkafka_does_not_know)
{
    expect_refused("[kafka]\nbotstrap.servers = a:1\n",
                   "2: kafka.botstrap.servers: No such configuration property: \"botstrap.servers\"");
    struct error err = {0};
    const char *path;
    cr_assert_null(configure("[kafka]\nbootstrap.servers = a:1\nsession.timeout.ms = soon\n", NULL, &path, &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect_not_null(strstr(err.text, ":3: kafka.session.timeout.ms: "), "%s", err.text);
}

Test(kafka_conf, says_what_to_do_when_no_server_is_named)
{
    struct error err = {0};
    const char *path;
    cr_assert_null(configure("", NULL, &path, &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect_not_null(strstr(err.text, "--set kafka.bootstrap.servers=HOST:PORT"), "%s", err.text);
}

Test(kafka_conf, takes_the_other_name_of_the_servers)
{
    struct error err = {0};
    const char *path;
    rd_kafka_conf_t *conf = configure("[kafka]\nmetadata.broker.list = a:1\n", NULL, &path, &err);
    cr_assert_not_null(conf, "%s", err.text);
    rd_kafka_conf_destroy(conf);
}

Test(kafka_kind, decides_by_the_code)
{
    cr_expect_eq(kafka_kind(RD_KAFKA_RESP_ERR_NO_ERROR), ERROR_NONE);
    cr_expect_eq(kafka_kind(RD_KAFKA_RESP_ERR__TRANSPORT), ERROR_RETRY);
    cr_expect_eq(kafka_kind(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN), ERROR_RETRY);
    cr_expect_eq(kafka_kind(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION), ERROR_RETRY);
    cr_expect_eq(kafka_kind(RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS), ERROR_RETRY);
    cr_expect_eq(kafka_kind(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE), ERROR_REJECT);
    cr_expect_eq(kafka_kind(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), ERROR_USAGE);
    cr_expect_eq(kafka_kind(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), ERROR_USAGE);
    cr_expect_eq(kafka_kind(RD_KAFKA_RESP_ERR__AUTHENTICATION), ERROR_USAGE);
    cr_expect_eq(kafka_kind(RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID), ERROR_FATAL);
    cr_expect_eq(kafka_kind(RD_KAFKA_RESP_ERR__FATAL), ERROR_FATAL);
    cr_expect_eq(kafka_kind(RD_KAFKA_RESP_ERR__BAD_MSG), ERROR_FATAL);
    cr_expect_eq(kafka_kind((rd_kafka_resp_err_t)30000), ERROR_FATAL, "a code of a later release");
}

Test(kafka_error, says_what_was_being_done_and_the_codes_name)
{
    struct error err = {0};
    cr_expect_not(kafka_error(&err, RD_KAFKA_RESP_ERR__TRANSPORT, "cannot reach a:1"));
    cr_expect_eq(err.kind, ERROR_RETRY);
    cr_expect_str_eq(err.text, "cannot reach a:1: Local: Broker transport failure (_TRANSPORT)");
}
