/* kafka_topic.c - how many topic partitions a topic has, and the topic made where it is missing. See kafka.h.
 *
 * The topic is made by an explicit request, never by a broker's auto.create.topics.enable: that makes it with the broker's own
 * defaults (often one topic partition and one copy), which nobody notices before the first broker is lost.
 */
#include "common/kafka.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/kafka_rights.h"
#include "common/kafka_trouble.h"
#include "common/service.h"

enum { REASON_BYTES = 512, REPLICATION_MAX = 3, PAUSE_MS = 100, SLICE_MS = 1000, REFUSED_MS = 2000 };

/* The topic's part of the cluster's metadata: RETRY when no broker answers, USAGE when none can before a setting changes; *metadata
 * is the caller's to destroy when true. One that refuses us for good is not asked for as long as one that may be starting. */
static bool ask(rd_kafka_t *handle, const char *topic, int timeout_ms, const struct rd_kafka_metadata **metadata, struct error *err)
{
    rd_kafka_topic_t *named = rd_kafka_topic_new(handle, topic, NULL);
    if (named == NULL)
        return error_set(err, ERROR_USAGE, "topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
    const int64_t begin_us = clock_now_us();
    int64_t left_ms = timeout_ms;
    rd_kafka_resp_err_t code;
    bool is_refused = false, was_asked = false;
    for (;;) { /* ends: at the time-out, or with a stop */
        code = rd_kafka_metadata(handle, 0, named, metadata, left_ms < SLICE_MS ? (int)left_ms : SLICE_MS);
        const int64_t passed_ms = (clock_now_us() - begin_us) / 1000;
        left_ms = timeout_ms - passed_ms;
        if ((code != RD_KAFKA_RESP_ERR__TIMED_OUT && code != RD_KAFKA_RESP_ERR__TRANSPORT) || left_ms <= 0 || service_is_stopping())
            break;
        if (!was_asked && passed_ms >= REFUSED_MS) {
            kafka_error(err, code, "no Kafka broker answers");
            is_refused = kafka_trouble_explain(handle, err) && err->kind == ERROR_USAGE;
            was_asked = true;
        }
        if (is_refused)
            break;
        if (code == RD_KAFKA_RESP_ERR__TRANSPORT) /* said at once, or after a slice */
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
    rd_kafka_topic_destroy(named);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    kafka_error(err, code, "no Kafka broker answers");
    kafka_trouble_explain(handle, err);
    return error_wrap(err, "topic %s", topic);
}

/* The topic's own code in the metadata. */
static rd_kafka_resp_err_t topic_code(const struct rd_kafka_metadata *metadata)
{
    if (metadata->topic_cnt < 1)
        return RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topics[0].partition_cnt < 1)
        return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    return metadata->topics[0].err;
}

bool kafka_topic_partitions(rd_kafka_t *handle, const char *topic, int timeout_ms, int *count, struct error *err)
{
    const struct rd_kafka_metadata *metadata;
    if (!ask(handle, topic, timeout_ms, &metadata, err))
        return false;
    rd_kafka_resp_err_t code = topic_code(metadata);
    *count = metadata->topic_cnt > 0 ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        return error_set(err, ERROR_USAGE,
                         "topic %s does not exist in this Kafka cluster; run: tallymill migrate (or set topics.events)", topic);
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        return kafka_rights_error(handle, "topic", topic, RD_KAFKA_ACL_OPERATION_DESCRIBE, err);
    kafka_error(err, code, "cannot look it up");
    return error_wrap(err, "topic %s", topic);
}

/* Sends the request and waits for its answer. is_tried: the brokers only judge it. */
static bool create(rd_kafka_t *handle, rd_kafka_NewTopic_t *wanted, const char *topic, int timeout_ms, bool is_tried, bool *made,
                   struct error *err)
{
    char reason[REASON_BYTES];
    bool ok = false;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_event_t *event = NULL;
    if (rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, reason, sizeof reason) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_AdminOptions_set_validate_only(options, is_tried, reason, sizeof reason) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        error_set(err, ERROR_USAGE, "topic %s: %s", topic, reason);
        goto out;
    }
    rd_kafka_CreateTopics(handle, &wanted, 1, options, queue);
    event = rd_kafka_queue_poll(queue, timeout_ms);
    if (event == NULL) {
        error_set(err, ERROR_RETRY, "topic %s: Kafka did not answer in %d ms", topic, timeout_ms);
        goto out;
    }
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const char *text = rd_kafka_event_error_string(event);
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && result != NULL) {
        size_t count;
        const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &count);
        code = count == 1 ? rd_kafka_topic_result_error(topics[0]) : RD_KAFKA_RESP_ERR__FAIL;
        text = count == 1 ? rd_kafka_topic_result_error_string(topics[0]) : NULL;
    }
    *made = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    ok = *made || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS; /* somebody else was quicker */
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED || code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
        kafka_rights_error(handle, "topic", topic, RD_KAFKA_ACL_OPERATION_CREATE, err);
    else if (!ok)
        error_set(err, kafka_kind(code), "cannot make topic %s: %s (%s)", topic, text != NULL ? text : rd_kafka_err2str(code),
                  rd_kafka_err2name(code));
out:
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return ok;
}

/* The controller has the topic; the broker we ask next may hear of it a moment later. */
static bool await_topic(rd_kafka_t *handle, const char *topic, int timeout_ms, int *count, struct error *err)
{
    int64_t deadline_us = clock_now_us() + (int64_t)timeout_ms * 1000;
    while (!kafka_topic_partitions(handle, topic, timeout_ms, count, err)) {
        bool is_unknown_yet = err->kind == ERROR_USAGE || err->kind == ERROR_RETRY;
        if (!is_unknown_yet || clock_now_us() > deadline_us)
            return false;
        error_clear(err);
        rd_kafka_poll(handle, PAUSE_MS);
    }
    return true;
}

/* The topic as it shall be; NULL: a setting of it is wrong. */
static rd_kafka_NewTopic_t *describe(const char *topic, int partitions, int replication, int brokers,
                                     const struct kafka_forced *config, struct error *err)
{
    char reason[REASON_BYTES];
    const int most = brokers < 1 ? 1 : brokers < REPLICATION_MAX ? brokers : REPLICATION_MAX;
    rd_kafka_NewTopic_t *wanted =
        rd_kafka_NewTopic_new(topic, partitions, replication < most ? replication : most, reason, sizeof reason);
    if (wanted == NULL)
        error_set(err, ERROR_USAGE, "topic %s: %s", topic, reason);
    for (; wanted != NULL && config != NULL && config->name != NULL; config++)
        if (rd_kafka_NewTopic_set_config(wanted, config->name, config->value) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            error_set(err, ERROR_USAGE, "topic %s: bad configuration %s=%s", topic, config->name, config->value);
            rd_kafka_NewTopic_destroy(wanted);
            return NULL;
        }
    return wanted;
}

static bool make(rd_kafka_t *handle, const char *topic, int partitions, int replication, const struct kafka_forced *config,
                 int timeout_ms, bool is_tried, bool *made, int *count, struct error *err)
{
    *made = false;
    const struct rd_kafka_metadata *metadata;
    if (!ask(handle, topic, timeout_ms, &metadata, err))
        return false;
    rd_kafka_resp_err_t code = topic_code(metadata);
    int brokers = metadata->broker_cnt;
    *count = metadata->topic_cnt > 0 ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        return kafka_rights_error(handle, "topic", topic, RD_KAFKA_ACL_OPERATION_DESCRIBE, err);
    if (code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && code != RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        kafka_error(err, code, "cannot look it up");
        return error_wrap(err, "topic %s", topic);
    }

    rd_kafka_NewTopic_t *wanted = describe(topic, partitions, replication, brokers, config, err);
    const bool ok = wanted != NULL && create(handle, wanted, topic, timeout_ms, is_tried, made, err) &&
                    (is_tried || await_topic(handle, topic, timeout_ms, count, err));
    if (wanted != NULL)
        rd_kafka_NewTopic_destroy(wanted);
    return ok;
}

bool kafka_topic_make(rd_kafka_t *handle, const char *topic, int partitions, int replication, const struct kafka_forced *config,
                      int timeout_ms, bool *made, int *count, struct error *err)
{
    return make(handle, topic, partitions, replication, config, timeout_ms, false, made, count, err);
}

bool kafka_topic_try(rd_kafka_t *handle, const char *topic, int partitions, int replication, const struct kafka_forced *config,
                     int timeout_ms, bool *is_missing, int *count, struct error *err)
{
    return make(handle, topic, partitions, replication, config, timeout_ms, true, is_missing, count, err);
}

void kafka_topic_id(const rd_kafka_TopicDescription_t *description, char id[KAFKA_TOPIC_ID_BYTES])
{
    const rd_kafka_Uuid_t *uuid = rd_kafka_TopicDescription_topic_id(description);
    const bool is_given =
        uuid && (rd_kafka_Uuid_most_significant_bits(uuid) != 0 || rd_kafka_Uuid_least_significant_bits(uuid) != 0);
    snprintf(id, KAFKA_TOPIC_ID_BYTES, "%s", is_given ? rd_kafka_Uuid_base64str(uuid) : "");
}
