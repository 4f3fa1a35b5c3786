/* producer.c - the public producer: checks an event, queues it, counts what became of it. See <tallymill/producer.h>.
 *
 * One thread of ours serves librdkafka's deliveries, so that applications need no poll loop and a full queue empties while they
 * wait. The counters are atomics because every publish touches them; the mutex exists only for those who wait (a full queue, a
 * flush).
 *
 * Invariant: accepted = acknowledged + failed + what librdkafka holds; an event is counted as accepted before librdkafka has it, so
 * that its acknowledgement can never come first.
 */
#include <tallymill/producer.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "catalogue.h"
#include "channel.h"
#include "clock.h"
#include "error.h"
#include "event.h"
#include "options.h"

enum {
    SERVE_MS = 100,
    /* A waiter looks again this often, whatever it is told: the serving thread may miss one that has just begun to wait. */
    LOOK_AGAIN_US = 20000,
};

struct tally_producer {
    struct channel *channel;
    struct catalogue *catalogue;
    bool is_unknown_event_refused;
    int publish_timeout_ms;
    struct tally_hooks hooks;

    atomic_uint_fast64_t accepted, acknowledged, failed;

    pthread_mutex_t mutex;
    pthread_cond_t progress; /* deliveries came */
    atomic_uint waiters;

    pthread_t server;
    atomic_bool is_stopping;
};

const char *tally_version(void)
{
    return TALLYMILL_VERSION;
}

static void on_delivered(void *context, const rd_kafka_message_t *message)
{
    struct tally_producer *producer = context;
    bool is_acknowledged = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (producer->hooks.delivered != NULL) {
        struct tally_delivery delivery = {.id = (const uint8_t *)message->payload + EVENT_ID_POSITION,
                                          .error = is_acknowledged ? NULL : rd_kafka_err2str(message->err),
                                          .topic_partition = is_acknowledged ? message->partition : -1,
                                          .offset = is_acknowledged ? message->offset : -1,
                                          .key = message->key,
                                          .value = message->payload,
                                          .key_length = message->key_len,
                                          .value_length = message->len};
        producer->hooks.delivered(producer->hooks.context, &delivery);
    }
    /* Counted last: when a flush sees the number, the hook has seen the event. */
    atomic_fetch_add(is_acknowledged ? &producer->acknowledged : &producer->failed, 1);
}

static void on_log(void *context, int level, const char *text)
{
    const struct tally_producer *producer = context;
    if (producer->hooks.log != NULL)
        producer->hooks.log(producer->hooks.context, level, text);
}

static void *serve(void *context)
{
    struct tally_producer *producer = context;
    while (!atomic_load(&producer->is_stopping)) {
        channel_serve(producer->channel, SERVE_MS);
        if (atomic_load(&producer->waiters) > 0) {
            pthread_mutex_lock(&producer->mutex);
            pthread_cond_broadcast(&producer->progress);
            pthread_mutex_unlock(&producer->mutex);
        }
    }
    return NULL;
}

/* Signals are the application's business: none is delivered to our thread. */
static bool start_server(struct tally_producer *producer)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool is_started = pthread_create(&producer->server, NULL, serve, producer) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return is_started;
}

static struct tally_producer *new_producer(const struct tally_hooks *hooks)
{
    struct tally_producer *producer = calloc(1, sizeof *producer);
    if (producer == NULL)
        return NULL;
    if (hooks != NULL) /* a caller built against an earlier release has a shorter struct */
        memcpy(&producer->hooks, hooks, hooks->size < sizeof producer->hooks ? hooks->size : sizeof producer->hooks);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&producer->progress, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&producer->mutex, NULL);
    return producer;
}

static void free_producer(struct tally_producer *producer)
{
    channel_close(producer->channel);
    catalogue_free(producer->catalogue);
    pthread_cond_destroy(&producer->progress);
    pthread_mutex_destroy(&producer->mutex);
    free(producer);
}

struct tally_producer *tally_open(const struct tally_setting *settings, const struct tally_hooks *hooks, struct tally_error *err)
{
    struct options options;
    if (!options_read(&options, settings, err))
        return NULL;
    struct tally_producer *producer = new_producer(hooks);
    if (producer == NULL) {
        tally_error_set(err, TALLY_FAILED, "no memory");
        options_reset(&options);
        return NULL;
    }
    producer->is_unknown_event_refused = options.is_unknown_event_refused;
    producer->publish_timeout_ms = options.publish_timeout_ms;
    struct error reason;
    producer->catalogue = catalogue_load(options.catalogue_file, &reason);
    if (producer->catalogue == NULL) {
        tally_error_set(err, TALLY_INVALID, "%s", reason.text);
        goto out;
    }
    producer->channel = channel_open(options.conf, options.topic, on_delivered, on_log, producer, err);
    options.conf = NULL; /* the channel has it */
    if (producer->channel == NULL)
        goto out;
    if (start_server(producer))
        return producer;
    tally_error_set(err, TALLY_FAILED, "no thread can be started");
out:
    options_reset(&options);
    free_producer(producer);
    return NULL;
}

enum tally_code tally_check(struct tally_producer *producer, int timeout_ms, int *topic_partitions, struct tally_error *err)
{
    return channel_check(producer->channel, timeout_ms, topic_partitions, err);
}

static bool is_in_catalogue(const struct tally_producer *producer, const struct tally_event *event, struct tally_error *err)
{
    const struct event_kind *kind = catalogue_find(producer->catalogue, event->event_name, event->event_name_length);
    if (kind == NULL) {
        if (producer->is_unknown_event_refused)
            tally_error_set(err, TALLY_INVALID, "the catalogue knows no event '%.*s'", (int)event->event_name_length,
                            event->event_name);
        return !producer->is_unknown_event_refused;
    }
    if (event->event_category_length == 0 || (event->event_category_length == kind->category_length &&
                                              memcmp(event->event_category, kind->category, kind->category_length) == 0))
        return true;
    tally_error_set(err, TALLY_INVALID, "event_category of %s is '%s' in the catalogue, not '%.*s'", kind->name, kind->category,
                    (int)event->event_category_length, event->event_category);
    return false;
}

/* Waits for deliveries, but not past the deadline. */
static void wait_progress(struct tally_producer *producer, int64_t now_us, int64_t deadline_us)
{
    int64_t until_us = now_us + LOOK_AGAIN_US < deadline_us ? now_us + LOOK_AGAIN_US : deadline_us;
    struct timespec until = {.tv_sec = until_us / CLOCK_SECOND_US, .tv_nsec = until_us % CLOCK_SECOND_US * 1000};
    pthread_mutex_lock(&producer->mutex);
    atomic_fetch_add(&producer->waiters, 1);
    pthread_cond_timedwait(&producer->progress, &producer->mutex, &until);
    atomic_fetch_sub(&producer->waiters, 1);
    pthread_mutex_unlock(&producer->mutex);
}

static enum tally_code refusal(struct tally_error *err, rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return tally_error_set(err, TALLY_FULL, "the queue is full: Kafka takes events more slowly than they come, or not at all");
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return tally_error_set(err, TALLY_INVALID, "the event is larger than kafka.message.max.bytes");
    default: return tally_error_set(err, TALLY_FAILED, "Kafka: %s", rd_kafka_err2str(code));
    }
}

enum tally_code tally_publish(struct tally_producer *producer, struct tally_event *event, struct tally_error *err)
{
    struct event_message message;
    if (!event_encode(event, &message, err))
        return event->error.code;
    if (!is_in_catalogue(producer, event, err))
        return TALLY_INVALID;
    atomic_fetch_add(&producer->accepted, 1);
    rd_kafka_resp_err_t code = channel_send(producer->channel, &message);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && producer->publish_timeout_ms > 0) {
        int64_t now_us = clock_now_us(), deadline_us = now_us + INT64_C(1000) * producer->publish_timeout_ms;
        while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && now_us < deadline_us) {
            wait_progress(producer, now_us, deadline_us);
            code = channel_send(producer->channel, &message);
            now_us = clock_now_us();
        }
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return TALLY_OK;
    atomic_fetch_sub(&producer->accepted, 1);
    return refusal(err, code);
}

void tally_count(const struct tally_producer *producer, struct tally_counts *counts)
{
    counts->acknowledged = atomic_load(&producer->acknowledged);
    counts->failed = atomic_load(&producer->failed);
    counts->accepted = atomic_load(&producer->accepted); /* last: never less than the two */
}

bool tally_flush(struct tally_producer *producer, int timeout_ms)
{
    int64_t now_us = clock_now_us(), deadline_us = now_us + INT64_C(1000) * timeout_ms;
    for (;;) {
        struct tally_counts counts;
        tally_count(producer, &counts);
        if (counts.accepted == counts.acknowledged + counts.failed)
            return true;
        if (now_us >= deadline_us)
            return false;
        wait_progress(producer, now_us, deadline_us);
        now_us = clock_now_us();
    }
}

bool tally_close(struct tally_producer *producer, int timeout_ms, struct tally_counts *counts)
{
    if (producer == NULL)
        return true;
    tally_flush(producer, timeout_ms);
    atomic_store(&producer->is_stopping, true);
    pthread_join(producer->server, NULL);
    channel_close(producer->channel);
    producer->channel = NULL;
    struct tally_counts last;
    tally_count(producer, &last);
    if (counts != NULL)
        *counts = last;
    free_producer(producer);
    return last.accepted == last.acknowledged;
}
