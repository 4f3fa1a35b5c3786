/* channel.c - see channel.h.
 *
 * librdkafka's idempotent producer can die: when it can no longer tell whether a message was stored, or may not write, it raises a
 * fatal error and returns everything unsent. Applications of most clients lose those events or must restart. Here they are held and
 * sent again through a new handle: a copy that had been stored after all is the same event twice, which the workers recognise by
 * its id. The same way is taken by what comes back for want of a right (the next handle forgets what librdkafka believes of the
 * topic), and by a batch that is larger than the topic takes (the next handle makes smaller ones).
 *
 * Invariant: while anything is held or a former handle still has messages, nothing new is accepted, so that the events of a session
 * stay in order (as far as librdkafka returns them in order), and what is held is no more than librdkafka's queue was.
 *
 * A message is held until its message.timeout.ms is over, from the time when it was first accepted. What of that had passed when it
 * was sent again is in the low bits of librdkafka's opaque pointer, in parts of the time-out; the tag is above them. A count of
 * attempts was rejected: three attempts can be over within 30 ms.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/kafka_trouble.h"
#include "producer/library/channel.h"
#include "producer/library/channel_struct.h"
#include "producer/library/extra.h"
#include "producer/library/fork_safety.h"
#include "producer/library/lookup.h"

enum {
    PURGE_MS = 5000, /* after a purge everything comes back at once; in case it does not, closing goes on */
    PAUSE_FIRST_US = 100000,
    PAUSE_MAX_US = 5000000,
    BATCH_MIN_BYTES = 64, /* less than any message with its framing: each travels alone */
    AGE_BITS = 8,
    AGE_PARTS = 250, /* of a time-out */
};
static_assert(sizeof(void *) == sizeof(uint64_t), "a tag and an age fit into a pointer");

static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    (void)facility;
    channel_look_log(rd_kafka_opaque(handle), handle, level, text);
}

/* Without a callback librdkafka writes each error a second time into the log. What is fatal is asked for where it matters. */
static void on_error(rd_kafka_t *handle, int code, const char *text, void *context)
{
    (void)text;
    struct channel *channel = context;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && handle == channel->handle)
        channel->is_down = true;
}

static int on_name(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found, void *context)
{
    struct channel *channel = context;
    if (node != NULL)
        return lookup(node, service, hints, found, &channel->is_leaving);
    freeaddrinfo(*found); /* librdkafka has done with them */
    return 0;
}

static bool open_handle(struct channel *channel, rd_kafka_t **handle, rd_kafka_topic_t **topic_handle, struct tally_error *err)
{
    char reason[256], bytes[32];
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(channel->conf);
    snprintf(bytes, sizeof bytes, "%lld", (long long)channel->limit_bytes);
    fork_safety_watch(conf);
    *handle = rd_kafka_conf_set(conf, "batch.size", bytes, reason, sizeof reason) == RD_KAFKA_CONF_OK
                  ? rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason)
                  : NULL;
    if (*handle == NULL) {
        rd_kafka_conf_destroy(conf);
        tally_error_set(err, TALLY_INVALID, "kafka settings: %s", reason);
        return false;
    }
    *topic_handle = rd_kafka_topic_new(*handle, channel->topic, NULL);
    if (*topic_handle == NULL) {
        tally_error_set(err, TALLY_INVALID, "topics.events = %s: %s", channel->topic, rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_destroy(*handle);
        *handle = NULL;
        return false;
    }
    return true;
}

static bool is_dead(rd_kafka_t *handle)
{
    char reason[256];
    return rd_kafka_fatal_error(handle, reason, sizeof reason) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void tell(struct channel *channel, const rd_kafka_message_t *message)
{
    char text[2 * CHANNEL_REASON_BYTES];
    channel->delivered(channel->context, message, (uintptr_t)message->_private >> AGE_BITS,
                       message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : channel_look_error(channel, message->err, text));
}

static bool is_in_time(const struct channel *channel, int64_t accepted_us)
{
    return channel->timeout_ms == 0 || clock_now_us() - accepted_us < channel->timeout_ms * 1000;
}

static int64_t accepted_at(const struct channel *channel, const rd_kafka_message_t *message)
{
    int64_t latency_us = rd_kafka_message_latency(message), part_us = channel->timeout_ms * 1000 / AGE_PARTS;
    return clock_now_us() - (latency_us < 0 ? 0 : latency_us) -
           (int64_t)((uintptr_t)message->_private & ((1U << AGE_BITS) - 1)) * part_us;
}

/* What librdkafka carries: the tag, and the age as far as it knows it not. */
static void *opaque_of(const struct channel *channel, const struct channel_held *held)
{
    int64_t part_us = channel->timeout_ms * 1000 / AGE_PARTS, age_us = clock_now_us() - held->accepted_us;
    int64_t parts = part_us == 0 ? 0 : (age_us + part_us / 2) / part_us;
    return (void *)(uintptr_t)(held->tag << AGE_BITS | (uint64_t)(parts < AGE_PARTS ? parts : AGE_PARTS));
}

static bool hold(struct channel *channel, const rd_kafka_message_t *message)
{
    int64_t accepted_us = accepted_at(channel, message);
    if (!is_in_time(channel, accepted_us))
        return false;
    struct channel_held *held = malloc(sizeof *held + message->key_len + message->len);
    if (held == NULL)
        return false;
    *held = (struct channel_held){.tag = (uintptr_t)message->_private >> AGE_BITS,
                                  .accepted_us = accepted_us,
                                  .key_length = message->key_len,
                                  .value_length = message->len};
    if (message->key_len != 0)
        memcpy(held->bytes, message->key, message->key_len);
    memcpy(held->bytes + message->key_len, message->payload, message->len);
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        held->headers = rd_kafka_headers_copy(headers);
    *channel->held_end = held;
    channel->held_end = &held->next;
    channel->held_count++;
    return true;
}

static void let_go(struct channel *channel)
{
    struct channel_held *held = channel->held;
    channel->held = held->next;
    if (channel->held == NULL)
        channel->held_end = &channel->held;
    channel->held_count--;
    if (held->headers != NULL)
        rd_kafka_headers_destroy(held->headers);
    free(held);
}

static void give_up(struct channel *channel, const struct channel_held *held, rd_kafka_resp_err_t code)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)held->bytes;
    tell(channel, &(rd_kafka_message_t){.err = code,
                                        .partition = -1,
                                        .offset = -1,
                                        .key = bytes,
                                        .key_len = held->key_length,
                                        .payload = bytes + held->key_length,
                                        .len = held->value_length,
                                        ._private = opaque_of(channel, held)});
}

/* The broker refused the batch in which the message was. Alone in one, the message itself is too large: librdkafka adds nothing to
 * a batch that is full with its first message. */
static bool is_batch_too_large(const struct channel *channel, const rd_kafka_message_t *message, bool is_former)
{
    if (message->err != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || message->partition < 0)
        return false;
    int64_t bytes = (int64_t)(message->key_len + message->len);
    return bytes < (is_former ? channel->former_batch_bytes : channel->batch_bytes);
}

void channel_limit_batch(struct channel *channel, int64_t bytes)
{
    bytes = bytes < BATCH_MIN_BYTES ? BATCH_MIN_BYTES : bytes;
    if (bytes >= channel->limit_bytes)
        return;
    channel->limit_bytes = bytes;
    channel->is_sick = true;
    channel->replace_us = 0; /* without a pause: it ends after a few halvings */
}

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    struct channel *channel = context;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        channel->pause_us = 0;
        channel->has_good = true; /* noted once a poll: a look at the clock for each costs as much as the rest of this */
    } else if (!channel->is_closing && message->err != RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) {
        bool is_former = handle != channel->handle, is_again = is_former || channel->is_sick || is_dead(handle);
        if (channel_is_right_missing(message->err)) {
            channel_look_refused(channel, message->err);
            channel->has_good = false; /* what was acknowledged before says nothing about now */
            channel->is_sick = channel->is_sick || !is_former;
            is_again = true;
        } else if (is_batch_too_large(channel, message, is_former)) {
            if (!is_former && channel->limit_bytes == channel->batch_bytes)
                channel_limit_batch(channel, channel->batch_bytes / 2);
            is_again = true;
        } else if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
            is_again = false;
        }
        if (is_again && hold(channel, message))
            return;
    }
    tell(channel, message);
}

struct channel *channel_open(rd_kafka_conf_t *conf, const char *topic, channel_delivered *delivered, channel_log *log,
                             void *context, struct tally_error *err)
{
    struct channel *channel = calloc(1, sizeof *channel);
    char *copy = strdup(topic), servers[1024] = "", number[32] = "";
    size_t size = sizeof servers;
    rd_kafka_conf_get(conf, "bootstrap.servers", servers, &size);
    char *servers_copy = strdup(servers);
    if (channel == NULL || copy == NULL || servers_copy == NULL) {
        free(channel);
        free(copy);
        free(servers_copy);
        rd_kafka_conf_destroy(conf);
        tally_error_set(err, TALLY_FAILED, "no memory");
        return NULL;
    }
    channel->conf = conf;
    channel->topic = copy;
    channel->servers = servers_copy;
    channel->delivered = delivered;
    channel->log = log;
    channel->context = context;
    channel->held_end = &channel->held;
    size = sizeof number;
    if (rd_kafka_conf_get(conf, "batch.size", number, &size) == RD_KAFKA_CONF_OK)
        channel->batch_bytes = channel->limit_bytes = strtoll(number, NULL, 10);
    size = sizeof number;
    if (rd_kafka_conf_get(conf, "allow.auto.create.topics", number, &size) == RD_KAFKA_CONF_OK)
        channel->makes_topics = strcmp(number, "true") == 0;
    size = sizeof number;
    if (rd_kafka_conf_get(conf, "message.timeout.ms", number, &size) == RD_KAFKA_CONF_OK)
        channel->timeout_ms = strtoll(number, NULL, 10);
    pthread_rwlock_init(&channel->lock, NULL);
    pthread_mutex_init(&channel->trouble_lock, NULL);
    rd_kafka_conf_set_opaque(conf, channel);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_resolve_cb(conf, on_name);
    kafka_trouble_watch(conf);
    if (open_handle(channel, &channel->handle, &channel->topic_handle, err)) {
        channel_look_open(channel);
        return channel;
    }
    channel_close(channel);
    return NULL;
}

/* Puts a new handle in the place of one that is of no use any more, unless another is still being emptied. */
static void replace(struct channel *channel, int64_t now_us)
{
    rd_kafka_t *handle;
    rd_kafka_topic_t *topic_handle;
    if (channel->dead != NULL || now_us < channel->replace_us || pthread_rwlock_trywrlock(&channel->lock) != 0)
        return; /* somebody checks, who would have us wait: soon */
    if (!open_handle(channel, &handle, &topic_handle, NULL)) {
        pthread_rwlock_unlock(&channel->lock);
        channel->replace_us = now_us + PAUSE_MAX_US;
        return;
    }
    char text[256];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(channel->handle, text, sizeof text);
    if (channel_is_right_missing(code))
        channel_look_refused(channel, code);
    else if (code != RD_KAFKA_RESP_ERR_NO_ERROR && channel->pause_us == 0)
        channel_look_log(channel, channel->handle, 4,
                         "the idempotent producer failed for good; what it held is sent again through a new one");
    channel_look_close(channel);
    rd_kafka_topic_destroy(channel->topic_handle);
    channel->dead = channel->handle;
    channel->handle = handle;
    channel->topic_handle = topic_handle;
    channel->former_batch_bytes = channel->batch_bytes;
    channel->batch_bytes = channel->limit_bytes;
    pthread_rwlock_unlock(&channel->lock);
    channel_look_open(channel);
    channel->is_sick = false;
    /* The first at once; from then on, as long as nothing is acknowledged, with growing pauses. */
    channel->pause_us = channel->pause_us == 0 ? PAUSE_FIRST_US : channel->pause_us * 2;
    channel->pause_us = channel->pause_us < PAUSE_MAX_US ? channel->pause_us : PAUSE_MAX_US;
    channel->replace_us = now_us + channel->pause_us;
    atomic_fetch_add(&channel->replacements, 1);
    rd_kafka_purge(channel->dead, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

/* Once the former handle has given everything back, it goes. */
static void bury(struct channel *channel, int timeout_ms)
{
    rd_kafka_poll(channel->dead, timeout_ms);
    if (rd_kafka_outq_len(channel->dead) != 0)
        return;
    rd_kafka_destroy(channel->dead);
    channel->dead = NULL;
}

/* Not now, rather than never. FATAL: the handle is dead and about to be replaced. */
static bool is_no_room(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__QUEUE_FULL || code == RD_KAFKA_RESP_ERR__FATAL;
}

/* headers: librdkafka takes them when it takes the message. */
static rd_kafka_resp_err_t produce_one(struct channel *channel, void *key, size_t key_length, void *value, size_t value_length,
                                       rd_kafka_headers_t *headers, void *opaque)
{
    if (headers == NULL)
        return rd_kafka_producev(channel->handle, RD_KAFKA_V_RKT(channel->topic_handle), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_KEY(key, key_length), RD_KAFKA_V_VALUE(value, value_length), RD_KAFKA_V_OPAQUE(opaque),
                                 RD_KAFKA_V_END);
    return rd_kafka_producev(channel->handle, RD_KAFKA_V_RKT(channel->topic_handle), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_KEY(key, key_length), RD_KAFKA_V_VALUE(value, value_length), RD_KAFKA_V_OPAQUE(opaque),
                             RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
}

static void send_held(struct channel *channel)
{
    while (channel->held != NULL && !channel->is_sick) {
        struct channel_held *held = channel->held;
        void *value = held->bytes + held->key_length;
        rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__MSG_TIMED_OUT;
        if (is_in_time(channel, held->accepted_us))
            code = produce_one(channel, held->bytes, held->key_length, value, held->value_length, held->headers,
                               opaque_of(channel, held));
        if (is_no_room(code))
            return;
        if (channel_is_right_missing(code)) {
            channel_look_refused(channel, code);
            channel->is_sick = true;
            return;
        }
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            give_up(channel, held, code);
        else
            held->headers = NULL; /* librdkafka has them */
        let_go(channel);
    }
}

void channel_yield(struct channel *channel)
{
    rd_kafka_yield(channel->handle);
}

void channel_serve(struct channel *channel, int timeout_ms)
{
    int64_t now_us = clock_now_us();
    if (channel->dead != NULL) {
        bury(channel, timeout_ms);
        timeout_ms = 0;
    }
    rd_kafka_poll(channel->handle, timeout_ms);
    if (channel->has_good)
        channel_look_good(channel, clock_now_us());
    channel->has_good = false;
    if (channel->is_sick || is_dead(channel->handle))
        replace(channel, now_us);
    if (channel->held != NULL && channel->dead == NULL && !is_dead(channel->handle))
        send_held(channel);
    channel_look(channel, now_us);
}

static rd_kafka_headers_t *headers_of(const struct event_message *message)
{
    struct extra_header header;
    size_t at = EXTRA_TAG_BYTES;
    rd_kafka_headers_t *headers = NULL;
    while (extra_next(message->extra, message->extra_length, &at, &header)) {
        if (headers == NULL)
            headers = rd_kafka_headers_new(2);
        rd_kafka_header_add(headers, header.name, -1, header.value, (ssize_t)header.value_length);
    }
    return headers;
}

/* Messages with headers go one by one: librdkafka's batches have none. The outcome of each is in channel->batch, as a batch leaves
 * it: after one that finds no room the others are refused as well. */
static size_t produce_singly(struct channel *channel, const struct event_message *messages, size_t count)
{
    size_t good = 0;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (size_t i = 0; i < count; i++) {
        rd_kafka_message_t *message = &channel->batch[i];
        if (!is_no_room(code)) {
            rd_kafka_headers_t *headers = headers_of(&messages[i]);
            code = produce_one(channel, message->key, message->key_len, message->payload, message->len, headers, message->_private);
            if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers != NULL)
                rd_kafka_headers_destroy(headers);
        }
        message->err = code;
        good += code == RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    return good;
}

size_t channel_send(struct channel *channel, const struct event_message *messages, const uint64_t *tags, size_t count)
{
    assert(count <= CHANNEL_BATCH);
    if (count == 0 || channel->dead != NULL || channel->held != NULL || channel->is_sick)
        return 0;
    if (rd_kafka_outq_len(channel->handle) == 0)
        channel->waiting_us = clock_now_us();
    bool has_headers = false;
    for (size_t i = 0; i < count; i++) {
        has_headers = has_headers || messages[i].extra_length > EXTRA_TAG_BYTES;
        channel->batch[i] = (rd_kafka_message_t){.payload = (void *)(uintptr_t)messages[i].value,
                                                 .len = messages[i].value_length,
                                                 .key = (void *)(uintptr_t)messages[i].key,
                                                 .key_len = messages[i].key_length,
                                                 .partition = -1,
                                                 ._private = (void *)(uintptr_t)(tags == NULL ? 0 : tags[i] << AGE_BITS)};
    }
    size_t good = has_headers ? produce_singly(channel, messages, count)
                              : (size_t)rd_kafka_produce_batch(channel->topic_handle, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                                               channel->batch, (int)count);
    if (good == count)
        return count;
    for (size_t i = 0; i < count; i++) {
        rd_kafka_message_t *message = &channel->batch[i];
        if (is_no_room(message->err))
            return i; /* librdkafka refuses all behind it too, so the order holds */
        if (channel_is_right_missing(message->err)) {
            channel_look_refused(channel, message->err);
            channel->is_sick = true;
            return i;
        }
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            tell(channel, message);
    }
    return count;
}

size_t channel_pending(const struct channel *channel)
{
    return channel->held_count + (size_t)rd_kafka_outq_len(channel->handle) +
           (channel->dead == NULL ? 0 : (size_t)rd_kafka_outq_len(channel->dead));
}

/* Gives up everything that a handle holds. */
static void drain(rd_kafka_t *handle)
{
    int64_t deadline_us = clock_now_us() + INT64_C(1000) * PURGE_MS;
    rd_kafka_purge(handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (rd_kafka_outq_len(handle) > 0 && clock_now_us() < deadline_us)
        rd_kafka_poll(handle, 50);
    rd_kafka_destroy(handle);
}

void channel_close(struct channel *channel)
{
    if (channel == NULL)
        return;
    channel->is_closing = true;
    atomic_store(&channel->is_leaving, true);
    if (channel->handle != NULL)
        channel_look_close(channel);
    for (; channel->held != NULL; let_go(channel))
        give_up(channel, channel->held, RD_KAFKA_RESP_ERR__PURGE_QUEUE);
    if (channel->dead != NULL)
        drain(channel->dead);
    if (channel->handle != NULL) {
        rd_kafka_topic_destroy(channel->topic_handle);
        drain(channel->handle);
    }
    rd_kafka_conf_destroy(channel->conf);
    pthread_rwlock_destroy(&channel->lock);
    pthread_mutex_destroy(&channel->trouble_lock);
    free(channel->servers);
    free(channel->topic);
    free(channel);
}

rd_kafka_t *channel_handle(struct channel *channel)
{
    return channel->handle;
}

unsigned channel_replacements(const struct channel *channel)
{
    return atomic_load(&channel->replacements);
}
