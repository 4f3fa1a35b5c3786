/* topic.c - see topic.h.
 *
 * The high watermark is asked for uncommitted reads: with read_committed, librdkafka would answer with the last stable offset, and
 * offsets behind an open transaction would not show as unread. Offsets are asked for one topic partition at a time, because the
 * call for many at once (rd_kafka_ListOffsets) came with 2.3 and Debian 12 has 2.0.2; it is one round trip each.
 */
#include "topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "settings.h"

static const struct kafka_forced client_defaults[] = {
    {"isolation.level", "read_uncommitted"},
    {"socket.connection.setup.timeout.ms", "5000"},
    {"enable.partition.eof", "true"},
    {"fetch.wait.max.ms", "10"},          /* of a log whose end was met, the next one's fetch waits for the answer */
    {"fetch.message.max.bytes", "65536"}, /* one message is wanted; a larger one comes whole all the same */
    {NULL, NULL},
};

rd_kafka_t *topic_client(const struct settings *settings, struct error *err)
{
    rd_kafka_conf_t *conf = kafka_conf(settings, client_defaults, NULL, err);
    return conf ? kafka_open(RD_KAFKA_CONSUMER, conf, err) : NULL;
}

static int left_ms(int64_t deadline_us)
{
    int64_t left_us = deadline_us - clock_now_us();
    return left_us < 1000 ? 1 : (int)(left_us / 1000);
}

bool topic_read(rd_kafka_t *client, const char *name, int timeout_ms, struct topic *topic, struct error *err)
{
    int64_t deadline_us = clock_now_us() + timeout_ms * INT64_C(1000);
    *topic = (struct topic){0};
    if (!kafka_topic_partitions(client, name, timeout_ms, &topic->count, err)) {
        return false;
    }
    topic->logs = calloc((size_t)topic->count, sizeof *topic->logs);
    if (!topic->logs) {
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    char *cluster_id = rd_kafka_clusterid(client, left_ms(deadline_us));
    if (cluster_id) {
        snprintf(topic->cluster_id, sizeof topic->cluster_id, "%s", cluster_id);
        rd_kafka_mem_free(client, cluster_id);
    }
    for (int i = 0; i < topic->count; i++) {
        if (!kafka_watermarks(client, name, i, left_ms(deadline_us), &topic->logs[i].low, &topic->logs[i].high, err)) {
            topic_free(topic);
            return error_wrap(err, "topic %s, topic partition %d", name, i);
        }
    }
    return true;
}

void topic_free(struct topic *topic)
{
    free(topic->logs);
    *topic = (struct topic){0};
}

/* Looks a key up in the answer to DescribeConfigs. */
static bool find_entry(const rd_kafka_DescribeConfigs_result_t *answer, const char *key, char *value, size_t size,
                       struct error *err)
{
    size_t resources = 0, entries = 0;
    const rd_kafka_ConfigResource_t **resource = rd_kafka_DescribeConfigs_result_resources(answer, &resources);
    if (resources != 1) {
        return error_set(err, ERROR_RETRY, "Kafka described %zu topics instead of one", resources);
    }
    if (rd_kafka_ConfigResource_error(resource[0])) {
        return kafka_error(err, rd_kafka_ConfigResource_error(resource[0]), "reading the topic's settings");
    }
    const rd_kafka_ConfigEntry_t **entry = rd_kafka_ConfigResource_configs(resource[0], &entries);
    for (size_t i = 0; i < entries; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entry[i]), key) == 0 && rd_kafka_ConfigEntry_value(entry[i])) {
            snprintf(value, size, "%s", rd_kafka_ConfigEntry_value(entry[i]));
            return true;
        }
    }
    return error_set(err, ERROR_RETRY, "Kafka did not say what the topic's %s is", key);
}

bool topic_setting(rd_kafka_t *client, const char *name, const char *key, int timeout_ms, char *value, size_t size,
                   struct error *err)
{
    bool is_known = false;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_event_t *event = NULL;
    char reason[256];
    if (rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, reason, sizeof reason)) {
        error_set(err, ERROR_RETRY, "asking Kafka for a topic's settings: %s", reason);
        goto out;
    }
    rd_kafka_DescribeConfigs(client, &resource, 1, options, queue);
    event = rd_kafka_queue_poll(queue, timeout_ms + 1000); /* the request's own time-out comes first */
    const rd_kafka_DescribeConfigs_result_t *answer = event ? rd_kafka_event_DescribeConfigs_result(event) : NULL;
    if (!answer) {
        error_set(err, ERROR_RETRY, "no answer from Kafka about the settings of topic %s", name);
    } else if (rd_kafka_event_error(event)) {
        kafka_error(err, rd_kafka_event_error(event), "reading the topic's settings");
    } else {
        is_known = find_entry(answer, key, value, size, err);
    }
out:
    if (event) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return is_known;
}
