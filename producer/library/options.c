/* options.c - see options.h.
 *
 * Settings are texts with the names of the operator's file, not fields of a struct: a program can hand over what it read, and a
 * later release can add one without another ABI.
 */
#include "producer/library/options.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/kafka_version.h"
#include "common/nearest.h"
#include "common/settings.h"
#include "common/settings_file.h"
#include "common/settings_value.h"
#include "producer/library/event.h"

struct property {
    const char *name, *value;
};

/* May be overridden by kafka.*. */
/* clang-format off */
static const struct property defaults[] = {
    {"client.id", "tallymill-producer"},
    {"allow.auto.create.topics", "false"},       /* brokers would make it with one topic partition and one copy */
    {"compression.codec", "lz4"},
    {"linger.ms", "5"},                          /* a batch fills long before under load; alone, an event waits 5 ms for company */
    {"message.timeout.ms", "300000"},            /* five minutes: longer than a broker's restart */
    {"topic.metadata.propagation.max.ms", "300000"}, /* a topic that is missing may come back for as long */
    {"queue.buffering.max.messages", "100000"},
    {"queue.buffering.max.kbytes", "61440"},     /* with our own queue 64 MiB; librdkafka's own default is 1 GiB */
    {"message.max.bytes", "4194304"},            /* as the topic's max.message.bytes: a value of 1 MiB always fits */
    {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.max.ms", "2000"},        /* 10 s by default: the broker would be back long before we notice */
    {"log.thread.name", "false"},                /* "[thrd:app]: " says nothing to anybody but librdkafka's authors */
};
/* clang-format on */

/* What the promise to applications rests on: no duplicates from retries, no loss after an acknowledgement, sessions in order and
 * in the same topic partition whichever client sends them. */
static const struct property forced[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"partitioner", "murmur2_random"},
};

static const char *const refused[] = {
    "enable.idempotence", "acks", "request.required.acks", "partitioner", "transactional.id", "delivery.report.only.error"};

static bool set_property(rd_kafka_conf_t *conf, const char *name, const char *value, struct tally_error *err)
{
    char reason[256];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) == RD_KAFKA_CONF_OK)
        return true;
    tally_error_set(err, TALLY_INVALID, "kafka.%s: %s", name, reason);
    return false;
}

static bool set_kafka(struct options *options, const char *name, const char *value, bool *has_servers, bool *has_timeout,
                      struct tally_error *err)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(name, refused[i]) == 0) {
            tally_error_set(err, TALLY_INVALID, "kafka.%s cannot be set: delivering every event exactly once depends on it", name);
            return false;
        }
    const bool is_list = strcmp(name, "bootstrap.servers") == 0 || strcmp(name, "metadata.broker.list") == 0;
    if ((is_list || strcmp(name, "sasl.oauthbearer.token.endpoint.url") == 0) && strchr(value, '@') != NULL) {
        tally_error_set(err, TALLY_INVALID, "kafka.%s: no login may stand in it, for librdkafka shows it; see %s", name,
                        is_list ? "kafka.sasl.username" : "kafka.sasl.oauthbearer.client.id");
        return false;
    }
    if (is_list)
        *has_servers = value[strspn(value, " \t,")] != '\0';
    if (strcmp(name, "message.timeout.ms") == 0 || strcmp(name, "delivery.timeout.ms") == 0)
        *has_timeout = true;
    return set_property(options->conf, name, value, err);
}

#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)

/* Ours, in the form of the operator's table. */
/* clang-format off */
static const struct setting own[] = {
    {"topics.events", SETTING_TEXT, "analytics-events", 1, 249, NULL, 0, NULL},
    {"catalogue.file", SETTING_TEXT, "", 0, 0, NULL, 0, NULL},
    {"catalogue.unknown", SETTING_CHOICE, "accept", 0, 0, "accept|reject", 0, NULL},
    {"publish.timeout.ms", SETTING_COUNT, "0", 0, 3600000, NULL, 0, NULL},
    {"queue.size", SETTING_BYTES, "4 MiB", MIB / 4, GIB, NULL, 0, NULL},
    {"poll.size", SETTING_BYTES, "4 MiB", MIB / 4, GIB, NULL, 0, NULL},
    {"spool.dir", SETTING_TEXT, "", 0, 4000, NULL, 0, NULL},
    {"spool.size", SETTING_BYTES, "1 GiB", MIB, 1024 * GIB, NULL, 0, NULL},
    {"spool.sync", SETTING_CHOICE, "interval", 0, 0, "each|interval|never", 0, NULL},
    {"spool.wait.ms", SETTING_COUNT, "0", 0, 3600000, NULL, 0, NULL},
    {"spool.full", SETTING_CHOICE, "refuse", 0, 0, "refuse|drop_oldest", 0, NULL},
};
/* clang-format on */

static void take_own(struct options *options, const char *key, const char *value, int64_t number)
{
    if (strcmp(key, "topics.events") == 0)
        options->topic = value;
    else if (strcmp(key, "catalogue.file") == 0)
        options->catalogue_file = value;
    else if (strcmp(key, "catalogue.unknown") == 0)
        options->is_unknown_event_refused = strcmp(value, "reject") == 0;
    else if (strcmp(key, "publish.timeout.ms") == 0)
        options->publish_timeout_ms = (int)number;
    else if (strcmp(key, "queue.size") == 0)
        options->queue_bytes = (size_t)number;
    else if (strcmp(key, "poll.size") == 0)
        options->poll_bytes = (size_t)number;
    else if (strcmp(key, "spool.dir") == 0)
        options->spool.directory = *value == '\0' ? NULL : value;
    else if (strcmp(key, "spool.size") == 0)
        options->spool.bytes = (uint64_t)number;
    else if (strcmp(key, "spool.wait.ms") == 0)
        options->spool.wait_ms = (int)number;
    else if (strcmp(key, "spool.sync") == 0)
        options->spool.sync = *value == 'e' ? SPOOL_SYNC_EACH : *value == 'i' ? SPOOL_SYNC_INTERVAL : SPOOL_SYNC_NEVER;
    else
        options->spool.is_oldest_dropped = *value == 'd';
}

static bool unknown_key(const char *key, struct tally_error *err)
{
    const char *keys[sizeof own / sizeof *own];
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        keys[i] = own[i].key;
    const char *nearest = nearest_word(key, keys, sizeof own / sizeof *own);
    if (!settings_file_may_show_key(key))
        return tally_error_set(err, TALLY_INVALID, "unknown setting") == TALLY_OK;
    if (nearest == NULL)
        return tally_error_set(err, TALLY_INVALID, "unknown setting '%s': a producer has none of this name", key) == TALLY_OK;
    return tally_error_set(err, TALLY_INVALID, "unknown setting '%s'; did you mean %s?", key, nearest) == TALLY_OK;
}

static bool set_own(struct options *options, const char *key, const char *value, struct tally_error *err)
{
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (strcmp(key, own[i].key) != 0)
            continue;
        int64_t number;
        struct error reason;
        if (!settings_value_parse(&own[i], value, &number, &reason))
            return tally_error_set(err, TALLY_INVALID, "%s: %s", key, reason.text) == TALLY_OK;
        take_own(options, key, value, number);
        return true;
    }
    return unknown_key(key, err);
}

static bool is_topic_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return length > 0 && length <= 249 && name[length] == '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool set_all(struct options *options, const struct tally_setting *settings, struct tally_error *err)
{
    bool has_servers = false, has_timeout = false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!set_own(options, own[i].key, own[i].fallback, err))
            return false;
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (!set_property(options->conf, defaults[i].name, defaults[i].value, err))
            return false;
    for (const struct tally_setting *setting = settings; setting != NULL && setting->key != NULL; setting++) {
        if (setting->value == NULL)
            return tally_error_set(err, TALLY_INVALID, "the setting '%s' has no value", setting->key) == TALLY_OK;
        if (strncmp(setting->key, "kafka.", 6) == 0
                ? !set_kafka(options, setting->key + 6, setting->value, &has_servers, &has_timeout, err)
                : !set_own(options, setting->key, setting->value, err))
            return false;
    }
    for (size_t i = 0; i < sizeof forced / sizeof *forced; i++)
        if (!set_property(options->conf, forced[i].name, forced[i].value, err))
            return false;
    /* What is in the spool is never given up: it would only be sent again. 0 is for ever. */
    if (options->spool.directory != NULL) {
        if (has_timeout)
            return tally_error_set(
                       err, TALLY_INVALID,
                       "kafka.message.timeout.ms cannot be set with spool.dir: what is in the spool is never given up") == TALLY_OK;
        if (!set_property(options->conf, "message.timeout.ms", "0", err))
            return false;
    }
    if (!is_topic_name(options->topic))
        return tally_error_set(
                   err, TALLY_INVALID,
                   "topics.events = %s: no topic can have this name (1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-', not '.' or "
                   "'..')",
                   options->topic) == TALLY_OK;
    char text[32];
    size_t size = sizeof text;
    if (rd_kafka_conf_get(options->conf, "message.max.bytes", text, &size) == RD_KAFKA_CONF_OK)
        options->message_bytes = strtoul(text, NULL, 10);
    if (!has_servers)
        return tally_error_set(err, TALLY_INVALID,
                               "kafka.bootstrap.servers is not set, or empty: it says where Kafka is (HOST:PORT)") == TALLY_OK;
    return true;
}

bool options_try(const struct tally_setting *setting, struct tally_error *err)
{
    struct options scratch = {.conf = rd_kafka_conf_new()};
    bool unused, ok = strncmp(setting->key, "kafka.", 6) == 0
                          ? set_kafka(&scratch, setting->key + 6, setting->value, &unused, &unused, err)
                          : set_own(&scratch, setting->key, setting->value, err);
    options_reset(&scratch);
    return ok;
}

bool options_read(struct options *options, const struct tally_setting *settings, struct tally_error *err)
{
    struct error reason;
    if (!kafka_version_check(rd_kafka_version(), rd_kafka_version_str(), &reason))
        return tally_error_set(err, TALLY_INVALID, "%s", reason.text) == TALLY_OK;
    *options = (struct options){.conf = rd_kafka_conf_new()};
    if (set_all(options, settings, err))
        return true;
    options_reset(options);
    return false;
}

void options_reset(struct options *options)
{
    if (options->conf != NULL)
        rd_kafka_conf_destroy(options->conf);
    options->conf = NULL;
}
