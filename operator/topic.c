/* topic.c - see topic.h.
 *
 * The high watermark is asked for uncommitted reads: with read_committed, librdkafka would answer with the last stable offset, and
 * offsets behind an open transaction would not show as unread. All topic partitions are asked for at once: one round trip to each
 * leader, where a thousand one after the other took as many.
 */
#include "operator/topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/kafka_rights.h"
#include "common/kafka_trouble.h"
#include "common/settings.h"

#define UNKNOWN_US INT64_C(1500000) /* until a topic that no broker knows is none */

/* A request that nobody answers is looked at again and again: whether it is known why, and that no wait helps. */
enum { SLICE_MS = 500, REFUSED_MS = 2000 };

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

void topic_cluster(rd_kafka_t *client, int timeout_ms, char cluster_id[TOPIC_CLUSTER_BYTES])
{
    char *told = rd_kafka_clusterid(client, timeout_ms);
    snprintf(cluster_id, TOPIC_CLUSTER_BYTES, "%s", told ? told : "");
    if (told) {
        rd_kafka_mem_free(client, told);
    }
}

/* Whether Kafka refuses us until a setting is another: err says so then, and what to set. */
static bool is_refused(rd_kafka_t *client, struct error *err)
{
    return kafka_trouble_explain(client, err) && err->kind == ERROR_USAGE;
}

/* The next answer of the queue. NULL: it did not come in time, will not come before a setting is another, or is an error. */
static rd_kafka_event_t *take_answer(rd_kafka_t *client, rd_kafka_queue_t *queue, int timeout_ms, const char *doing,
                                     struct error *err)
{
    const int64_t begin_us = clock_now_us(),
                  deadline_us = begin_us + (timeout_ms + 1000) * INT64_C(1000); /* the request's comes first */
    rd_kafka_event_t *event;
    bool was_asked = false;
    while (!(event = rd_kafka_queue_poll(queue, left_ms(deadline_us) < SLICE_MS ? left_ms(deadline_us) : SLICE_MS)) &&
           clock_now_us() < deadline_us) {
        if (!was_asked && clock_now_us() - begin_us > REFUSED_MS * INT64_C(1000)) {
            was_asked = true;
            error_set(err, ERROR_RETRY, "%s", doing);
            if (is_refused(client, err)) {
                return NULL;
            }
        }
    }
    if (!event) {
        error_set(err, ERROR_RETRY, "%s: Kafka did not answer within %d ms", doing, timeout_ms);
        kafka_trouble_explain(client, err);
    } else if (rd_kafka_event_error(event)) {
        kafka_error(err, rd_kafka_event_error(event), doing);
        if (err->kind == ERROR_RETRY) {
            kafka_trouble_explain(client, err);
        }
        rd_kafka_event_destroy(event);
        event = NULL;
    }
    return event;
}

static bool take_description(rd_kafka_t *client, rd_kafka_event_t *event, const char *name, struct topic *topic, struct error *err)
{
    size_t count = 0, partitions = 0;
    const rd_kafka_TopicDescription_t **described =
        rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &count);
    const rd_kafka_resp_err_t code =
        count == 1 ? rd_kafka_error_code(rd_kafka_TopicDescription_error(described[0])) : RD_KAFKA_RESP_ERR__FAIL;
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) { /* whether there is such a topic or not */
        return kafka_rights_error(client, "topic", name, RD_KAFKA_ACL_OPERATION_DESCRIBE, err);
    }
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        topic->is_absent = true;
        return error_set(err, ERROR_USAGE,
                         "topic %s does not exist in this Kafka cluster; run: tallymill migrate (or set topics.events)", name);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_error(err, code, "cannot look it up");
        return error_wrap(err, "topic %s", name);
    }
    kafka_topic_id(described[0], topic->id);
    rd_kafka_TopicDescription_partitions(described[0], &partitions);
    topic->count = (int)partitions;
    topic->logs = calloc(partitions + 1, sizeof *topic->logs);
    return topic->logs || error_set(err, ERROR_RETRY, "out of memory");
}

static bool describe(rd_kafka_t *client, const char *name, int timeout_ms, struct topic *topic, struct error *err)
{
    char reason[256];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(&name, 1);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, reason, sizeof reason);
    rd_kafka_DescribeTopics(client, topics, options, queue);
    rd_kafka_event_t *event = take_answer(client, queue, timeout_ms, "no Kafka broker answers", err);
    bool is_read = event && take_description(client, event, name, topic, err);
    if (event) {
        rd_kafka_event_destroy(event);
    } else {
        error_wrap(err, "topic %s", name);
    }
    rd_kafka_TopicCollection_destroy(topics);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return is_read;
}

static void ask_ends(rd_kafka_t *client, const char *name, int timeout_ms, const struct topic *topic, rd_kafka_OffsetSpec_t where,
                     rd_kafka_queue_t *queue)
{
    char reason[256];
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(topic->count);
    for (int i = 0; i < topic->count; i++) {
        rd_kafka_topic_partition_list_add(list, name, i)->offset = where;
    }
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, reason, sizeof reason);
    rd_kafka_AdminOptions_set_opaque(options, (void *)(intptr_t)where);
    rd_kafka_ListOffsets(client, list, options, queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(list);
}

static bool take_ends(rd_kafka_event_t *event, struct topic *topic, struct error *err)
{
    const bool is_low = (intptr_t)rd_kafka_event_opaque(event) == RD_KAFKA_OFFSET_SPEC_EARLIEST;
    size_t count = 0;
    const rd_kafka_ListOffsetsResultInfo_t **infos =
        rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_topic_partition_t *told = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        if (told->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            kafka_error(err, told->err, "asking for the first and last offset");
            return error_wrap(err, "topic partition %d", (int)told->partition);
        }
        if (told->offset < 0) { /* what was asked (an OffsetSpec), handed back without an error: its leader was not reached */
            return error_set(err, ERROR_RETRY, "topic partition %d: its leader does not answer", (int)told->partition);
        }
        if (told->partition >= 0 && told->partition < topic->count) {
            *(is_low ? &topic->logs[told->partition].low : &topic->logs[told->partition].high) = told->offset;
        }
    }
    return count == (size_t)topic->count ||
           error_set(err, ERROR_RETRY, "Kafka told the offsets of %zu topic partitions of %d", count, topic->count);
}

static bool read_once(rd_kafka_t *client, const char *name, int64_t deadline_us, struct topic *topic, struct error *err)
{
    *topic = (struct topic){0};
    if (!describe(client, name, left_ms(deadline_us), topic, err)) {
        return false;
    }
    topic_cluster(client, left_ms(deadline_us), topic->cluster_id);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    ask_ends(client, name, left_ms(deadline_us), topic, RD_KAFKA_OFFSET_SPEC_EARLIEST, queue);
    ask_ends(client, name, left_ms(deadline_us), topic, RD_KAFKA_OFFSET_SPEC_LATEST, queue);
    bool is_read = true;
    for (int answer = 0; is_read && answer < 2; answer++) {
        rd_kafka_event_t *event = take_answer(client, queue, left_ms(deadline_us), "asking for the first and last offsets", err);
        is_read = event && take_ends(event, topic, err);
        if (event) {
            rd_kafka_event_destroy(event);
        }
    }
    rd_kafka_queue_destroy(queue);
    if (!is_read) {
        topic_free(topic);
        return error_wrap(err, "topic %s", name);
    }
    return true;
}

/* A topic that was just made may be unknown to the broker that is asked, and its leaders to themselves. */
bool topic_read(rd_kafka_t *client, const char *name, int timeout_ms, struct topic *topic, struct error *err)
{
    enum { PAUSE_MS = 100 };
    const int64_t begin_us = clock_now_us(), deadline_us = begin_us + timeout_ms * INT64_C(1000);
    const int64_t unknown_until_us = begin_us + UNKNOWN_US < deadline_us ? begin_us + UNKNOWN_US : deadline_us;
    while (!read_once(client, name, deadline_us, topic, err)) {
        if ((err->kind != ERROR_RETRY && err->kind != ERROR_USAGE) ||
            clock_now_us() >= (err->kind == ERROR_RETRY ? deadline_us : unknown_until_us)) {
            return false;
        }
        error_clear(err);
        rd_kafka_poll(client, PAUSE_MS);
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
