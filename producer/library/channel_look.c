/* channel_look.c - what a channel knows of why its messages do not arrive. See channel.h and channel_struct.h.
 *
 * librdkafka is silent where an application wants to know: a missing topic is an error after the message's time-out, a missing
 * broker a line in its log among others. So Kafka is asked (DescribeTopics by name, which makes no topic and tells a missing right
 * from a missing topic): once for each handle, and then each second as long as something waits and nothing comes back. The answer
 * is taken when it comes; nothing here waits. What is wrong is logged once, and kept for whoever asks.
 *
 * The topic's max.message.bytes is asked for once (DescribeConfigs): where the login may not know it, a batch that is refused
 * tells.
 *
 * Asking rd_kafka_metadata() from the courier's thread was rejected: it waits, and the spool would wait with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/kafka_rights.h"
#include "common/kafka_trouble.h"
#include "common/utf8.h"
#include "producer/library/channel.h"
#include "producer/library/channel_struct.h"

enum {
    QUIET_US = 500000, /* without anything coming back, while something waits */
    ASK_US = 1000000,
    ANSWER_MS = 1000,
    CHECK_SLICE_MS = 2000,
    FRAMING_BYTES = 512, /* of a batch, generously */
};

void channel_look_open(struct channel *channel)
{
    channel->answers = rd_kafka_queue_new(channel->handle);
    channel->is_asked = channel->is_down = false;
    channel->asked_us = 0;
}

void channel_look_close(struct channel *channel)
{
    if (channel->answers != NULL)
        rd_kafka_queue_destroy(channel->answers);
    channel->answers = NULL;
}

static void say(struct channel *channel, int level, const char *text)
{
    if (channel->log != NULL)
        channel->log(channel->context, level, text);
}

/* What librdkafka says; below the surface while the reason is known and was told: it says the same again and again. */
void channel_look_log(struct channel *channel, const rd_kafka_t *handle, int level, const char *line)
{
    char told[ERROR_TEXT_BYTES], text[ERROR_TEXT_BYTES];
    const bool is_known = kafka_trouble_note((rd_kafka_t *)(uintptr_t)handle, line, told, sizeof told);
    kafka_trouble_cut_logins(text, sizeof text, line);
    if (level <= 3) {
        pthread_mutex_lock(&channel->trouble_lock);
        utf8_copy(channel->trouble, sizeof channel->trouble, text);
        pthread_mutex_unlock(&channel->trouble_lock);
        if (atomic_load(&channel->finding) > CHANNEL_GOOD)
            level = 7;
    }
    if (is_known && told[0] != '\0') /* the same with setting and remedy, twice a minute; librdkafka's words are on level debug */
        say(channel, level < 7 ? 3 : 7, told);
    say(channel, is_known ? 7 : level, text);
}

/* -- Findings -------------------------------------------------------------------------------------------------------------------
 */

static void note(struct channel *channel, enum channel_finding finding, const char *reason)
{
    enum channel_finding before = atomic_load(&channel->finding);
    channel->is_down = channel->is_down && finding != CHANNEL_GOOD;
    pthread_mutex_lock(&channel->trouble_lock);
    snprintf(channel->reason, sizeof channel->reason, "%s", reason);
    pthread_mutex_unlock(&channel->trouble_lock);
    atomic_store(&channel->finding, finding);
    if (finding > CHANNEL_GOOD && finding != before)
        say(channel, 3, reason);
    else if (finding == CHANNEL_GOOD && before > CHANNEL_GOOD)
        say(channel, 5, "Kafka takes events again");
}

static void note_no_broker(struct channel *channel)
{
    char reason[CHANNEL_REASON_BYTES], trouble[sizeof channel->trouble];
    pthread_mutex_lock(&channel->trouble_lock);
    memcpy(trouble, channel->trouble, sizeof trouble);
    pthread_mutex_unlock(&channel->trouble_lock);
    snprintf(reason, sizeof reason, "no broker answers at %.*s%s%.*s", UTF8_CUT(channel->servers, 200),
             trouble[0] == '\0' ? "" : ": ", UTF8_CUT(trouble, 150));
    note(channel, CHANNEL_NO_BROKER, reason);
}

bool channel_is_right_missing(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED || code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

/* Which of the two was seen first stays: the one often comes with the other, and that is not worth a second line. */
static void note_no_right(struct channel *channel, enum channel_finding finding, const char *right)
{
    char reason[CHANNEL_REASON_BYTES];
    struct error why = {0};
    if (atomic_load(&channel->finding) >= CHANNEL_NO_DESCRIBE)
        return;
    kafka_rights_error(channel->handle, "topic", channel->topic, RD_KAFKA_ACL_OPERATION_WRITE, &why);
    int length = snprintf(reason, sizeof reason, "this login has not the right %s on topic %s: events wait until it has. ", right,
                          channel->topic);
    if (length > 0 && (size_t)length < sizeof reason)
        utf8_copy(reason + length, sizeof reason - (size_t)length, why.text);
    note(channel, finding, reason);
}

void channel_look_refused(struct channel *channel, rd_kafka_resp_err_t code)
{
    note_no_right(channel, CHANNEL_NO_WRITE,
                  code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ? "Write (or IdempotentWrite on the cluster)" : "Write");
}

void channel_look_good(struct channel *channel, int64_t now_us)
{
    channel->waiting_us = now_us;
    if (atomic_load_explicit(&channel->finding, memory_order_relaxed) != CHANNEL_GOOD)
        note(channel, CHANNEL_GOOD, "");
}

static const char *topic_error(rd_kafka_resp_err_t code, const char *topic, char *text, size_t size)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART: snprintf(text, size, "topic %s does not exist", topic); break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        snprintf(text, size, "this login has not the right Write on topic %s", topic);
        break;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        snprintf(text, size, "the event is larger than max.message.bytes of topic %s", topic);
        break;
    default: snprintf(text, size, "%s", rd_kafka_err2str(code));
    }
    return text;
}

const char *channel_look_error(struct channel *channel, rd_kafka_resp_err_t code, char text[2 * CHANNEL_REASON_BYTES])
{
    char reason[CHANNEL_REASON_BYTES];
    channel_reason(channel, reason);
    const char *between = reason[0] == '\0' ? "" : ": ";
    switch (code) {
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__DESTROY:
        snprintf(text, 2 * CHANNEL_REASON_BYTES, "the producer was closed before Kafka took the event%s%s", between, reason);
        return text;
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
        snprintf(text, 2 * CHANNEL_REASON_BYTES, "Kafka did not take the event within %lld ms (kafka.message.timeout.ms)%s%s",
                 (long long)channel->timeout_ms, between, reason);
        return text;
    default: return topic_error(code, channel->topic, text, 2 * CHANNEL_REASON_BYTES);
    }
}

bool channel_is_up(struct channel *channel)
{
    return atomic_load(&channel->finding) == CHANNEL_GOOD;
}

const char *channel_reason(struct channel *channel, char text[CHANNEL_REASON_BYTES])
{
    pthread_mutex_lock(&channel->trouble_lock);
    memcpy(text, channel->reason, CHANNEL_REASON_BYTES);
    pthread_mutex_unlock(&channel->trouble_lock);
    return text;
}

/* -- Asking ---------------------------------------------------------------------------------------------------------------------
 */

static rd_kafka_AdminOptions_t *options_for(rd_kafka_t *handle, rd_kafka_admin_op_t kind, int timeout_ms)
{
    char reason[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, kind);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, reason, sizeof reason);
    return options;
}

static void ask_for_topic(rd_kafka_t *handle, const char *topic, int timeout_ms, rd_kafka_queue_t *answers)
{
    rd_kafka_AdminOptions_t *options = options_for(handle, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout_ms);
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(&topic, 1);
    rd_kafka_DescribeTopics(handle, topics, options, answers);
    rd_kafka_TopicCollection_destroy(topics);
    rd_kafka_AdminOptions_destroy(options);
}

static void ask_for_limit(struct channel *channel)
{
    rd_kafka_AdminOptions_t *options = options_for(channel->handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, ANSWER_MS * 10);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, channel->topic);
    rd_kafka_DescribeConfigs(channel->handle, &resource, 1, options, channel->answers);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_AdminOptions_destroy(options);
}

/* The number of topic partitions; -1 with *code. */
static int read_topic(rd_kafka_event_t *event, rd_kafka_resp_err_t *code)
{
    *code = rd_kafka_event_error(event);
    const rd_kafka_DescribeTopics_result_t *result = rd_kafka_event_DescribeTopics_result(event);
    if (*code != RD_KAFKA_RESP_ERR_NO_ERROR || result == NULL)
        return -1;
    size_t count, topic_partitions = 0;
    const rd_kafka_TopicDescription_t **topics = rd_kafka_DescribeTopics_result_topics(result, &count);
    if (count != 1)
        return -1;
    *code = rd_kafka_error_code(rd_kafka_TopicDescription_error(topics[0]));
    if (*code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return -1;
    rd_kafka_TopicDescription_partitions(topics[0], &topic_partitions);
    return (int)topic_partitions;
}

/* No answer in time: from nobody? Not when there is a connection, and only the controller of the cluster is not known to it. */
static bool is_nobody_there(struct channel *channel, rd_kafka_event_t *event)
{
    char *cluster = rd_kafka_clusterid(channel->handle, 0);
    bool was_connected = cluster != NULL;
    if (cluster != NULL)
        rd_kafka_mem_free(channel->handle, cluster);
    const char *text = rd_kafka_event_error_string(event);
    return channel->is_down || !was_connected || text == NULL || strstr(text, "waiting for controller") == NULL;
}

static void take_topic(struct channel *channel, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code;
    char text[CHANNEL_REASON_BYTES];
    int count = read_topic(event, &code);
    channel->is_asked = false;
    if (count > 0) {
        /* A right to write that was missing shows in what comes back, not here. */
        if (atomic_load(&channel->finding) != CHANNEL_NO_WRITE)
            note(channel, CHANNEL_GOOD, "");
    } else if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION) {
        if (!channel->makes_topics)
            note(channel, CHANNEL_NO_TOPIC,
                 topic_error(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, channel->topic, text, sizeof text));
    } else if (channel_is_right_missing(code)) {
        note_no_right(channel, CHANNEL_NO_DESCRIBE, "Describe (which Write includes)");
    } else if (code != RD_KAFKA_RESP_ERR_NO_ERROR && is_nobody_there(channel, event)) {
        note_no_broker(channel);
    }
}

static void take_limit(struct channel *channel, rd_kafka_event_t *event)
{
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
    size_t resources = 0, entries = 0;
    const rd_kafka_ConfigResource_t **resource =
        result == NULL ? NULL : rd_kafka_DescribeConfigs_result_resources(result, &resources);
    if (resources != 1 || rd_kafka_ConfigResource_error(resource[0]) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    const rd_kafka_ConfigEntry_t **entry = rd_kafka_ConfigResource_configs(resource[0], &entries);
    for (size_t i = 0; i < entries; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entry[i]);
        if (strcmp(rd_kafka_ConfigEntry_name(entry[i]), "max.message.bytes") == 0 && value != NULL)
            channel_limit_batch(channel, strtoll(value, NULL, 10) - FRAMING_BYTES);
    }
}

static bool is_to_be_asked(struct channel *channel, int64_t now_us)
{
    if (channel->is_asked || now_us - channel->asked_us < ASK_US)
        return false;
    int finding = atomic_load(&channel->finding);
    return channel->asked_us == 0 || finding != CHANNEL_GOOD ||
           (channel_pending(channel) > 0 && now_us - channel->waiting_us >= QUIET_US);
}

void channel_look(struct channel *channel, int64_t now_us)
{
    if (is_to_be_asked(channel, now_us)) {
        ask_for_topic(channel->handle, channel->topic, ANSWER_MS, channel->answers);
        if (!channel->is_limit_known)
            ask_for_limit(channel);
        channel->is_limit_known = true;
        channel->is_asked = true;
        channel->asked_us = now_us;
    }
    if (now_us - channel->asked_us > ANSWER_MS * INT64_C(20000))
        return; /* nothing is on its way, and the queue need not be locked */
    for (rd_kafka_event_t *event; (event = rd_kafka_queue_poll(channel->answers, 0)) != NULL; rd_kafka_event_destroy(event))
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT)
            take_topic(channel, event);
        else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT)
            take_limit(channel, event);
}

/* Asks for the topic until somebody answers, the time is over, or it is known that nobody will. -1 with *code, and with `why` where
 * that is known. */
static int ask_until_known(struct channel *channel, int timeout_ms, rd_kafka_resp_err_t *code, struct error *why)
{
    const int64_t deadline_us = clock_now_us() + timeout_ms * INT64_C(1000);
    int64_t left_ms = timeout_ms;
    int count = -1;
    rd_kafka_queue_t *answers = rd_kafka_queue_new(channel->handle);
    do {
        *code = RD_KAFKA_RESP_ERR__TIMED_OUT;
        ask_for_topic(channel->handle, channel->topic, left_ms < CHECK_SLICE_MS ? (int)left_ms : CHECK_SLICE_MS, answers);
        rd_kafka_event_t *event = rd_kafka_queue_poll(answers, (int)left_ms + ANSWER_MS);
        count = event == NULL ? -1 : read_topic(event, code);
        if (event != NULL)
            rd_kafka_event_destroy(event);
        left_ms = (deadline_us - clock_now_us()) / 1000;
        *why = (struct error){.kind = ERROR_RETRY};
    } while (*code == RD_KAFKA_RESP_ERR__TIMED_OUT && left_ms > 0 &&
             !(kafka_trouble_explain(channel->handle, why) && why->kind == ERROR_USAGE));
    rd_kafka_queue_destroy(answers);
    return count;
}

enum tally_code channel_check(struct channel *channel, int timeout_ms, int *topic_partitions, struct tally_error *err)
{
    char text[CHANNEL_REASON_BYTES];
    struct error why;
    rd_kafka_resp_err_t code;
    timeout_ms = timeout_ms < 1 ? 1 : timeout_ms;
    pthread_rwlock_rdlock(&channel->lock);
    int count = ask_until_known(channel, timeout_ms, &code, &why);
    if (channel_is_right_missing(code))
        kafka_rights_error(channel->handle, "topic", channel->topic, RD_KAFKA_ACL_OPERATION_WRITE, &why);
    else if (count > 0)
        error_ignore(kafka_rights_topic(channel->handle, channel->topic, RD_KAFKA_ACL_OPERATION_WRITE, timeout_ms, &why));
    pthread_rwlock_unlock(&channel->lock);
    if (why.kind == ERROR_USAGE)
        return tally_error_set(err, TALLY_INVALID, "%s", why.text);
    if (count > 0) {
        if (topic_partitions != NULL)
            *topic_partitions = count;
        return TALLY_OK;
    }
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return tally_error_set(err, TALLY_INVALID, "the topic %s does not exist", channel->topic);
    pthread_mutex_lock(&channel->trouble_lock);
    snprintf(text, sizeof text, "%s", channel->trouble[0] != '\0' ? channel->trouble : rd_kafka_err2str(code));
    pthread_mutex_unlock(&channel->trouble_lock);
    return tally_error_set(err, TALLY_FAILED, "no Kafka broker answered within %d ms: %s", timeout_ms, text);
}
