/* channel.c - see channel.h.
 *
 * librdkafka's idempotent producer can die: when it can no longer tell whether a message was stored (a broker lost at the wrong
 * moment) it raises a fatal error and returns everything unsent. Applications of most clients lose those events or must restart. Here they are sent again through a new handle: a copy that had been stored after all is the same event twice, which the
 * workers recognise by its id.
 *
 * Invariant: while a dead handle still holds messages, nothing new is accepted, so that the events of a session stay in order (as
 * far as the dead handle returns them in order) and what it returns fits into the new handle's queue, which has the same size.
 *
 * An error callback that replaces the handle at once was rejected: it runs in the middle of librdkafka's own call on that handle.
 */
#include "channel.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* A message that comes back this often is given up: the cluster, not the handle, is broken. The count is in the low bits of
 * librdkafka's opaque pointer, the tag above it. */
enum { ATTEMPTS_MAX = 3, ATTEMPT_BITS = 8 };
static_assert(sizeof(void *) == sizeof(uint64_t), "a tag and a count of attempts fit into a pointer");
/* After a purge everything comes back at once; in case it does not, closing goes on. */
enum { PURGE_MS = 5000 };

struct channel {
    rd_kafka_conf_t *conf; /* kept to make further handles of */
    char *topic;
    channel_delivered *delivered;
    channel_log *log;
    void *context;

    pthread_rwlock_t lock; /* readers: whoever checks; writer: the serving thread, replacing */
    rd_kafka_t *handle;
    rd_kafka_topic_t *topic_handle;
    bool is_closing;  /* nothing is sent again */
    rd_kafka_t *dead; /* a handle whose messages have not all come back yet: nothing new is sent meanwhile */
    rd_kafka_message_t batch[CHANNEL_BATCH];

    pthread_mutex_t trouble_lock;
    char trouble[256]; /* the last thing librdkafka called an error */
    atomic_uint replacements;
};

static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    (void)facility;
    struct channel *channel = rd_kafka_opaque(handle);
    if (level <= 3) {
        pthread_mutex_lock(&channel->trouble_lock);
        size_t length = strlen(text) < sizeof channel->trouble - 1 ? strlen(text) : sizeof channel->trouble - 1;
        memcpy(channel->trouble, text, length);
        channel->trouble[length] = '\0';
        pthread_mutex_unlock(&channel->trouble_lock);
    }
    if (channel->log != NULL)
        channel->log(channel->context, level, text);
}

/* Without a callback librdkafka writes each error a second time into the log. What is fatal is asked for where it matters. */
static void on_error(rd_kafka_t *handle, int code, const char *text, void *context)
{
    (void)handle, (void)code, (void)text, (void)context;
}

static bool open_handle(struct channel *channel, rd_kafka_t **handle, rd_kafka_topic_t **topic_handle, struct tally_error *err)
{
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(channel->conf);
    *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
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

/* Puts a new handle in the place of the dead one, unless one is still being emptied. False: this message cannot be helped. */
static bool replace(struct channel *channel)
{
    rd_kafka_t *handle;
    rd_kafka_topic_t *topic_handle;
    if (channel->dead != NULL || !open_handle(channel, &handle, &topic_handle, NULL))
        return false;
    pthread_rwlock_wrlock(&channel->lock);
    rd_kafka_topic_destroy(channel->topic_handle);
    channel->dead = channel->handle;
    channel->handle = handle;
    channel->topic_handle = topic_handle;
    pthread_rwlock_unlock(&channel->lock);
    atomic_fetch_add(&channel->replacements, 1);
    rd_kafka_purge(channel->dead, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    if (channel->log != NULL)
        channel->log(channel->context, 4, "the idempotent producer failed for good; what it held is sent again through a new one");
    return true;
}

static bool send_again(struct channel *channel, const rd_kafka_message_t *message)
{
    uintptr_t opaque = (uintptr_t)message->_private;
    if ((opaque & ((1U << ATTEMPT_BITS) - 1)) >= ATTEMPTS_MAX || message->err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)
        return false;
    return rd_kafka_produce(channel->topic_handle, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, message->payload, message->len,
                            message->key, message->key_len, (void *)(opaque + 1)) == 0;
}

static void tell(struct channel *channel, const rd_kafka_message_t *message)
{
    channel->delivered(channel->context, message, (uintptr_t)message->_private >> ATTEMPT_BITS);
}

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    struct channel *channel = context;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && !channel->is_closing && is_dead(handle) &&
        (handle != channel->handle || replace(channel)) && send_again(channel, message))
        return;
    tell(channel, message);
}

struct channel *channel_open(rd_kafka_conf_t *conf, const char *topic, channel_delivered *delivered, channel_log *log,
                             void *context, struct tally_error *err)
{
    struct channel *channel = calloc(1, sizeof *channel);
    char *copy = strdup(topic);
    if (channel == NULL || copy == NULL) {
        free(channel);
        free(copy);
        rd_kafka_conf_destroy(conf);
        tally_error_set(err, TALLY_FAILED, "no memory");
        return NULL;
    }
    channel->conf = conf;
    channel->topic = copy;
    channel->delivered = delivered;
    channel->log = log;
    channel->context = context;
    pthread_rwlock_init(&channel->lock, NULL);
    pthread_mutex_init(&channel->trouble_lock, NULL);
    rd_kafka_conf_set_opaque(conf, channel);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    if (open_handle(channel, &channel->handle, &channel->topic_handle, err))
        return channel;
    channel_close(channel);
    return NULL;
}

/* Not now, rather than never. FATAL: the handle is dead and about to be replaced. */
static bool is_no_room(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__QUEUE_FULL || code == RD_KAFKA_RESP_ERR__FATAL;
}

size_t channel_send(struct channel *channel, const struct event_message *messages, const uint64_t *tags, size_t count)
{
    assert(count <= CHANNEL_BATCH);
    if (channel->dead != NULL || count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        channel->batch[i] = (rd_kafka_message_t){.payload = (void *)(uintptr_t)messages[i].value,
                                                 .len = messages[i].value_length,
                                                 .key = (void *)(uintptr_t)messages[i].key,
                                                 .key_len = messages[i].key_length,
                                                 ._private = (void *)(uintptr_t)(tags == NULL ? 0 : tags[i] << ATTEMPT_BITS)};
    size_t good = (size_t)rd_kafka_produce_batch(channel->topic_handle, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, channel->batch,
                                                 (int)count);
    if (good == count)
        return count;
    for (size_t i = 0; i < count; i++) {
        if (is_no_room(channel->batch[i].err))
            return i; /* librdkafka refuses all behind it too, so the order holds */
        if (channel->batch[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            tell(channel, &channel->batch[i]);
    }
    return count;
}

size_t channel_pending(const struct channel *channel)
{
    return (size_t)rd_kafka_outq_len(channel->handle) + (channel->dead == NULL ? 0 : (size_t)rd_kafka_outq_len(channel->dead));
}

/* Once the dead handle has given everything back, it goes, and sending goes on. */
static void bury(struct channel *channel, int timeout_ms)
{
    rd_kafka_poll(channel->dead, timeout_ms);
    if (rd_kafka_outq_len(channel->dead) != 0)
        return;
    rd_kafka_destroy(channel->dead);
    channel->dead = NULL;
}

void channel_serve(struct channel *channel, int timeout_ms)
{
    if (channel->dead != NULL) {
        bury(channel, timeout_ms);
        timeout_ms = 0;
    }
    rd_kafka_poll(channel->handle, timeout_ms);
    if (is_dead(channel->handle))
        replace(channel);
}

enum tally_code channel_check(struct channel *channel, int timeout_ms, int *topic_partitions, struct tally_error *err)
{
    /* All topics are asked for: by name, librdkafka 2.0.2 would ask the broker to make it if kafka.allow.auto.create.topics were
     * set. */
    const struct rd_kafka_metadata *metadata;
    pthread_rwlock_rdlock(&channel->lock);
    rd_kafka_resp_err_t code = rd_kafka_metadata(channel->handle, 1, NULL, &metadata, timeout_ms);
    pthread_rwlock_unlock(&channel->lock);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        pthread_mutex_lock(&channel->trouble_lock);
        tally_error_set(err, TALLY_FAILED, "no Kafka broker answered within %d ms: %s", timeout_ms,
                        channel->trouble[0] != '\0' ? channel->trouble : rd_kafka_err2str(code));
        pthread_mutex_unlock(&channel->trouble_lock);
        return TALLY_FAILED;
    }
    int count = -1;
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (strcmp(metadata->topics[i].topic, channel->topic) == 0)
            count = metadata->topics[i].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    if (count <= 0)
        return tally_error_set(err, TALLY_INVALID, "the topic %s does not exist", channel->topic);
    if (topic_partitions != NULL)
        *topic_partitions = count;
    return TALLY_OK;
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
    if (channel->dead != NULL)
        drain(channel->dead);
    if (channel->handle != NULL) {
        rd_kafka_topic_destroy(channel->topic_handle);
        drain(channel->handle);
    }
    rd_kafka_conf_destroy(channel->conf);
    pthread_rwlock_destroy(&channel->lock);
    pthread_mutex_destroy(&channel->trouble_lock);
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
