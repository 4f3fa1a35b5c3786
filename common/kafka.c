/* kafka.c - see kafka.h.
 *
 * A property that a program must decide itself is refused when an operator sets it, under any of its names: librdkafka has aliases
 * ("linger.ms" is "queue.buffering.max.ms"), so each kafka.* setting is tried on a configuration that holds the forced values, and
 * a forced property that it moves is the same property. A list of aliases was rejected: it would be right for one release only.
 */
#include "common/kafka.h"

#include <string.h>

#include "common/kafka_trouble.h"
#include "common/log.h"
#include "common/settings.h"

enum { VALUE_BYTES = 4096, REASON_BYTES = 512 };

static void log_line(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    char plain[LOG_TEXT_BYTES], escaped[LOG_TEXT_BYTES], told[ERROR_TEXT_BYTES];
    log_text(escaped, kafka_trouble_cut_logins(plain, sizeof plain, text));
    if (kafka_trouble_note((rd_kafka_t *)(uintptr_t)handle, text, told, sizeof told)) { /* several times a second, while it lasts */
        log_debug("librdkafka", "facility=%s text=\"%s\"", facility, escaped);
        if (told[0] != '\0')
            log_warn("cannot reach Kafka, trying again", "reason=\"%s\"", log_text(escaped, told));
        return;
    }
    /* Twenty times a second while somebody waits for a broker; and each connection that ends, of which an outage has hundreds. */
    if (strstr(text, "brokers are down") != NULL || (strcmp(facility, "FAIL") == 0 && strstr(text, ": Disconnected") != NULL))
        level = 7;
    /* Positions are told to Kafka for lag tools only; that a group is refused is told by who is refused. */
    if (strcmp(facility, "COMMITFAIL") == 0 && strstr(text, "Group authorization failed") != NULL)
        level = 7;
    /* A broker that is away is level 3 there; what it means for us is said by the code that needs the broker. */
    if (level <= 2)
        log_error("librdkafka", "facility=%s text=\"%s\"", facility, escaped);
    else if (level <= 4)
        log_warn("librdkafka", "facility=%s text=\"%s\"", facility, escaped);
    else if (level <= 6)
        log_info("librdkafka", "facility=%s text=\"%s\"", facility, escaped);
    else
        log_debug("librdkafka", "facility=%s text=\"%s\"", facility, escaped);
}

static bool set_all(rd_kafka_conf_t *conf, const struct kafka_forced *list, struct error *err)
{
    char reason[REASON_BYTES];
    for (; list != NULL && list->name != NULL; list++)
        if (rd_kafka_conf_set(conf, list->name, list->value, reason, sizeof reason) != RD_KAFKA_CONF_OK)
            return error_set(err, ERROR_USAGE, "librdkafka %s refuses %s=%s: %s", rd_kafka_version_str(), list->name, list->value,
                             reason);
    return true;
}

/* The value of a property as text, "" when it has none. */
static const char *get(const rd_kafka_conf_t *conf, const char *name, char value[VALUE_BYTES])
{
    size_t bytes = VALUE_BYTES;
    if (rd_kafka_conf_get(conf, name, value, &bytes) != RD_KAFKA_CONF_OK)
        value[0] = '\0';
    return value;
}

/* What a setting of ours decides, in every program: taken here it would be ignored, or be another group's. */
static const struct kafka_forced ours[] = {
    {"group.id", "consumer.group"},
    {"group.instance.id", "consumer.instance"},
    {NULL, NULL},
};

static const char *find_ours(const char *name)
{
    const struct kafka_forced *one = ours;
    while (one->name != NULL && strcmp(one->name, name) != 0)
        one++;
    return one->value;
}

/* The forced property that this setting would change, or NULL. `held` is a configuration with nothing but the forced values. */
static const char *find_forced(const rd_kafka_conf_t *held, const struct kafka_setting *setting, const struct kafka_forced *forced)
{
    char before[VALUE_BYTES], after[VALUE_BYTES], reason[REASON_BYTES];
    const char *found = NULL;
    rd_kafka_conf_t *tried = rd_kafka_conf_dup(held);
    bool is_taken = rd_kafka_conf_set(tried, setting->name, setting->value, reason, sizeof reason) == RD_KAFKA_CONF_OK;
    for (; found == NULL && forced != NULL && forced->name != NULL; forced++) {
        bool moves = is_taken && strcmp(get(held, forced->name, before), get(tried, forced->name, after)) != 0;
        if (moves || strcmp(setting->name, forced->name) == 0)
            found = forced->name;
    }
    rd_kafka_conf_destroy(tried);
    return found;
}

static bool set_from_settings(rd_kafka_conf_t *conf, const struct settings *settings, const struct kafka_forced *forced,
                              struct error *err)
{
    size_t count;
    const struct kafka_setting *list = settings_kafka(settings, &count);
    rd_kafka_conf_t *held = rd_kafka_conf_new();
    bool ok = set_all(held, forced, err);
    for (size_t i = 0; ok && i < count; i++) {
        char key[256], reason[REASON_BYTES];
        snprintf(key, sizeof key, "kafka.%s", list[i].name);
        const char *clash = find_forced(held, &list[i], forced), *unread = settings_kafka_unread(settings, key);
        if (unread != NULL)
            ok = error_set(err, ERROR_USAGE, "%s: %s: %s", settings_origin(settings, key), key, unread);
        else if (find_ours(list[i].name) != NULL)
            ok = error_set(err, ERROR_USAGE, "%s: %s: it is ignored here; set %s instead", settings_origin(settings, key), key,
                           find_ours(list[i].name));
        else if (clash != NULL && strcmp(clash, list[i].name) == 0)
            ok = error_set(err, ERROR_USAGE, "%s: %s: this program sets %s itself; remove the line", settings_origin(settings, key),
                           key, clash);
        else if (clash != NULL)
            ok =
                error_set(err, ERROR_USAGE, "%s: %s: this program sets %s itself, and this is another name for it; remove the line",
                          settings_origin(settings, key), key, clash);
        else if (rd_kafka_conf_set(conf, list[i].name, list[i].value, reason, sizeof reason) != RD_KAFKA_CONF_OK)
            ok = error_set(err, ERROR_USAGE, "%s: %s: %s", settings_origin(settings, key), key, reason);
    }
    rd_kafka_conf_destroy(held);
    return ok;
}

void kafka_conf_watch(rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_log_cb(conf, log_line);
    kafka_trouble_watch(conf);
}

rd_kafka_conf_t *kafka_conf(const struct settings *settings, const struct kafka_forced *defaults, const struct kafka_forced *forced,
                            struct error *err)
{
    /* A producer that merely asks for a topic makes it, where brokers allow that (their default), with one topic partition (seen).
     */
    static const struct kafka_forced base[] = {{"client.id", "tallymill"}, {"allow.auto.create.topics", "false"}, {NULL, NULL}};
    char brokers[VALUE_BYTES];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_conf_watch(conf);
    if (!set_all(conf, base, err) || !set_all(conf, defaults, err) || !set_from_settings(conf, settings, forced, err) ||
        !set_all(conf, forced, err))
        goto failed;
    if (get(conf, "bootstrap.servers", brokers)[0] == '\0') {
        error_set(
            err, ERROR_USAGE,
            "kafka.bootstrap.servers is not set: write \"bootstrap.servers = HOST:PORT\" under [kafka] in the file of --config, "
            "or give --set kafka.bootstrap.servers=HOST:PORT");
        goto failed;
    }
    return conf;
failed:
    rd_kafka_conf_destroy(conf);
    return NULL;
}

rd_kafka_t *kafka_open(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct error *err)
{
    char reason[REASON_BYTES];
    rd_kafka_t *handle = rd_kafka_new(type, conf, reason, sizeof reason);
    if (handle == NULL) {
        rd_kafka_conf_destroy(conf);
        error_set(err, ERROR_USAGE, "kafka.* settings do not fit together: %s", reason);
    }
    return handle;
}
