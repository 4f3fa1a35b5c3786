/* kafka_trouble.c - see kafka_trouble.h.
 *
 * The words of librdkafka's log are matched, because it gives no code: each pattern stands in 2.6 to 2.15, and the tests of the
 * matrix (tests/secure) meet each of them for real. A line that is not known stays a line of the log. Of a certificate the reason
 * comes by librdkafka's callback, in the numbers of OpenSSL, which have been the same for twenty years.
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

enum { SERVERS_MAX = 16, SERVER_BYTES = 128, VALUE_BYTES = 160, FRESH_S = 30, RETELL_S = 600 };

/* OpenSSL's X509_V_ERR_*. */
enum { NOT_YET_VALID = 9, HAS_EXPIRED = 10, HOSTNAME_MISMATCH = 62, IP_ADDRESS_MISMATCH = 64 };

struct note {
    char server[SERVER_BYTES];
    enum kafka_trouble trouble;
    int64_t noted_us, told_us;
    unsigned told; /* a bit for each trouble that was told since told_us was 0: they may alternate from try to try */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct note notes[SERVERS_MAX];

static bool is_fresh(const struct note *note, int64_t now_us)
{
    return note->trouble != KAFKA_TROUBLE_NONE && now_us - note->noted_us < FRESH_S * CLOCK_SECOND_US;
}

/* The note on a server: its own, else the oldest. Under the lock. */
static struct note *find(const char *server)
{
    struct note *oldest = &notes[0];
    for (size_t i = 0; i < SERVERS_MAX; i++) {
        if (strcmp(notes[i].server, server) == 0)
            return &notes[i];
        if (notes[i].noted_us < oldest->noted_us)
            oldest = &notes[i];
    }
    *oldest = (struct note){0};
    snprintf(oldest->server, sizeof oldest->server, "%s", server);
    return oldest;
}

/* Whether it is to be told now. */
static bool note_down(const char *server, enum kafka_trouble trouble)
{
    const int64_t now_us = clock_now_us();
    pthread_mutex_lock(&lock);
    struct note *note = find(server);
    /* The log only says that a certificate was refused; why is known from the callback a moment before. */
    if (trouble == KAFKA_TROUBLE_AUTHORITY && is_fresh(note, now_us) && note->trouble <= KAFKA_TROUBLE_EXPIRED)
        trouble = note->trouble;
    const bool is_time = note->told_us == 0 || now_us - note->told_us >= RETELL_S * CLOCK_SECOND_US;
    const bool is_due = is_time || (note->told & 1u << trouble) == 0;
    note->trouble = trouble;
    note->noted_us = now_us;
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
    (void)handle, (void)broker_id, (void)depth, (void)bytes, (void)count, (void)opaque;
    if (*x509_error == 0)
        return 1;
    const bool is_name = *x509_error == HOSTNAME_MISMATCH || *x509_error == IP_ADDRESS_MISMATCH;
    const bool is_time = *x509_error == HAS_EXPIRED || *x509_error == NOT_YET_VALID;
    char server[SERVER_BYTES];
    clean_server(broker_name, strlen(broker_name), server, sizeof server);
    pthread_mutex_lock(&lock);
    struct note *note = find(server);
    note->trouble = is_name ? KAFKA_TROUBLE_NAME : is_time ? KAFKA_TROUBLE_EXPIRED : KAFKA_TROUBLE_AUTHORITY;
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
};

static const struct pattern patterns[] = {
    {{"certificate verify failed"}, KAFKA_TROUBLE_AUTHORITY},
    {{"verification callback failed"}, KAFKA_TROUBLE_AUTHORITY},
    {{"alert bad certificate"}, KAFKA_TROUBLE_CERTIFICATE},
    {{"certificate required"}, KAFKA_TROUBLE_CERTIFICATE},
    {{"alert unknown ca"}, KAFKA_TROUBLE_CERTIFICATE},
    {{"alert certificate unknown"}, KAFKA_TROUBLE_CERTIFICATE},
    {{"nsupported SASL mechanism"}, KAFKA_TROUBLE_MECHANISM},
    {{"SASL", "uthentication failed"}, KAFKA_TROUBLE_LOGIN},
    {{"SASL authentication error"}, KAFKA_TROUBLE_LOGIN},
    {{"PLAINTEXT broker listener"}, KAFKA_TROUBLE_NO_TLS},
    {{"wrong version number"}, KAFKA_TROUBLE_NO_TLS},
    {{"state SSL_HANDSHAKE", "closed by peer"}, KAFKA_TROUBLE_NO_TLS},
    {{"connecting to a SSL listener"}, KAFKA_TROUBLE_NO_PLAIN},
    {{"state APIVERSION_QUERY", "isconnected"}, KAFKA_TROUBLE_NO_PLAIN},
    {{"state APIVERSION_QUERY", "Receive failed"}, KAFKA_TROUBLE_NO_PLAIN},
    {{"ms in state UP", "isconnected"}, KAFKA_TROUBLE_NO_LOGIN},
    {{"ms in state UP", "Send failed"}, KAFKA_TROUBLE_NO_LOGIN},
    {{"Failed to resolve"}, KAFKA_TROUBLE_NO_HOST},
    {{"Connect to", "failed"}, KAFKA_TROUBLE_REFUSED},
};

/* What a line of librdkafka's log is about; server gets "HOST:PORT" ("" when it names none). */
static enum kafka_trouble judge(const char *line, char *server, size_t size)
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
            return pattern->trouble;
    }
    return KAFKA_TROUBLE_NONE;
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

/* A table: what is wrong, and what to set. */
/* clang-format off */
static void describe(rd_kafka_t *handle, const char *server, enum kafka_trouble trouble, char *text, size_t size)
{
    char one[VALUE_BYTES], other[VALUE_BYTES];
    switch (trouble) {
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
        snprintf(text, size, "Kafka at %s shows a certificate that has expired or is not valid yet: renew it there (kafka.security.protocol = %s), or set this machine's clock right",
                 server, protocol_of(handle, one));
        break;
    case KAFKA_TROUBLE_CERTIFICATE:
        snprintf(text, size, "Kafka at %s asks for a client's certificate, or refuses ours: set kafka.ssl.certificate.location and kafka.ssl.key.location, or kafka.security.protocol = SASL_SSL at its other listener",
                 server);
        break;
    case KAFKA_TROUBLE_LOGIN:
        snprintf(text, size, "Kafka at %s refuses the login %s: check kafka.sasl.username, kafka.sasl.password and kafka.sasl.mechanism = %s", server,
                 value_of(handle, "sasl.username", one), value_of(handle, "sasl.mechanism", other));
        break;
    case KAFKA_TROUBLE_MECHANISM:
        snprintf(text, size, "Kafka at %s does not take kafka.sasl.mechanism = %s: set one of those that its listener has in sasl.enabled.mechanisms", server,
                 value_of(handle, "sasl.mechanism", one));
        break;
    case KAFKA_TROUBLE_NO_LOGIN:
        snprintf(text, size, "Kafka at %s closes the connection as soon as it stands, as one does that asks for a login: set kafka.security.protocol = SASL_%s with kafka.sasl.username and kafka.sasl.password",
                 server, protocol_of(handle, one));
        break;
    case KAFKA_TROUBLE_NO_TLS:
        snprintf(text, size, "Kafka at %s does not begin TLS, which kafka.security.protocol = %s asks for: give the port of its TLS listener in kafka.bootstrap.servers, or set PLAINTEXT or SASL_PLAINTEXT",
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
    enum kafka_trouble trouble = judge(line, server, sizeof server);
    told[0] = '\0';
    /* "GroupCoordinator" is no server yet; "Local: Broker handle destroyed" is our own going away. */
    if (trouble == KAFKA_TROUBLE_NONE || strchr(server, ':') == NULL || strstr(line, "handle destroyed") != NULL ||
        (trouble == KAFKA_TROUBLE_NO_LOGIN && !was_thrown_out(handle, line)))
        return false;
    if (!note_down(server, trouble))
        return true;
    pthread_mutex_lock(&lock);
    struct note *note = find(server);
    note->told_us = clock_now_us();
    note->told |= 1u << note->trouble;
    trouble = note->trouble;
    pthread_mutex_unlock(&lock);
    describe(handle, server, trouble, told, size);
    return true;
}

void kafka_trouble_over(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < SERVERS_MAX; i++)
        notes[i].told_us = 0, notes[i].told = 0;
    pthread_mutex_unlock(&lock);
}

static bool take_latest(const char *server, struct note *latest)
{
    const int64_t now_us = clock_now_us();
    *latest = (struct note){0};
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < SERVERS_MAX; i++)
        if (is_fresh(&notes[i], now_us) && (server == NULL || strcmp(server, notes[i].server) == 0)) {
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
    if (!take_latest(server, &latest))
        return false;
    bool lasts = is_lasting(latest.trouble);
    /* A proxy whose broker is down closes connections just so: ask before a setting is called wrong. */
    if (latest.trouble == KAFKA_TROUBLE_NO_TLS || latest.trouble == KAFKA_TROUBLE_NO_PLAIN) {
        const enum kafka_probe spoken = kafka_probe(latest.server);
        lasts = spoken == (latest.trouble == KAFKA_TROUBLE_NO_TLS ? KAFKA_PROBE_PLAIN : KAFKA_PROBE_TLS);
        if (!lasts)
            return false;
    }
    describe(handle, latest.server, latest.trouble, text, sizeof text);
    error_set(err, lasts ? ERROR_USAGE : err->kind, "%s", text);
    return true;
}
