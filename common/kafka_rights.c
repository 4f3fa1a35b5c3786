/* kafka_rights.c - see kafka_rights.h.
 *
 * Trying the thing itself was rejected: a missing Read of the group shows only when one joins it, which makes the others rebalance,
 * and a missing Write only with the first event.
 */
#include "common/kafka_rights.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/kafka.h"

/* The question for a group goes to its coordinator, and must not end before we do: where its time is up before a coordinator is
 * there, and one comes behind, librdkafka 2.15.1 gives its request back twice and ends the process (rd_kafka_admin_coord_request,
 * then rd_kafka_coord_req_fail; seen with the coordinator's broker dead). So it gets all the time that an admin request may have,
 * and our own wait has the deadline. */
enum { NAME_BYTES = 160, COORDINATOR_MS = 3600 * 1000, FIRST_PAUSE_MS = 100, LONGEST_PAUSE_MS = 1000 };

/* As kafka-acls spells them. */
static const char *spelled(rd_kafka_AclOperation_t operation)
{
    switch (operation) {
    case RD_KAFKA_ACL_OPERATION_READ: return "Read";
    case RD_KAFKA_ACL_OPERATION_WRITE: return "Write";
    case RD_KAFKA_ACL_OPERATION_CREATE: return "Create";
    case RD_KAFKA_ACL_OPERATION_DESCRIBE: return "Describe";
    case RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS: return "DescribeConfigs";
    default: return rd_kafka_AclOperation_name(operation);
    }
}

static const char *property(rd_kafka_t *handle, const char *name, char *value, size_t bytes)
{
    if (rd_kafka_conf_get(rd_kafka_conf(handle), name, value, &bytes) != RD_KAFKA_CONF_OK)
        value[0] = '\0';
    return value;
}

/* Who we are to the broker, as far as our settings tell. Returns the setting that says so. */
static const char *name_login(rd_kafka_t *handle, char name[NAME_BYTES])
{
    char protocol[32], mechanism[32];
    property(handle, "security.protocol", protocol, sizeof protocol);
    property(handle, "sasl.mechanism", mechanism, sizeof mechanism);
    if (strcasecmp(protocol, "ssl") == 0) {
        snprintf(name, NAME_BYTES, "<the subject of our certificate>");
        return "kafka.ssl.certificate.location";
    }
    if (strncasecmp(protocol, "sasl", 4) != 0) {
        snprintf(name, NAME_BYTES, "ANONYMOUS");
        return "kafka.security.protocol";
    }
    if (strcasecmp(mechanism, "OAUTHBEARER") == 0) {
        snprintf(name, NAME_BYTES, "<the principal of our token>");
        return "kafka.sasl.mechanism = OAUTHBEARER";
    }
    const bool is_ticket = strcasecmp(mechanism, "GSSAPI") == 0;
    if (property(handle, is_ticket ? "sasl.kerberos.principal" : "sasl.username", name, NAME_BYTES)[0] == '\0')
        snprintf(name, NAME_BYTES, "<our login>");
    return is_ticket ? "kafka.sasl.kerberos.principal" : "kafka.sasl.username";
}

bool kafka_rights_error(rd_kafka_t *handle, const char *resource, const char *name, rd_kafka_AclOperation_t operation,
                        struct error *err)
{
    char login[NAME_BYTES], servers[4096];
    const char *setting = name_login(handle, login);
    property(handle, "bootstrap.servers", servers, sizeof servers);
    return error_set(err, ERROR_USAGE,
                     "Kafka at %.100s does not let %s (%s) %s the %s %s: kafka-acls --add --allow-principal "
                     "'User:%s' --operation %s "
                     "--%s %s",
                     servers, login, setting, spelled(operation), resource, name, login, spelled(operation), resource, name);
}

static bool has(const rd_kafka_AclOperation_t *operations, size_t count, rd_kafka_AclOperation_t wanted)
{
    if (operations == NULL || count == 0) /* it does not tell */
        return true;
    for (size_t i = 0; i < count; i++)
        if (operations[i] == wanted || operations[i] == RD_KAFKA_ACL_OPERATION_ALL)
            return true;
    return false;
}

static bool judge(rd_kafka_t *handle, const char *resource, const char *name, rd_kafka_AclOperation_t operation,
                  const rd_kafka_error_t *error, const rd_kafka_AclOperation_t *operations, size_t count, struct error *err)
{
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return has(operations, count, operation) || kafka_rights_error(handle, resource, name, operation, err);
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED: return kafka_rights_error(handle, resource, name, operation, err);
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE: return true;
    default: kafka_error(err, code, "asking for our rights"); return error_wrap(err, "%s %s", resource, name);
    }
}

static rd_kafka_AdminOptions_t *options_of(rd_kafka_t *handle, rd_kafka_admin_op_t kind, int timeout_ms)
{
    char reason[256];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, kind);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, reason, sizeof reason);
    rd_kafka_error_destroy(rd_kafka_AdminOptions_set_include_authorized_operations(options, 1));
    return options;
}

static bool unanswered(rd_kafka_event_t *event, const char *resource, const char *name, struct error *err)
{
    if (event == NULL)
        return error_set(err, ERROR_RETRY, "%s %s: Kafka did not say what we may do", resource, name);
    kafka_error(err, rd_kafka_event_error(event), "asking for our rights");
    return error_wrap(err, "%s %s", resource, name);
}

bool kafka_rights_topic(rd_kafka_t *handle, const char *topic, rd_kafka_AclOperation_t operation, int timeout_ms, struct error *err)
{
    const char *names[] = {topic};
    bool good;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_t *options = options_of(handle, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout_ms);
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(names, 1);
    rd_kafka_DescribeTopics(handle, topics, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 500); /* the request's own time-out comes first */
    const rd_kafka_DescribeTopics_result_t *result = event != NULL ? rd_kafka_event_DescribeTopics_result(event) : NULL;
    size_t count = 0;
    const rd_kafka_TopicDescription_t **found = result != NULL ? rd_kafka_DescribeTopics_result_topics(result, &count) : NULL;
    if (count != 1 || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        good = unanswered(event, "topic", topic, err);
    } else {
        size_t operations_count = 0;
        const rd_kafka_AclOperation_t *operations = rd_kafka_TopicDescription_authorized_operations(found[0], &operations_count);
        good =
            judge(handle, "topic", topic, operation, rd_kafka_TopicDescription_error(found[0]), operations, operations_count, err);
    }
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_TopicCollection_destroy(topics);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return good;
}

/* *code: what the coordinator, or librdkafka in its place, said instead of an answer. */
static bool ask_group(rd_kafka_t *handle, const char *group, rd_kafka_AclOperation_t operation, int timeout_ms,
                      rd_kafka_resp_err_t *code, struct error *err)
{
    const char *names[] = {group};
    bool good;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_t *options = options_of(handle, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, COORDINATOR_MS);
    rd_kafka_DescribeConsumerGroups(handle, names, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    const rd_kafka_DescribeConsumerGroups_result_t *result =
        event != NULL ? rd_kafka_event_DescribeConsumerGroups_result(event) : NULL;
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **found =
        result != NULL ? rd_kafka_DescribeConsumerGroups_result_groups(result, &count) : NULL;
    if (count != 1 || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        *code = event != NULL ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
        good = unanswered(event, "group", group, err);
    } else {
        size_t operations_count = 0;
        const rd_kafka_AclOperation_t *operations =
            rd_kafka_ConsumerGroupDescription_authorized_operations(found[0], &operations_count);
        *code = rd_kafka_error_code(rd_kafka_ConsumerGroupDescription_error(found[0]));
        good = judge(handle, "group", group, operation, rd_kafka_ConsumerGroupDescription_error(found[0]), operations,
                     operations_count, err);
    }
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return good;
}

/* The group's coordinator is there in a moment: its broker has just started, or the group moves to another one. */
static bool is_coming(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS || code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
           code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR || code == RD_KAFKA_RESP_ERR__WAIT_COORD ||
           code == RD_KAFKA_RESP_ERR__TIMED_OUT; /* librdkafka has looked for it all the while */
}

bool kafka_rights_group(rd_kafka_t *handle, const char *group, rd_kafka_AclOperation_t operation, int timeout_ms, struct error *err)
{
    const int64_t deadline_us = clock_now_us() + timeout_ms * INT64_C(1000);
    int pause_ms = FIRST_PAUSE_MS;
    for (int left_ms = timeout_ms;;) { /* ends: with an answer, or when the time is up */
        rd_kafka_resp_err_t code;
        if (ask_group(handle, group, operation, left_ms, &code, err))
            return true;
        if (!is_coming(code))
            return false;
        left_ms = (int)((deadline_us - clock_now_us()) / 1000) - pause_ms;
        if (left_ms <= 0)
            break;
        error_clear(err);
        poll(NULL, 0, pause_ms);
        pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
    }
    const struct error why = *err;
    return error_set(err, ERROR_RETRY,
                     "%s (asked for %d s; a group's coordinator is away for a while after brokers have started or changed: that "
                     "passes by itself, ask again in a minute)",
                     why.text, timeout_ms / 1000);
}
