/* leave.c - see leave.h. rd_kafka_consumer_close() waits for the group without a limit: for a broker that is frozen, say. Its form
 * with a queue (since 1.9) is asked step by step instead.
 */
#include "consumer/leave.h"

#include <stddef.h>

#include "common/clock.h"

enum { LOOK_MS = 50 };
#define LIMIT_US INT64_C(2500000)

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
