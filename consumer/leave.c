/* leave.c - see leave.h. rd_kafka_consumer_close() waits for the group without a limit: for a broker that is frozen, say. Its form
 * with a queue (since 1.9) is asked step by step instead.
 */
#include "consumer/leave.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/clock.h"

enum { LOOK_MS = 50 };
#define LIMIT_US    INT64_C(2500000)
#define FOR_GOOD_US INT64_C(2000000)

bool leave_group(rd_kafka_t *handle)
{
    rd_kafka_queue_t *answers = rd_kafka_queue_new(handle);
    const int64_t deadline_us = clock_now_us() + LIMIT_US;
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(handle, answers);
    bool is_closed = error != NULL; /* closed already, or never a member */
    rd_kafka_error_destroy(error);
    while (!is_closed && clock_now_us() < deadline_us) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(answers, LOOK_MS);
        if (event && rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
            rd_kafka_assign(handle, NULL);
        rd_kafka_event_destroy(event);
        is_closed = rd_kafka_consumer_closed(handle);
    }
    rd_kafka_queue_destroy(answers);
    return is_closed;
}

/* Its id is forgotten as soon as the group is told. */
static bool is_member(rd_kafka_t *handle)
{
    char *id = rd_kafka_memberid(handle);
    const bool has_id = id != NULL && id[0] != '\0';
    if (id != NULL)
        rd_kafka_mem_free(handle, id);
    return has_id;
}

/* librdkafka tells the group (LeaveGroup) behind the answer to the last revocation, and for a static member only while the consumer is not being closed (KIP-345). So that
 * is awaited: an unsubscribe right before the close says nothing to anybody. */
void leave_for_good(rd_kafka_t *handle)
{
    const int64_t deadline_us = clock_now_us() + FOR_GOOD_US;
    rd_kafka_unsubscribe(handle);
    while (is_member(handle) && clock_now_us() < deadline_us) {
        rd_kafka_message_t *dropped = rd_kafka_consumer_poll(handle, LOOK_MS); /* was not taken, so whoever has the topic partition next reads it */
        if (dropped)
            rd_kafka_message_destroy(dropped);
    }
}
