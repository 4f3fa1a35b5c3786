/* kafka_reach.c - see kafka_reach.h.
 *
 * The offset asked for is the end of the log, for which Describe is enough. Findings are reported by broker, not by topic
 * partition: with a wrong name it is all of them that it leads.
 */
#include "common/kafka_reach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/kafka.h"
#include "common/kafka_trouble.h"

enum { LIST_BYTES = 96, SERVER_BYTES = 300 };

/* The topic partitions of one leader that did not answer. */
struct silent {
    char list[LIST_BYTES];
    int count;
    rd_kafka_resp_err_t code;
};

static void add(struct silent *silent, int topic_partition, rd_kafka_resp_err_t code)
{
    size_t used = strlen(silent->list);
    silent->code = code;
    if (used + 16 < sizeof silent->list)
        snprintf(silent->list + used, sizeof silent->list - used, "%s%d", used > 0 ? ", " : "", topic_partition);
    else if (used + 4 < sizeof silent->list)
        snprintf(silent->list + used, sizeof silent->list - used, " ...");
    silent->count++;
}

static rd_kafka_event_t *ask_ends(rd_kafka_t *handle, const char *topic, int count, int timeout_ms, rd_kafka_queue_t *queue)
{
    char reason[256];
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_SPEC_LATEST;
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, reason, sizeof reason);
    rd_kafka_ListOffsets(handle, list, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 500);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(list);
    return event;
}

/* What each topic partition's leader said, into codes[]; those not in the answer keep what they had. */
static void read_answer(rd_kafka_event_t *event, rd_kafka_resp_err_t *codes, int count)
{
    const rd_kafka_ListOffsets_result_t *result = event != NULL ? rd_kafka_event_ListOffsets_result(event) : NULL;
    if (result == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    size_t infos = 0;
    const rd_kafka_ListOffsetsResultInfo_t **info = rd_kafka_ListOffsets_result_infos(result, &infos);
    for (size_t i = 0; i < infos; i++) {
        const rd_kafka_topic_partition_t *one = rd_kafka_ListOffsetsResultInfo_topic_partition(info[i]);
        /* Of a leader that was not reached librdkafka hands back what was asked (an OffsetSpec, below 0), without an error. */
        if (one->partition >= 0 && one->partition < count && (one->offset >= 0 || one->err != RD_KAFKA_RESP_ERR_NO_ERROR))
            codes[one->partition] = one->err;
    }
}

static const struct rd_kafka_metadata_broker *broker_of(const struct rd_kafka_metadata *metadata, int32_t id)
{
    for (int i = 0; i < metadata->broker_cnt; i++)
        if (metadata->brokers[i].id == id)
            return &metadata->brokers[i];
    return NULL;
}

static void tell_broker(rd_kafka_t *handle, const char *topic, const struct rd_kafka_metadata_broker *broker,
                        const struct silent *silent, kafka_reach_found *found, void *context)
{
    struct error err;
    char server[SERVER_BYTES];
    snprintf(server, sizeof server, "%s:%d", broker->host, broker->port);
    error_set(&err, kafka_kind(silent->code), "%s", rd_kafka_err2str(silent->code));
    if (err.kind == ERROR_FATAL)
        err.kind = ERROR_RETRY;
    kafka_trouble_explain_server(handle, server, &err);
    error_wrap(&err, "broker %d, which leads %d topic partition%s of %s (%s) and says that it is found at %s", (int)broker->id,
               silent->count, silent->count == 1 ? "" : "s", topic, silent->list, server);
    found(context, &err);
}

static bool judge(rd_kafka_t *handle, const char *topic, const struct rd_kafka_metadata *metadata, const rd_kafka_resp_err_t *codes,
                  kafka_reach_found *found, void *context)
{
    const struct rd_kafka_metadata_topic *about = &metadata->topics[0];
    bool is_good = true;
    struct silent leaderless = {.list = ""};
    for (int b = 0; b < metadata->broker_cnt; b++) {
        struct silent silent = {.list = ""};
        for (int i = 0; i < about->partition_cnt; i++)
            if (about->partitions[i].leader == metadata->brokers[b].id &&
                codes[about->partitions[i].id] != RD_KAFKA_RESP_ERR_NO_ERROR)
                add(&silent, about->partitions[i].id, codes[about->partitions[i].id]);
        if (silent.count > 0)
            tell_broker(handle, topic, &metadata->brokers[b], &silent, found, context);
        is_good &= silent.count == 0;
    }
    for (int i = 0; i < about->partition_cnt; i++)
        if (broker_of(metadata, about->partitions[i].leader) == NULL)
            add(&leaderless, about->partitions[i].id, about->partitions[i].err);
    if (leaderless.count > 0) {
        struct error err;
        error_set(&err, ERROR_RETRY, "%d topic partition%s of %s (%s) have no leader: are their brokers running?", leaderless.count,
                  leaderless.count == 1 ? "" : "s", topic, leaderless.list);
        found(context, &err);
    }
    return is_good && leaderless.count == 0;
}

bool kafka_reach(rd_kafka_t *handle, const char *topic, int timeout_ms, kafka_reach_found *found, void *context)
{
    struct error err;
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *named = rd_kafka_topic_new(handle, topic, NULL);
    const rd_kafka_resp_err_t code = rd_kafka_metadata(handle, 0, named, &metadata, timeout_ms);
    rd_kafka_topic_destroy(named);
    const int count = code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_resp_err_t *codes = calloc((size_t)count + 1, sizeof *codes);
    bool is_good = false;
    if (count == 0 || codes == NULL) {
        kafka_error(&err, code != RD_KAFKA_RESP_ERR_NO_ERROR ? code : RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, "asking who leads");
        error_wrap(&err, "topic %s", topic);
        found(context, &err);
    } else {
        for (int i = 0; i < count; i++)
            codes[i] = RD_KAFKA_RESP_ERR__TIMED_OUT;
        rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
        rd_kafka_event_t *event = ask_ends(handle, topic, count, timeout_ms, queue);
        read_answer(event, codes, count);
        is_good = judge(handle, topic, metadata, codes, found, context);
        if (event != NULL)
            rd_kafka_event_destroy(event);
        rd_kafka_queue_destroy(queue);
    }
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    free(codes);
    return is_good;
}
