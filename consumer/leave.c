/* leave.c - see leave.h. rd_kafka_consumer_close() waits for the group without a limit: for a broker that is frozen, say. Its form
 * with a queue (since 1.9) is asked step by step instead.
 */
#include "consumer/leave.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"

enum { LOOK_MS = 50 };
#define LIMIT_US    INT64_C(2500000)
#define FOR_GOOD_US (LEAVE_FOR_GOOD_S * CLOCK_SECOND_US)

static bool leave_group(rd_kafka_t *handle)
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

void leave_tell(rd_kafka_t *handle, const char *topic, bool for_good)
{
    char instance[256] = "", session_ms[32] = "0", text[LOG_TEXT_BYTES];
    size_t instance_bytes = sizeof instance, session_bytes = sizeof session_ms;
    rd_kafka_conf_get(rd_kafka_conf(handle), "group.instance.id", instance, &instance_bytes);
    rd_kafka_conf_get(rd_kafka_conf(handle), "session.timeout.ms", session_ms, &session_bytes);
    if (for_good)
        log_info("leaving the group for good: the other workers take the topic partitions now", "topic=%s", topic);
    else if (instance[0] != '\0')
        log_info("stopping: the topic partitions wait for a worker of this name to come back, then go to the others (SIGUSR1 "
                 "instead gives them up at once)",
                 "topic=%s instance_name=\"%s\" wait_s=%ld", topic, log_text(text, instance), strtol(session_ms, NULL, 10) / 1000);
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

/* Gives the topic partitions up, and waits until the group was told. librdkafka tells it (LeaveGroup) behind the answer to the last
 * revocation, and for a static member only while the consumer is not being closed (KIP-345). So that is awaited: an unsubscribe
 * right before the close says nothing to anybody. In the middle of a rebalance it is put off until that is over, and the others
 * learn of one by their next heartbeat only: three seconds. False: nobody was told. */
static bool leave_for_good(rd_kafka_t *handle)
{
    const int64_t deadline_us = clock_now_us() + FOR_GOOD_US;
    rd_kafka_unsubscribe(handle);
    while (is_member(handle) && clock_now_us() < deadline_us) {
        rd_kafka_message_t *dropped =
            rd_kafka_consumer_poll(handle, LOOK_MS); /* was not taken, so whoever has the topic partition next reads it */
        if (dropped)
            rd_kafka_message_destroy(dropped);
    }
    return !is_member(handle);
}

bool leave_handle(rd_kafka_t *handle, rd_kafka_queue_t *queue, const char *topic, bool for_good)
{
    if (for_good && !leave_for_good(handle))
        log_warn("the group could not be told that this worker leaves for good (Kafka is away, or a rebalance does not end): its "
                 "topic partitions go to the others when its session has timed out",
                 "topic=%s limit_s=%d", topic, LEAVE_FOR_GOOD_S);
    if (queue) {
        rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
        rd_kafka_queue_destroy(queue);
    }
    if (leave_group(handle)) {
        rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        return true;
    }
    log_warn("Kafka did not let this member leave in time: the group will notice by its session time-out", "topic=%s", topic);
    return false;
}

static void *destroy(void *handle)
{
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

void leave_aside(rd_kafka_t *handle)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, destroy, handle) == 0)
        pthread_detach(thread);
}
