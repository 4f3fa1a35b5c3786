/* What a line of librdkafka's log, or OpenSSL's verdict on a certificate, tells an operator to do. No broker is needed: the lines
 * are those of tests/secure, where real brokers have librdkafka say them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "common/error.h"
#include "common/kafka_rights.h"
#include "common/kafka_trouble.h"

#define SERVER "broker.example:9093"

typedef int verify(rd_kafka_t *handle, const char *broker_name, int32_t broker_id, int *x509_error, int depth, const char *bytes,
                   size_t count, char *reason, size_t size, void *opaque);

static verify *on_certificate;

/* A client that talks to nobody, with these properties: names and values by turns. */
static rd_kafka_t *client(const char *const *properties)
{
    char why[256], pointer[64];
    size_t size = sizeof pointer;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    for (; properties != NULL && *properties != NULL; properties += 2)
        cr_assert_eq(rd_kafka_conf_set(conf, properties[0], properties[1], why, sizeof why), RD_KAFKA_CONF_OK, "%s", why);
    kafka_trouble_watch(conf);
    if (rd_kafka_conf_get(conf, "ssl.certificate.verify_cb", pointer, &size) == RD_KAFKA_CONF_OK)
        cr_assert_eq(sscanf(pointer, "%p", (void **)&on_certificate), 1, "%s", pointer);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    cr_assert_not_null(handle, "%s", why);
    return handle;
}

/* librdkafka's way to write it. */
static bool note(rd_kafka_t *handle, const char *protocol, const char *words, char told[ERROR_TEXT_BYTES])
{
    char line[512];
    snprintf(line, sizeof line, "[thrd:%s://" SERVER "/bootstrap]: %s://" SERVER "/bootstrap: %s", protocol, protocol, words);
    return kafka_trouble_note(handle, line, told, ERROR_TEXT_BYTES);
}

static void expect_explained(rd_kafka_t *handle, enum error_kind kind, const char *const *words)
{
    struct error err = {0};
    error_set(&err, ERROR_RETRY, "nobody answers");
    cr_expect(kafka_trouble_explain(handle, &err));
    cr_expect_eq(err.kind, kind, "%s", err.text);
    for (; *words != NULL; words++)
        cr_expect_not_null(strstr(err.text, *words), "\"%s\" is not in: %s", *words, err.text);
}

static void expect_lasting(const char *const *properties, const char *protocol, const char *line, const char *const *words)
{
    char told[ERROR_TEXT_BYTES];
    rd_kafka_t *handle = client(properties);
    cr_expect(note(handle, protocol, line, told), "%s", line);
    expect_explained(handle, ERROR_USAGE, words);
    rd_kafka_destroy(handle);
}

Test(kafka_trouble, a_login_where_none_is_asked_for_names_the_protocol_without_one)
{
    static const char line[] = "SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Request not valid in current SASL state: "
                               "broker's supported mechanisms:  (after 2ms in state AUTH_HANDSHAKE)";
    expect_lasting((const char *[]){"security.protocol", "sasl_plaintext", "sasl.mechanism", "SCRAM-SHA-512", "sasl.username", "me",
                                    "sasl.password", "x", NULL},
                   "sasl_plaintext", line,
                   (const char *[]){SERVER, "kafka.security.protocol = PLAINTEXT instead of SASL_PLAINTEXT", "no login", NULL});
    expect_lasting((const char *[]){"security.protocol", "sasl_ssl", "sasl.mechanism", "SCRAM-SHA-512", "sasl.username", "me",
                                    "sasl.password", "x", NULL},
                   "sasl_ssl", line,
                   (const char *[]){SERVER, "kafka.security.protocol = SSL instead of SASL_SSL", "no login", NULL});
}

Test(kafka_trouble, a_certificate_of_ours_that_is_refused_is_named_with_the_reason)
{
    static const struct {
        const char *alert, *said;
    } cases[] = {{"sslv3 alert certificate expired", "expired"},
                 {"sslv3 alert certificate revoked", "revoked"},
                 {"sslv3 alert unsupported certificate", "extendedKeyUsage"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[256];
        snprintf(line, sizeof line,
                 "SSL handshake failed: error:0A000415:SSL routines::%s: SSL alert number 45 (after 8ms in state SSL_HANDSHAKE)",
                 cases[i].alert);
        expect_lasting((const char *[]){"security.protocol", "ssl", NULL}, "ssl", line,
                       (const char *[]){SERVER, "kafka.ssl.certificate.location", cases[i].said, NULL});
    }
}

/* As librdkafka does: the verdict by the callback, and then a line that does not tell it. */
static void expect_verdict(int verdict, const char *const *words)
{
    char told[ERROR_TEXT_BYTES], reason[256];
    rd_kafka_t *handle = client((const char *[]){"security.protocol", "ssl", NULL});
    cr_assert_not_null(on_certificate);
    cr_expect_eq(on_certificate(handle, "ssl://" SERVER "/bootstrap", -1, &verdict, 0, "", 0, reason, sizeof reason, NULL), 0);
    cr_expect(note(handle, "ssl",
                   "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate", told));
    expect_explained(handle, ERROR_USAGE, words);
    rd_kafka_destroy(handle);
}

Test(kafka_trouble, a_certificate_of_the_brokers_that_is_refused_is_named_with_the_reason)
{
    static const char authority[] = "put the authority's certificate (PEM) there";
    for (int verdict = 18; verdict <= 21; verdict++)
        expect_verdict(verdict, (const char *[]){SERVER, "kafka.ssl.ca.location", authority, NULL});
    expect_verdict(10,
                   (const char *[]){SERVER, "kafka.bootstrap.servers", "kafka.ssl.ca.location", "has expired", "renew it", NULL});
    expect_verdict(62, (const char *[]){SERVER, "kafka.bootstrap.servers", "another name", NULL});
    expect_verdict(23, (const char *[]){SERVER, "it was revoked", NULL});
    expect_verdict(3, (const char *[]){SERVER, "kafka.ssl.crl.location", NULL});
    expect_verdict(12, (const char *[]){SERVER, "kafka.ssl.crl.location", "out of date", NULL});
    expect_verdict(26, (const char *[]){SERVER, "extendedKeyUsage", NULL});
    expect_verdict(66, (const char *[]){SERVER, "its key is shorter", NULL});
    expect_verdict(68, (const char *[]){SERVER, "SHA-256", NULL});
    expect_verdict(47, (const char *[]){SERVER, "OpenSSL's reason 47", NULL});
}

Test(kafka_trouble, a_login_is_named_by_what_its_mechanism_takes)
{
    static const char refused[] = "SASL authentication error: SaslAuthenticateRequest failed: Broker: SASL Authentication failed";
    expect_lasting((const char *[]){"security.protocol", "sasl_ssl", "sasl.mechanism", "SCRAM-SHA-512", "sasl.username", "me",
                                    "sasl.password", "x", NULL},
                   "sasl_ssl", refused, (const char *[]){SERVER, "login me", "kafka.sasl.username", "kafka.sasl.password", NULL});
    expect_lasting((const char *[]){"security.protocol", "sasl_ssl", "sasl.mechanism", "OAUTHBEARER", NULL}, "sasl_ssl", refused,
                   (const char *[]){SERVER, "refuses our token", "kafka.sasl.oauthbearer.", NULL});
}

/* Whoever gives the tokens may be away for a moment, so it is no wrong setting. */
Test(kafka_trouble, a_token_that_is_missing_is_told_and_waited_for)
{
    char told[ERROR_TEXT_BYTES];
    rd_kafka_t *handle = client((const char *[]){"security.protocol", "sasl_ssl", "sasl.mechanism", "OAUTHBEARER", NULL});
    cr_expect(note(handle, "sasl_ssl",
                   "Failed to initialize SASL authentication: OAUTHBEARER cannot log in because there is no token "
                   "available; last error: nothing (after 1ms in state AUTH_REQ)",
                   told));
    cr_expect_not_null(strstr(told, "token.endpoint.url"), "%s", told);
    expect_explained(handle, ERROR_RETRY, (const char *[]){SERVER, "no token", "kafka.sasl.oauthbearer.", NULL});
    rd_kafka_destroy(handle);
}

/* A client with the new password is made beside the one with the old, which is refused meanwhile. */
Test(kafka_trouble, of_one_client_is_no_other_clients)
{
    static const char *const with[] = {
        "security.protocol", "sasl_ssl", "sasl.mechanism", "PLAIN", "sasl.username", "me", "sasl.password", "x", NULL};
    static const char refused[] = "SASL authentication error: Authentication failed";
    char told[ERROR_TEXT_BYTES];
    struct error err = {0};
    rd_kafka_t *old = client(with), *fresh = client(with);
    cr_expect(note(old, "sasl_ssl", refused, told) && told[0] != '\0');
    cr_expect_not(kafka_trouble_explain(fresh, &err), "%s", err.text);
    cr_expect(kafka_trouble_explain(old, &err));
    cr_expect(note(fresh, "sasl_ssl", refused, told));
    cr_expect_str_eq(told, "", "what was told of a server is not told again of another client of it");
    cr_expect(kafka_trouble_explain(fresh, &err));
    rd_kafka_destroy(fresh);
    fresh = client(with); /* with some luck at the same address */
    cr_expect_not(kafka_trouble_explain(fresh, &err), "%s", err.text);
    rd_kafka_destroy(fresh);
    rd_kafka_destroy(old);
}

static void expect_right(const char *const *properties, const char *wanted)
{
    struct error err = {0};
    rd_kafka_t *handle = client(properties);
    cr_expect_not(kafka_rights_error(handle, "topic", "events", RD_KAFKA_ACL_OPERATION_WRITE, &err));
    cr_expect_not_null(strstr(err.text, wanted), "%s", err.text);
    rd_kafka_destroy(handle);
}

/* Nobody is told to let everybody in. */
Test(kafka_rights, are_granted_to_whom_the_settings_say_that_we_are)
{
    expect_right((const char *[]){"security.protocol", "SASL_SSL", "sasl.mechanism", "PLAIN", "sasl.username", "me",
                                  "sasl.password", "x", NULL},
                 "does not let me (kafka.sasl.username) Write the topic events: kafka-acls --add --allow-principal 'User:me' ");
    expect_right((const char *[]){"security.protocol", "SASL_SSL", "sasl.mechanism", "OAUTHBEARER", NULL},
                 "does not let <the principal of our token> (kafka.sasl.mechanism = OAUTHBEARER) Write");
    expect_right((const char *[]){"security.protocol", "SSL", NULL},
                 "does not let <the subject of our certificate> (kafka.ssl.certificate.location) Write");
    expect_right((const char *[]){"security.protocol", "PLAINTEXT", NULL},
                 "does not let ANONYMOUS (kafka.security.protocol) Write");
}

Test(kafka_trouble, shows_no_login_of_an_address)
{
    char cut[100];
    cr_expect_str_eq(kafka_trouble_cut_logins(cut, sizeof cut, "cannot ask https://me:hunter2@idp/token?a=b@c for \"x://y@z\""),
                     "cannot ask https://...@c for \"x://...@z\"");
    cr_expect_str_eq(kafka_trouble_cut_logins(cut, sizeof cut, "sasl_ssl://host:9093/1: me@x"), "sasl_ssl://host:9093/1: me@x");
    cr_expect_str_eq(kafka_trouble_cut_logins(cut, 12, "https://a:hunter2@b"), "https://...");
    cr_expect_str_eq(kafka_trouble_cut_logins(cut, 4, "https"), "htt");
}
