/* identity.c - see identity.h. KIP-516 by DescribeTopics, over the consumer's own connections.
 *
 * The cluster's id comes with the same answer: librdkafka keeps the one of the last it had. DescribeCluster would be a second
 * question for it.
 */
#include "consumer/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/kafka_rights.h"

enum { ANSWER_LIMIT_MS = 5000, CLUSTER_LIMIT_MS = 1000 };

void identity_reset(struct identity *identity)
{
    if (identity->answers)
        rd_kafka_queue_destroy(identity->answers);
    free(identity->leaders);
    *identity = (struct identity){0};
}

void identity_ask(struct identity *identity, rd_kafka_t *handle, const char *topic, int wakeup_fd, int64_t now_us)
{
    static const uint64_t one = 1;
    char why[128];
    if (identity->asked_us != 0)
        return;
    if (!identity->answers) {
        identity->answers = rd_kafka_queue_new(handle);
        rd_kafka_queue_io_event_enable(identity->answers, wakeup_fd, &one, sizeof one);
    }
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(&topic, 1);
    rd_kafka_AdminOptions_set_request_timeout(options, ANSWER_LIMIT_MS, why, sizeof why);
    rd_kafka_DescribeTopics(handle, topics, options, identity->answers);
    rd_kafka_TopicCollection_destroy(topics);
    rd_kafka_AdminOptions_destroy(options);
    identity->asked_us = now_us;
}

/* The leaders, by topic partition. False: no memory. */
static bool take_leaders(struct identity *identity, const rd_kafka_TopicDescription_t *description)
{
    size_t count = 0;
    const rd_kafka_TopicPartitionInfo_t **infos = rd_kafka_TopicDescription_partitions(description, &count);
    int32_t *leaders = malloc((count + 1) * sizeof *leaders);
    if (!leaders)
        return false;
    for (size_t i = 0; i < count; i++)
        leaders[i] = -1;
    for (size_t i = 0; i < count; i++) {
        const int number = rd_kafka_TopicPartitionInfo_partition(infos[i]);
        const rd_kafka_Node_t *leader = rd_kafka_TopicPartitionInfo_leader(infos[i]);
        if (number >= 0 && (size_t)number < count && leader)
            leaders[number] = rd_kafka_Node_id(leader);
    }
    free(identity->leaders);
    identity->leaders = leaders;
    identity->count = (int)count;
    return true;
}

/* The topic's part of the answer. */
static bool take_topic(struct identity *identity, rd_kafka_t *handle, const rd_kafka_TopicDescription_t *description,
                       struct error *err)
{
    const rd_kafka_resp_err_t code = rd_kafka_error_code(rd_kafka_TopicDescription_error(description));
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        identity->state = IDENTITY_GONE;
    } else if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
        identity->is_forbidden = true;
        return kafka_rights_error(handle, "topic", rd_kafka_TopicDescription_name(description), RD_KAFKA_ACL_OPERATION_READ, err);
    } else if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_error(err, code, "asking which topic this is");
    } else {
        kafka_topic_id(description, identity->topic_id);
        if (!take_leaders(identity, description))
            return error_set(err, ERROR_RETRY, "no memory for the topic's leaders");
        identity->state = IDENTITY_KNOWN;
    }
    char *cluster_id = rd_kafka_clusterid(handle, CLUSTER_LIMIT_MS); /* known already: it came with this answer */
    snprintf(identity->cluster_id, sizeof identity->cluster_id, "%s", cluster_id ? cluster_id : "");
    if (cluster_id)
        rd_kafka_mem_free(handle, cluster_id);
    return true;
}

static bool take_answer(struct identity *identity, rd_kafka_t *handle, rd_kafka_event_t *event, struct error *err)
{
    size_t count = 0;
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_error(err, rd_kafka_event_error(event), "asking which topic this is");
    const rd_kafka_DescribeTopics_result_t *result = rd_kafka_event_DescribeTopics_result(event);
    const rd_kafka_TopicDescription_t **topics = result ? rd_kafka_DescribeTopics_result_topics(result, &count) : NULL;
    if (count != 1)
        return error_set(err, ERROR_RETRY, "Kafka described %zu topics instead of one", count);
    return take_topic(identity, handle, topics[0], err);
}

bool identity_look(struct identity *identity, rd_kafka_t *handle)
{
    rd_kafka_event_t *event = identity->asked_us != 0 ? rd_kafka_queue_poll(identity->answers, 0) : NULL;
    if (!event)
        return false;
    error_clear(&identity->error);
    identity->is_forbidden = false;
    if (take_answer(identity, handle, event, &identity->error)) {
        identity->told_us = identity->asked_us;
        identity->failed_us = 0;
    } else {
        identity->state = IDENTITY_UNKNOWN;
        identity->failed_us = identity->asked_us;
    }
    identity->asked_us = 0;
    rd_kafka_event_destroy(event);
    return true;
}
