/* retention.c - see retention.h. KIP-133 (DescribeConfigs), over the consumer's own connections. */
#include "consumer/retention.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/kafka_rights.h"
#include "common/log.h"

enum { ANSWER_LIMIT_MS = 10000 };

void retention_reset(struct retention *retention)
{
    if (retention->answers)
        rd_kafka_queue_destroy(retention->answers);
    retention->answers = NULL;
}

void retention_ask(struct retention *retention, rd_kafka_t *handle, const char *topic)
{
    char why[128];
    retention_reset(retention);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_set_request_timeout(options, ANSWER_LIMIT_MS, why, sizeof why);
    retention->answers = rd_kafka_queue_new(handle);
    rd_kafka_DescribeConfigs(handle, &resource, 1, options, retention->answers);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_AdminOptions_destroy(options);
}

/* NULL: it was not told, for the reason *code. */
static const char *find(rd_kafka_event_t *event, const char *name, rd_kafka_resp_err_t *code)
{
    size_t resources = 0, entries = 0;
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
    const rd_kafka_ConfigResource_t **list = result ? rd_kafka_DescribeConfigs_result_resources(result, &resources) : NULL;
    *code = resources == 1 ? rd_kafka_ConfigResource_error(list[0]) : rd_kafka_event_error(event);
    if (resources != 1 || *code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    const rd_kafka_ConfigEntry_t **entry = rd_kafka_ConfigResource_configs(list[0], &entries);
    for (size_t i = 0; i < entries; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(entry[i]), name) == 0)
            return rd_kafka_ConfigEntry_value(entry[i]);
    return NULL;
}

static void tell(rd_kafka_resp_err_t code, rd_kafka_t *handle, const char *topic)
{
    struct error err = {0};
    char text[LOG_TEXT_BYTES];
    if (code != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        kafka_rights_error(handle, "topic", topic, RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS, &err))
        error_set(&err, ERROR_RETRY, "%s", rd_kafka_err2str(code));
    log_warn("how long the topic keeps its events is not known, so nobody is told of a lag that comes near it", "error=\"%s\"",
             log_text(text, err.text));
}

void retention_look(struct retention *retention, rd_kafka_t *handle, const char *topic)
{
    rd_kafka_event_t *event = retention->answers ? rd_kafka_queue_poll(retention->answers, 0) : NULL;
    rd_kafka_resp_err_t code;
    if (!event)
        return;
    const char *value = find(event, "retention.ms", &code);
    const int64_t keeps_ms = value ? strtoll(value, NULL, 10) : 0;
    retention->keeps_us = keeps_ms > 0 && keeps_ms < INT64_MAX / 1000 ? keeps_ms * 1000 : 0;
    if (!value && !retention->is_told)
        tell(code, handle, topic);
    retention->is_told = !value;
    rd_kafka_event_destroy(event);
    retention_reset(retention);
}
