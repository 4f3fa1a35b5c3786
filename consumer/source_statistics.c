/* source_statistics.c - see source_statistics.h. Read every 2 s, and only where metrics are shown: 20 KB for 16 topic partitions,
 * 0.2 ms. */
#include "consumer/source_statistics.h"

#include <string.h>

#include <jansson.h>

/* "-1" is where librdkafka keeps what has no topic partition yet. */
static bool is_of_topic(const char *name, json_t *topic_partition)
{
    return name[0] != '-' && !json_is_true(json_object_get(topic_partition, "unknown"));
}

static void add_queues(struct source_statistics *statistics, json_t *topic)
{
    const char *name;
    json_t *topic_partition;
    json_object_foreach(json_object_get(topic, "partitions"), name, topic_partition) {
        statistics->queue_messages += json_integer_value(json_object_get(topic_partition, "fetchq_cnt"));
        statistics->queue_bytes += json_integer_value(json_object_get(topic_partition, "fetchq_size"));
        statistics->topic_partitions += is_of_topic(name, topic_partition);
    }
}

static bool is_up(json_t *broker)
{
    const char *state = json_string_value(json_object_get(broker, "state"));
    return state && strcmp(state, "UP") == 0;
}

/* Whether an entry before this one is a connection to the same broker: librdkafka has one to the coordinator beside the broker's
 * own. */
static bool is_counted(json_t *brokers, const char *until, json_int_t id)
{
    const char *name;
    json_t *broker;
    json_object_foreach(brokers, name, broker) {
        if (strcmp(name, until) == 0)
            break;
        if (is_up(broker) && json_integer_value(json_object_get(broker, "nodeid")) == id)
            return true;
    }
    return false;
}

/* Brokers, each once. One that is known by its bootstrap address only has no number yet; there is one at least. */
static void count_brokers(struct source_statistics *statistics, json_t *brokers)
{
    const char *name;
    json_t *broker;
    bool is_any_up = false;
    json_object_foreach(brokers, name, broker) {
        const json_int_t id = json_integer_value(json_object_get(broker, "nodeid"));
        is_any_up |= is_up(broker);
        statistics->brokers_up += is_up(broker) && id >= 0 && !is_counted(brokers, name, id);
    }
    if (statistics->brokers_up == 0)
        statistics->brokers_up = is_any_up;
}

void source_statistics_read(struct source_statistics *statistics, const char *json, size_t length)
{
    json_t *root = json_loadb(json, length, 0, NULL);
    if (!root)
        return;
    const char *name;
    json_t *member;
    *statistics = (struct source_statistics){.is_known = true};
    json_object_foreach(json_object_get(root, "topics"), name, member)
        add_queues(statistics, member);
    count_brokers(statistics, json_object_get(root, "brokers"));
    json_decref(root);
}
