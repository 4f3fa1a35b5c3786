/* source_conf.c - see source_conf.h.
 *
 * What exactly-once rests on is forced, and an operator who sets such a property gets an error, because overruling in silence is
 * worse.
 */
#include "consumer/source_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/kafka.h"
#include "common/settings.h"
#include "consumer/memory_shares.h"

/* How often a broker is asked while events trickle. It answers once so many bytes (compressed, some 10 to 20 events) are there, or
 * after so many ms; with librdkafka's own single byte it answers for each batch of a producer's, which at 5,000 events/s costs
 * broker and worker more than the events do (190 and 14 us of CPU each). So there is a fetch every few ms at such a rate, and forty
 * a second at a low one and at none: that is the most that an event waits for company in the broker. Measured by tests/bench/run
 * latency: 5 ms instead cost an idle broker a tenth of a core, more bytes cost median latency. A backlog has more than this in each
 * answer. Both may be overridden. */
#define FETCH_BYTES   "2048"
#define FETCH_WAIT_MS "25"

static const struct kafka_forced forced[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    {"enable.partition.eof", "true"},
    {"check.crcs", "true"},
    {"isolation.level", "read_committed"},
    {"partition.assignment.strategy", "range,roundrobin"},
    {"group.protocol", "classic"},
    {NULL, NULL},
};

/* The section may be shared with producers, whose messages message.max.bytes bounds. A worker sends none, but librdkafka refuses
 * one above fetch.max.bytes, and takes it for the most that a batch compressed by lz4 becomes at its first try: so as large as it
 * may be, up to its default. */
static void bound_messages(rd_kafka_conf_t *conf)
{
    char value[32], why[256];
    size_t bytes = sizeof value;
    long long most = rd_kafka_conf_get(conf, "fetch.max.bytes", value, &bytes) == RD_KAFKA_CONF_OK ? strtoll(value, NULL, 10) : 0;
    if (most > 1000000)
        most = 1000000;
    snprintf(value, sizeof value, "%lld", most > 1000 ? most : 1000);
    rd_kafka_conf_set(conf, "message.max.bytes", value, why, sizeof why);
}

rd_kafka_conf_t *source_conf(const struct settings *settings, struct error *err)
{
    const struct memory_shares shares = memory_shares(settings_int(settings, "memory.max"));
    const char *instance = settings_text(settings, "consumer.instance");
    const struct kafka_forced defaults[] = {
        {"queued.max.messages.kbytes", shares.queue_kib},
        {"fetch.message.max.bytes", shares.fetch_bytes},
        {"fetch.max.bytes", shares.answer_bytes},
        {"receive.message.max.bytes",
         "2147483647"}, /* for zstd also the most that a batch may unpack to: what is beyond memory lies in a file (spill.h) */
        {"queued.min.messages", "100000"},
        {"fetch.min.bytes", FETCH_BYTES},
        {"fetch.wait.max.ms", FETCH_WAIT_MS},
        {"fetch.queue.backoff.ms", "25"}, /* until a full queue is looked at again: a second by default, in which a worker takes
                                             80,000 events; each look wakes a thread */
        {"topic.metadata.refresh.interval.ms", "60000"}, /* in which topic partitions that were added are noticed */
        {"session.timeout.ms", "10000"},
        {"heartbeat.interval.ms", "1000"},
        {"max.poll.interval.ms", "300000"},
        {"statistics.interval.ms", *settings_text(settings, "metrics.listen") ? "2000" : NULL},
        {"client.id", "tallymill-consumer"},
        {"group.instance.id", *instance ? instance : NULL},
        {NULL, NULL},
    };
    struct kafka_forced usable[sizeof defaults / sizeof *defaults];
    int count = 0;
    for (const struct kafka_forced *property = defaults; property->name; property++)
        if (property->value)
            usable[count++] = *property;
    usable[count] = (struct kafka_forced){NULL, NULL};
    rd_kafka_conf_t *conf = kafka_conf(settings, usable, forced, err);
    if (!conf)
        return NULL;
    char why[256];
    bound_messages(conf);
    if (rd_kafka_conf_set(conf, "group.id", settings_text(settings, "consumer.group"), why, sizeof why) != RD_KAFKA_CONF_OK) {
        error_set(err, ERROR_USAGE, "consumer.group: %s", why);
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return conf;
}

bool source_conf_check_topic(const char *topic, struct error *err)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t length = strlen(topic);
    if (length > 0 && length <= 249 && strspn(topic, alphabet) == length)
        return true;
    return error_set(err, ERROR_USAGE, "topics.events: a topic's name has 1 to 249 letters, digits, '.', '_' or '-'");
}

const char *source_conf_brokers(const struct settings *settings)
{
    size_t count;
    const struct kafka_setting *properties = settings_kafka(settings, &count);
    for (size_t i = count; i-- > 0;)
        if (strcmp(properties[i].name, "bootstrap.servers") == 0)
            return properties[i].value;
    return "(not set)";
}
