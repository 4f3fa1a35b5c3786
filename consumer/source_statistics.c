/* source_statistics.c - see source_statistics.h. Read every 2 s, and only where metrics are shown: 20 KB for 16 topic partitions,
 * 0.2 ms. */
#include "source_statistics.h"

#include <string.h>

#include <jansson.h>

static void add_queues(struct source_statistics *statistics, json_t *topic)
{
    const char *name;
    json_t *partition;
    json_object_foreach(json_object_get(topic, "partitions"), name, partition) {
        statistics->queue_messages += json_integer_value(json_object_get(partition, "fetchq_cnt"));
        statistics->queue_bytes += json_integer_value(json_object_get(partition, "fetchq_size"));
    }
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
    json_object_foreach(json_object_get(root, "brokers"), name, member) {
        const char *state = json_string_value(json_object_get(member, "state"));
        statistics->brokers_up += state && strcmp(state, "UP") == 0;
    }
    json_decref(root);
}
