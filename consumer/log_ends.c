/* log_ends.c - see log_ends.h.
 *
 * Two questions a leader, for the first and for the last offsets. rd_kafka_ListOffsets() takes all topic partitions at once, but
 * answers only when every leader has answered or run out of time; and for one topic partition without a leader it waits as long
 * for all of them. The high watermark is asked for, not the last stable offset: what lies behind an open transaction is in the log.
 */
#include "consumer/log_ends.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"

enum { ANSWER_LIMIT_MS = 5000 };

void log_ends_reset(struct log_ends *ends)
{
    if (ends->answers)
        rd_kafka_queue_destroy(ends->answers);
    free(ends->ends);
    *ends = (struct log_ends){0};
}

void log_ends_detach(struct log_ends *ends)
{
    if (ends->answers)
        rd_kafka_queue_destroy(ends->answers);
    ends->answers = NULL;
    ends->waiting = 0;
}

const struct log_end *log_ends_find(const struct log_ends *ends, int32_t topic_partition)
{
    for (int low = 0, high = ends->count; low < high;) {
        const int middle = low + (high - low) / 2;
        const struct log_end *end = &ends->ends[middle];
        if (end->topic_partition == topic_partition)
            return end;
        if (end->topic_partition < topic_partition)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void ask_leader(struct log_ends *ends, rd_kafka_t *handle, const char *topic, int32_t leader, rd_kafka_OffsetSpec_t where)
{
    char why[128];
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (int i = 0; i < ends->count; i++)
        if (ends->ends[i].leader == leader)
            rd_kafka_topic_partition_list_add(list, topic, ends->ends[i].topic_partition)->offset = where;
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    rd_kafka_AdminOptions_set_request_timeout(options, ANSWER_LIMIT_MS, why, sizeof why);
    rd_kafka_AdminOptions_set_opaque(options, (void *)(intptr_t)where);
    rd_kafka_ListOffsets(handle, list, options, ends->answers);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(list);
    ends->waiting++;
}

static bool is_asked_before(const struct log_ends *ends, int place)
{
    for (int i = 0; i < place; i++)
        if (ends->ends[i].leader == ends->ends[place].leader)
            return true;
    return false;
}

bool log_ends_ask(struct log_ends *ends, rd_kafka_t *handle, const char *topic, int wakeup_fd, const struct log_end *wanted,
                  int count, struct error *err)
{
    static const uint64_t one = 1;
    log_ends_reset(ends);
    ends->ends = malloc(((size_t)count + 1) * sizeof *ends->ends);
    if (!ends->ends)
        return error_set(err, ERROR_RETRY, "no memory for the ends of %d topic partitions", count);
    for (int i = 0; i < count; i++)
        ends->ends[i] = (struct log_end){wanted[i].topic_partition, wanted[i].leader, -1, -1};
    ends->count = count;
    ends->answers = rd_kafka_queue_new(handle);
    rd_kafka_queue_io_event_enable(ends->answers, wakeup_fd, &one, sizeof one);
    for (int i = 0; i < count; i++)
        if (ends->ends[i].leader >= 0 && !is_asked_before(ends, i)) {
            ask_leader(ends, handle, topic, ends->ends[i].leader, RD_KAFKA_OFFSET_SPEC_EARLIEST);
            ask_leader(ends, handle, topic, ends->ends[i].leader, RD_KAFKA_OFFSET_SPEC_LATEST);
        }
    return true;
}

/* What was not told stays -1, and is asked for again by whoever needs it. */
static void take(struct log_ends *ends, rd_kafka_event_t *event)
{
    const bool is_low = (intptr_t)rd_kafka_event_opaque(event) == RD_KAFKA_OFFSET_SPEC_EARLIEST;
    const rd_kafka_ListOffsets_result_t *result = rd_kafka_event_ListOffsets_result(event);
    size_t count = 0;
    const rd_kafka_ListOffsetsResultInfo_t **infos = NULL;
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR && result)
        infos = rd_kafka_ListOffsets_result_infos(result, &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_topic_partition_t *told = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        struct log_end *end = (struct log_end *)log_ends_find(ends, told->partition);
        if (!end || told->err != RD_KAFKA_RESP_ERR_NO_ERROR ||
            told->offset < 0) /* below 0: what was asked, handed back where the leader was not reached */
            continue;
        if (is_low)
            end->low = told->offset;
        else
            end->high = told->offset;
    }
}

bool log_ends_look(struct log_ends *ends)
{
    bool found = false;
    while (ends->waiting > 0) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(ends->answers, 0);
        if (!event)
            break;
        ends->waiting--;
        take(ends, event);
        rd_kafka_event_destroy(event);
        found = true;
    }
    return found;
}
