/* topic_peek.c - see topic_peek.h.
 *
 * One message of each of many topic partitions is read at a time, side by side over one queue, by the simple consumer. One after
 * the other they would take a round trip each, and with a group the workers would have to share their topic partitions with us.
 */
#include "operator/topic_peek.h"

#include "common/clock.h"
#include "common/kafka.h"

enum { SIDE_BY_SIDE = 200 };

static const char doing[] = "reading a message where it stands";

/* Those that are read now: each of another topic partition. */
struct window {
    struct topic_place *places; /* all of them */
    int taken[SIDE_BY_SIDE];    /* which of them; -1: it was read */
    int count, left;
    topic_peeked *peeked;
    void *context;
};

/* Whether the code says that the log has no message there or behind it. */
static bool is_nothing_there(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__PARTITION_EOF || code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
           code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
}

/* Its slot in the window; -1: not of it, or read before. */
static int slot_of(const struct window *window, int32_t topic_partition)
{
    for (int i = 0; i < window->count; i++) {
        if (window->taken[i] >= 0 && window->places[window->taken[i]].topic_partition == topic_partition) {
            return i;
        }
    }
    return -1;
}

static void close_slot(struct window *window, rd_kafka_topic_t *topic, int slot)
{
    rd_kafka_consume_stop(topic, window->places[window->taken[slot]].topic_partition);
    window->taken[slot] = -1;
    window->left--;
}

/* One answer: a message, an end, an error. False: Kafka does not deliver. */
static bool take(struct window *window, rd_kafka_topic_t *topic, const rd_kafka_message_t *message, struct error *err)
{
    const int slot = slot_of(window, message->partition);
    const rd_kafka_resp_err_t code = message->err;
    if (slot < 0 || (code != RD_KAFKA_RESP_ERR_NO_ERROR && !is_nothing_there(code) && kafka_kind(code) == ERROR_RETRY)) {
        return true; /* a broker that comes back is waited for */
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !is_nothing_there(code)) {
        return kafka_error(err, code, doing);
    }
    const int place = window->taken[slot];
    close_slot(window, topic, slot);
    window->peeked(window->context, place, code == RD_KAFKA_RESP_ERR_NO_ERROR ? message : NULL);
    return true;
}

static bool read_window(struct window *window, rd_kafka_t *client, rd_kafka_topic_t *topic, int timeout_ms, struct error *err)
{
    bool is_read = true;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    for (int i = 0; i < window->count; i++) {
        const struct topic_place *place = &window->places[window->taken[i]];
        if (rd_kafka_consume_start_queue(topic, place->topic_partition, place->offset, queue) != 0) {
            is_read = kafka_error(err, rd_kafka_last_error(), doing);
            window->count = i;
        }
    }
    window->left = window->count;
    int64_t deadline_us = clock_now_us() + timeout_ms * INT64_C(1000);
    for (int left = window->left; is_read && window->left > 0;) {
        const int64_t left_us = deadline_us - clock_now_us();
        rd_kafka_message_t *message = left_us > 0 ? rd_kafka_consume_queue(queue, (int)(left_us / 1000) + 1) : NULL;
        is_read = message ? take(window, topic, message, err)
                          : error_set(err, ERROR_RETRY, "%s: Kafka did not deliver within %d ms", doing, timeout_ms);
        if (message) {
            rd_kafka_message_destroy(message);
        }
        if (window->left < left) { /* it moves */
            left = window->left;
            deadline_us = clock_now_us() + timeout_ms * INT64_C(1000);
        }
    }
    for (int i = 0; i < window->count; i++) {
        if (window->taken[i] >= 0) {
            close_slot(window, topic, i);
        }
    }
    rd_kafka_queue_destroy(queue);
    return is_read;
}

/* The next places, one of each topic partition at most, from those that were not taken yet. */
static void fill_window(struct window *window, int count)
{
    window->count = 0;
    int32_t topic_partition = -1;
    for (int i = 0; i < count && window->count < SIDE_BY_SIDE; i++) {
        struct topic_place *place = &window->places[i];
        if (!place->is_taken && place->topic_partition != topic_partition) {
            place->is_taken = true;
            topic_partition = place->topic_partition;
            window->taken[window->count++] = i;
        }
    }
}

bool topic_peek(rd_kafka_t *client, const char *name, struct topic_place *places, int count, int timeout_ms, topic_peeked *peeked,
                void *context, struct error *err)
{
    struct window window = {.places = places, .peeked = peeked, .context = context};
    bool is_read = true;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    if (!topic) {
        kafka_error(err, rd_kafka_last_error(), "opening the topic");
        return error_wrap(err, "topic %s", name);
    }
    for (fill_window(&window, count); is_read && window.count > 0; fill_window(&window, count)) {
        is_read = read_window(&window, client, topic, timeout_ms, err);
    }
    rd_kafka_topic_destroy(topic);
    return is_read || error_wrap(err, "topic %s", name);
}
