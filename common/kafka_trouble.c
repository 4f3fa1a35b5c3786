/* kafka_trouble.c - see kafka_trouble.h.
 *
 * The words of librdkafka's log are matched, because it gives no code: each pattern stands in 2.6 to 2.15, and the tests of the
 * matrix (tests/secure) meet them for real, but for those of certificates that are hard to come by. A line that is not known stays
 * a line of the log. Of a certificate the reason comes by librdkafka's callback, in the numbers of OpenSSL 3.
 */
#include "common/kafka_trouble.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/kafka_probe.h"

enum { NOTES_MAX = 32, SERVER_BYTES = 128, VALUE_BYTES = 160, FRESH_S = 30, RETELL_S = 600 };

/* What OpenSSL's X509_V_ERR_* mean to an operator, in its own numbers. One that is not here is told by its number,
 * which openssl verify spells out. */
static const struct verdict {
    int x509_error;
    enum kafka_trouble trouble;
    const char *detail; /* of KAFKA_TROUBLE_UNFIT */
} verdicts[] = {
    {2, KAFKA_TROUBLE_AUTHORITY, NULL}, /* no issuer */
    {7, KAFKA_TROUBLE_AUTHORITY, NULL}, /* signed with another key */
    {9, KAFKA_TROUBLE_EXPIRED, NULL},
    {10, KAFKA_TROUBLE_EXPIRED, NULL},
    {18, KAFKA_TROUBLE_AUTHORITY, NULL}, /* self-signed */
    {19, KAFKA_TROUBLE_AUTHORITY, NULL},
    {20, KAFKA_TROUBLE_AUTHORITY, NULL}, /* no issuer here */
    {21, KAFKA_TROUBLE_AUTHORITY, NULL},
    {27, KAFKA_TROUBLE_AUTHORITY, NULL},
    {30, KAFKA_TROUBLE_AUTHORITY, NULL},
    {62, KAFKA_TROUBLE_NAME, NULL},
    {64, KAFKA_TROUBLE_NAME, NULL},
    {3, KAFKA_TROUBLE_UNFIT, "kafka.ssl.crl.location has no revocation list of its authority: put it there"},
    {8, KAFKA_TROUBLE_UNFIT,
     "the revocation list in kafka.ssl.crl.location is not signed by its authority: put the right one there"},
    {11, KAFKA_TROUBLE_UNFIT, "the revocation list in kafka.ssl.crl.location is not valid yet: set this machine's clock right"},
    {12, KAFKA_TROUBLE_UNFIT, "the revocation list in kafka.ssl.crl.location is out of date: fetch the present one"},
    {23, KAFKA_TROUBLE_UNFIT, "it was revoked: have another one issued for the broker"},
    {26, KAFKA_TROUBLE_UNFIT, "it was not issued for servers (extendedKeyUsage): have one issued that is"},
    {66, KAFKA_TROUBLE_UNFIT, "its key is shorter than OpenSSL allows on this machine: have one issued with a longer key"},
    {67, KAFKA_TROUBLE_UNFIT,
     "the key of its authority is shorter than OpenSSL allows on this machine: have one issued by an authority with a longer key"},
    {68, KAFKA_TROUBLE_UNFIT,
     "it is signed in a way that OpenSSL does not allow on this machine (SHA-1, MD5): have one issued with SHA-256"},
    {79, KAFKA_TROUBLE_UNFIT, "what signed it is no authority (basicConstraints CA:TRUE is missing): have one issued by one"},
};

struct note {
    long client;
    char server[SERVER_BYTES];
    enum kafka_trouble trouble;
    const char *detail; /* lives as long as the process; NULL: none */
    int verdict;        /* of OpenSSL; 0: none */
    int64_t noted_us, told_us;
    unsigned told; /* a bit for each trouble that was told since told_us was 0: they may alternate from try to try */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct note notes[NOTES_MAX];

/* librdkafka numbers its handles, and puts the number behind their names ("tallymill#consumer-2"). An address would be given to
 * another one. */
static long client_of(rd_kafka_t *handle)
{
    const char *dash = strrchr(rd_kafka_name(handle), '-');
    return dash != NULL ? strtol(dash + 1, NULL, 10) : 0;
}

static bool is_fresh(const struct note *note, int64_t now_us)
{
    return note->trouble != KAFKA_TROUBLE_NONE && now_us - note->noted_us < FRESH_S * CLOCK_SECOND_US;
}

/* The note of a client on a server: its own, else the oldest. What was told about a server was told, whoever met it. Under the
 * lock. */
static struct note *find(long client, const char *server)
{
    struct note *oldest = &notes[0], fresh = {.client = client};
    for (size_t i = 0; i < NOTES_MAX; i++) {
        const bool is_of_server = strcmp(notes[i].server, server) == 0;
        if (is_of_server && notes[i].client == client)
            return &notes[i];
        if (is_of_server)
            fresh.told_us = notes[i].told_us, fresh.told = notes[i].told;
        if (notes[i].noted_us < oldest->noted_us)
            oldest = &notes[i];
    }
    snprintf(fresh.server, sizeof fresh.server, "%s", server);
    *oldest = fresh;
    return oldest;
}

/* Whether it is to be told now; *noted is the note. */
static bool note_down(long client, const char *server, enum kafka_trouble trouble, const char *detail, struct note *noted)
{
    const int64_t now_us = clock_now_us();
    pthread_mutex_lock(&lock);
    struct note *note = find(client, server);
    /* The log only says that a certificate was refused; why is known from the callback a moment before. */
    if (trouble == KAFKA_TROUBLE_AUTHORITY && is_fresh(note, now_us) && note->trouble <= KAFKA_TROUBLE_UNFIT) {
        trouble = note->trouble;
        detail = note->detail;
    }
    const bool is_time = note->told_us == 0 || now_us - note->told_us >= RETELL_S * CLOCK_SECOND_US;
    const bool is_due = is_time || (note->told & 1u << trouble) == 0;
    note->trouble = trouble;
    note->detail = detail;
    note->noted_us = now_us;
    *noted = *note;
    for (size_t i = 0; is_due && i < NOTES_MAX; i++)
        if (strcmp(notes[i].server, server) == 0) {
            notes[i].told_us = now_us;
            notes[i].told |= 1u << trouble;
        }
    pthread_mutex_unlock(&lock);
    return is_due;
}

/* "sasl_ssl://HOST:PORT/7" as "HOST:PORT". */
static void clean_server(const char *name, size_t length, char *server, size_t size)
{
    const char *scheme = memmem(name, length, "://", 3);
    if (scheme != NULL) {
        length -= (size_t)(scheme + 3 - name);
        name = scheme + 3;
    }
    const char *slash = memchr(name, '/', length);
    snprintf(server, size, "%.*s", (int)(slash != NULL ? (size_t)(slash - name) : length), name);
}

static int on_certificate(rd_kafka_t *handle, const char *broker_name, int32_t broker_id, int *x509_error, int depth,
                          const char *bytes, size_t count, char *reason, size_t size, void *opaque)
{
    (void)broker_id, (void)depth, (void)bytes, (void)count, (void)opaque;
    if (*x509_error == 0)
        return 1;
    const struct verdict *verdict = verdicts, *end = verdicts + sizeof verdicts / sizeof verdicts[0];
    while (verdict < end && verdict->x509_error != *x509_error)
        verdict++;
    char server[SERVER_BYTES];
    clean_server(broker_name, strlen(broker_name), server, sizeof server);
    pthread_mutex_lock(&lock);
    struct note *note = find(client_of(handle), server);
    note->trouble = verdict < end ? verdict->trouble : KAFKA_TROUBLE_UNFIT;
    note->detail = verdict < end ? verdict->detail : NULL;
    note->verdict = *x509_error;
    note->noted_us = clock_now_us();
    pthread_mutex_unlock(&lock);
    snprintf(reason, size, "OpenSSL's verdict is %d", *x509_error);
    return 0;
}

/* A process that forks must not leave its child a lock that nobody will open. */
static void take_lock(void)
{
    pthread_mutex_lock(&lock);
}

static void leave_lock(void)
{
    pthread_mutex_unlock(&lock);
}

static void heed_forks(void)
{
    pthread_atfork(take_lock, leave_lock, leave_lock);
}

void kafka_trouble_watch(rd_kafka_conf_t *conf)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, heed_forks);
    /* One that is built without TLS refuses, and has no certificates to tell about. */
    rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_certificate);
}

struct pattern {
    const char *words[2]; /* all of them */
    enum kafka_trouble trouble;
    const char *detail; /* of KAFKA_TROUBLE_OURS */
};

static const struct pattern patterns[] = {
    {{"certificate verify failed"}, KAFKA_TROUBLE_AUTHORITY, NULL},
    {{"verification callback failed"}, KAFKA_TROUBLE_AUTHORITY, NULL},
    {{"alert bad certificate"}, KAFKA_TROUBLE_CERTIFICATE, NULL},
    {{"certificate required"}, KAFKA_TROUBLE_CERTIFICATE, NULL},
    {{"alert unknown ca"}, KAFKA_TROUBLE_CERTIFICATE, NULL},
    {{"alert certificate unknown"}, KAFKA_TROUBLE_CERTIFICATE, NULL},
    {{"alert certificate expired"}, KAFKA_TROUBLE_OURS, "it has expired"},
    {{"alert certificate revoked"}, KAFKA_TROUBLE_OURS, "it was revoked"},
    {{"alert unsupported certificate"}, KAFKA_TROUBLE_OURS, "it was not issued for clients (extendedKeyUsage)"},
    {{"mechanism handshake failed", "not valid in current SASL state"}, KAFKA_TROUBLE_NO_SASL, NULL},
    {{"no token available"}, KAFKA_TROUBLE_NO_TOKEN, NULL},
    {{"nsupported SASL mechanism"}, KAFKA_TROUBLE_MECHANISM, NULL},
    {{"SASL", "uthentication failed"}, KAFKA_TROUBLE_LOGIN, NULL},
    {{"SASL authentication error"}, KAFKA_TROUBLE_LOGIN, NULL},
    {{"PLAINTEXT broker listener"}, KAFKA_TROUBLE_NO_TLS, NULL},
    {{"wrong version number"}, KAFKA_TROUBLE_NO_TLS, NULL},
    {{"state SSL_HANDSHAKE", "closed by peer"}, KAFKA_TROUBLE_NO_TLS, NULL},
    {{"connecting to a SSL listener"}, KAFKA_TROUBLE_NO_PLAIN, NULL},
    {{"state APIVERSION_QUERY", "isconnected"}, KAFKA_TROUBLE_NO_PLAIN, NULL},
    {{"state APIVERSION_QUERY", "Receive failed"}, KAFKA_TROUBLE_NO_PLAIN, NULL},
    {{"ms in state UP", "isconnected"}, KAFKA_TROUBLE_NO_LOGIN, NULL},
    {{"ms in state UP", "Send failed"}, KAFKA_TROUBLE_NO_LOGIN, NULL},
    {{"Failed to resolve"}, KAFKA_TROUBLE_NO_HOST, NULL},
    {{"Connect to", "failed"}, KAFKA_TROUBLE_REFUSED, NULL},
};

/* What a line of librdkafka's log is about, NULL: nothing known; server gets "HOST:PORT" ("" when it names none). */
static const struct pattern *judge(const char *line, char *server, size_t size)
{
    const char *name = line;
    if (strncmp(line, "[thrd:", 6) == 0 && (name = strstr(line, "]: ")) != NULL)
        name += 3;
    const char *end = name != NULL ? strstr(name, ": ") : NULL;
    server[0] = '\0';
    if (end != NULL)
        clean_server(name, (size_t)(end - name), server, size);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        const struct pattern *pattern = &patterns[i];
        if (strstr(line, pattern->words[0]) != NULL && (pattern->words[1] == NULL || strstr(line, pattern->words[1]) != NULL))
            return pattern;
    }
    return NULL;
}

static const char *value_of(rd_kafka_t *handle, const char *name, char value[VALUE_BYTES])
{
    size_t bytes = VALUE_BYTES;
    if (rd_kafka_conf_get(rd_kafka_conf(handle), name, value, &bytes) != RD_KAFKA_CONF_OK || value[0] == '\0')
        snprintf(value, VALUE_BYTES, "(not set)");
    return value;
}

/* As everybody writes it. */
static const char *protocol_of(rd_kafka_t *handle, char value[VALUE_BYTES])
{
    value_of(handle, "security.protocol", value);
    for (char *at = value; *at != '\0'; at++)
        *at = (char)toupper((unsigned char)*at);
    return value;
}

/* A connection that stood for less than a second, made without a login. */
static bool was_thrown_out(rd_kafka_t *handle, const char *line)
{
    char protocol[VALUE_BYTES];
    const char *after = strstr(line, "(after ");
    return after != NULL && strtol(after + 7, NULL, 10) < 1000 && strncmp(protocol_of(handle, protocol), "SASL", 4) != 0;
}

/* Whom Kafka refuses, and the settings that say who we are: they differ from mechanism to mechanism. */
static void describe_login(rd_kafka_t *handle, const char *server, char *text, size_t size)
{
    char mechanism[VALUE_BYTES], value[VALUE_BYTES];
    value_of(handle, "sasl.mechanism", mechanism);
    if (strcasecmp(mechanism, "OAUTHBEARER") == 0)
        snprintf(
            text, size,
            "Kafka at %s refuses our token (kafka.sasl.mechanism = OAUTHBEARER): check kafka.sasl.oauthbearer.token.endpoint.url, "
            "kafka.sasl.oauthbearer.client.id and kafka.sasl.oauthbearer.scope, or whoever gives the token, and what the listener "
            "expects of one",
            server);
    else if (strcasecmp(mechanism, "GSSAPI") == 0)
        snprintf(text, size,
                 "Kafka at %s refuses the login %s: check kafka.sasl.kerberos.principal, kafka.sasl.kerberos.keytab, "
                 "kafka.sasl.kerberos.service.name and kafka.sasl.mechanism = GSSAPI",
                 server, value_of(handle, "sasl.kerberos.principal", value));
    else
        snprintf(text, size,
                 "Kafka at %s refuses the login %s: check kafka.sasl.username, kafka.sasl.password and kafka.sasl.mechanism = %s",
                 server, value_of(handle, "sasl.username", value), mechanism);
}

/* OpenSSL's verdict on the broker's certificate. */
static void describe_unfit(const struct note *note, char *text, size_t size)
{
    if (note->detail != NULL)
        snprintf(text, size, "Kafka at %s (kafka.bootstrap.servers) shows a certificate that is refused: %s", note->server,
                 note->detail);
    else
        snprintf(
            text, size,
            "Kafka at %s (kafka.bootstrap.servers) shows a certificate that is refused, for OpenSSL's reason %d: openssl verify "
            "-CAfile (kafka.ssl.ca.location) spells it out",
            note->server, note->verdict);
}

/* A table: what is wrong, and what to set. */
/* clang-format off */
static void describe(rd_kafka_t *handle, const struct note *note, char *text, size_t size)
{
    const char *const server = note->server;
    char one[VALUE_BYTES];
    switch (note->trouble) {
    case KAFKA_TROUBLE_NONE: text[0] = '\0'; break;
    case KAFKA_TROUBLE_AUTHORITY:
        snprintf(text, size, "Kafka at %s shows a certificate of an authority that kafka.ssl.ca.location = %s does not hold: put the authority's certificate (PEM) there",
                 server, value_of(handle, "ssl.ca.location", one));
        break;
    case KAFKA_TROUBLE_NAME:
        snprintf(text, size, "Kafka at %s shows a certificate for another name: write kafka.bootstrap.servers (and the broker its advertised.listeners) as the certificate has it",
                 server);
        break;
    case KAFKA_TROUBLE_EXPIRED:
        snprintf(text, size, "Kafka at %s (kafka.bootstrap.servers) shows a certificate that has expired or is not valid yet: renew it there, put the new one into kafka.ssl.ca.location where it is the authority's, or set this machine's clock right",
                 server);
        break;
    case KAFKA_TROUBLE_UNFIT: describe_unfit(note, text, size); break;
    case KAFKA_TROUBLE_CERTIFICATE:
        snprintf(text, size, "Kafka at %s asks for a client's certificate, or refuses ours: set kafka.ssl.certificate.location and kafka.ssl.key.location, or kafka.security.protocol = SASL_SSL at its other listener",
                 server);
        break;
    case KAFKA_TROUBLE_OURS:
        snprintf(text, size, "Kafka at %s refuses the certificate of kafka.ssl.certificate.location = %s: %s. Have another one issued", server,
                 value_of(handle, "ssl.certificate.location", one), note->detail);
        break;
    case KAFKA_TROUBLE_LOGIN: describe_login(handle, server, text, size); break;
    case KAFKA_TROUBLE_MECHANISM:
        snprintf(text, size, "Kafka at %s does not take kafka.sasl.mechanism = %s: set one of those that its listener has in sasl.enabled.mechanisms", server,
                 value_of(handle, "sasl.mechanism", one));
        break;
    case KAFKA_TROUBLE_NO_SASL: {
        const char *protocol = protocol_of(handle, one);
        snprintf(text, size, "Kafka at %s: this port asks for no login: set kafka.security.protocol = %s instead of %s, or give the port of the listener for logins in kafka.bootstrap.servers",
                 server, strstr(protocol, "SSL") != NULL ? "SSL" : "PLAINTEXT", protocol);
        break;
    }
    case KAFKA_TROUBLE_NO_TOKEN:
        snprintf(text, size, "there is no token for Kafka at %s (kafka.sasl.mechanism = OAUTHBEARER): check kafka.sasl.oauthbearer.method, kafka.sasl.oauthbearer.token.endpoint.url, kafka.sasl.oauthbearer.client.id and kafka.sasl.oauthbearer.client.secret, and whether whoever gives tokens answers",
                 server);
        break;
    case KAFKA_TROUBLE_NO_LOGIN:
        snprintf(text, size, "Kafka at %s closes the connection as soon as it stands, as one does that asks for a login: set kafka.security.protocol = SASL_%s with kafka.sasl.username and kafka.sasl.password",
                 server, protocol_of(handle, one));
        break;
    case KAFKA_TROUBLE_NO_TLS:
        snprintf(text, size, "Kafka at %s does not begin TLS, which kafka.security.protocol = %s asks for: give the port of its TLS listener in kafka.bootstrap.servers, or set PLAINTEXT or SASL_PLAINTEXT (where TLS worked before, a proxy or load balancer in front of it has no broker behind it now)",
                 server, protocol_of(handle, one));
        break;
    case KAFKA_TROUBLE_NO_PLAIN:
        snprintf(text, size, "Kafka at %s closes a connection without TLS, as kafka.security.protocol = %s makes it: set SSL or SASL_SSL, or give the port of its plain listener in kafka.bootstrap.servers",
                 server, protocol_of(handle, one));
        break;
    case KAFKA_TROUBLE_NO_HOST:
        snprintf(text, size, "Kafka at %s: this machine finds no such name. Where it is not in kafka.bootstrap.servers, a broker tells it: set that broker's advertised.listeners to a name that its clients can reach",
                 server);
        break;
    case KAFKA_TROUBLE_REFUSED:
        snprintf(text, size, "Kafka at %s takes no connection: is it running, and is kafka.bootstrap.servers (or the broker's advertised.listeners) right?", server);
        break;
    }
}
/* clang-format on */

/* Whether this trouble ends only when a person changes something. */
static bool is_lasting(enum kafka_trouble trouble)
{
    return trouble >= KAFKA_TROUBLE_AUTHORITY && trouble <= KAFKA_TROUBLE_NO_LOGIN;
}

bool kafka_trouble_note(rd_kafka_t *handle, const char *line, char *told, size_t size)
{
    char server[SERVER_BYTES];
    struct note note;
    const struct pattern *pattern = judge(line, server, sizeof server);
    told[0] = '\0';
    /* "GroupCoordinator" is no server yet; "Local: Broker handle destroyed" is our own going away. */
    if (pattern == NULL || strchr(server, ':') == NULL || strstr(line, "handle destroyed") != NULL ||
        (pattern->trouble == KAFKA_TROUBLE_NO_LOGIN && !was_thrown_out(handle, line)))
        return false;
    if (note_down(client_of(handle), server, pattern->trouble, pattern->detail, &note))
        describe(handle, &note, told, size);
    return true;
}

const char *kafka_trouble_cut_logins(char *buffer, size_t size, const char *line)
{
    size_t used = 0;
    while (*line != '\0' && used + 1 < size) {
        const size_t word = strncmp(line, "://", 3) == 0 ? 3 + strcspn(line + 3, " \t\"'") : 0;
        const char *at = word > 0 ? memrchr(line, '@', word) : NULL;
        if (at != NULL) {
            used += (size_t)snprintf(buffer + used, size - used, "://...");
            used = used < size ? used : size - 1;
            line = at;
        }
        if (used + 1 < size)
            buffer[used++] = *line++;
    }
    buffer[used] = '\0';
    return buffer;
}

void kafka_trouble_over(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < NOTES_MAX; i++)
        notes[i].told_us = 0, notes[i].told = 0;
    pthread_mutex_unlock(&lock);
}

static bool take_latest(long client, const char *server, struct note *latest)
{
    const int64_t now_us = clock_now_us();
    *latest = (struct note){0};
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < NOTES_MAX; i++)
        if (notes[i].client == client && is_fresh(&notes[i], now_us) && (server == NULL || strcmp(server, notes[i].server) == 0)) {
            /* One that lasts says more than one that may pass: of two brokers one is down, and the other refuses us. */
            const bool is_better = is_lasting(notes[i].trouble) > is_lasting(latest->trouble);
            const bool is_worse = is_lasting(notes[i].trouble) < is_lasting(latest->trouble);
            if (is_better || (!is_worse && notes[i].noted_us > latest->noted_us))
                *latest = notes[i];
        }
    pthread_mutex_unlock(&lock);
    return latest->trouble != KAFKA_TROUBLE_NONE;
}

bool kafka_trouble_explain(rd_kafka_t *handle, struct error *err)
{
    return kafka_trouble_explain_server(handle, NULL, err);
}

bool kafka_trouble_explain_server(rd_kafka_t *handle, const char *server, struct error *err)
{
    struct note latest;
    char text[ERROR_TEXT_BYTES];
    if (!take_latest(client_of(handle), server, &latest))
        return false;
    bool lasts = is_lasting(latest.trouble);
    /* A proxy whose broker is down closes connections just so: ask before a setting is called wrong. */
    if (latest.trouble == KAFKA_TROUBLE_NO_TLS || latest.trouble == KAFKA_TROUBLE_NO_PLAIN) {
        const enum kafka_probe spoken = kafka_probe(latest.server);
        lasts = spoken == (latest.trouble == KAFKA_TROUBLE_NO_TLS ? KAFKA_PROBE_PLAIN : KAFKA_PROBE_TLS);
        if (!lasts)
            return false;
    }
    describe(handle, &latest, text, sizeof text);
    error_set(err, lasts ? ERROR_USAGE : err->kind, "%s", text);
    return true;
}
