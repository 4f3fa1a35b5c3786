/* courier.c - see courier.h.
 *
 * An application's thread only copies its message into the ring. The courier looks there once a millisecond while events come and
 * takes what has gathered, so that neither it nor librdkafka's threads are woken for single events. When none has come for a while
 * it dozes, and the next one wakes it with one system call. A wake-up for each event was rejected: it is what makes
 * rd_kafka_produce slow at the 99th percentile.
 *
 * With a spool each message goes through it, and not only while Kafka is away: what a process holds in memory when it is killed is
 * lost, and it cannot know beforehand that Kafka or it will die. So there is one way for every message, in one order.
 *
 * What an application's thread does is in courier_call.c.
 *
 * Invariant: accepted + recovered = acknowledged + failed + what ring, spool and librdkafka hold. A message is counted as accepted
 * before the courier can see it, so that its fate can never be counted first.
 *
 * A wake-up cannot be lost: a publisher moves the ring's tail and then looks whether the courier dozes; the courier says that it
 * dozes and then looks whether the tail moved; all four in the one order of sequentially consistent operations.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "producer/library/courier.h"
#include "producer/library/courier_struct.h"
#include "producer/library/extra.h"

enum {
    LOOK_US = 1000,          /* between two looks at the ring while events come: beside linger.ms nobody sees it */
    LIVELY_US = 100000,      /* after the last event, before it dozes */
    DOZE_PENDING_US = 20000, /* deliveries are on their way and are looked for */
    DOZE_US = 500000,        /* librdkafka's logs and its death are looked for */
    FULL_MS = 10,            /* librdkafka's queue is full: deliveries make room */
    SEND_AGAIN_US = 1000000, /* after Kafka refused something from the spool, for the first time, and at most */
    SEND_AGAIN_MAX_US = 5000000,
    TELL_AGAIN_US = 10000000, /* of the disk's trouble */
    COMMIT_WAIT_US = 1000000,
};

/* -- What became of a message ---------------------------------------------------------------------------------------------------
 */

/* Kafka will never take this message, however often it is sent. */
static bool is_refused_for_good(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
           code == RD_KAFKA_RESP_ERR_INVALID_MSG || code == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
           code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP;
}

static bool is_purge(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

/* Kafka did not take a message of the spool: it stays there, and all is sent again, with growing pauses. */
static void rewind_later(struct courier *courier, rd_kafka_resp_err_t code, const char *error)
{
    if (!courier->must_rewind) {
        char text[2 * CHANNEL_REASON_BYTES];
        snprintf(text, sizeof text, "Kafka refused an event of the spool, which is sent again: %s", error);
        if (!is_purge(code))
            courier_log(courier, 4, text);
        courier->rewind_pause_us = courier->rewind_pause_us == 0 ? SEND_AGAIN_US : courier->rewind_pause_us * 2;
        if (courier->rewind_pause_us > SEND_AGAIN_MAX_US)
            courier->rewind_pause_us = SEND_AGAIN_MAX_US;
    }
    courier->must_rewind = true;
    courier->rewind_us = clock_now_us() + courier->rewind_pause_us;
}

static enum tally_fate fate_of(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR: return TALLY_ACKNOWLEDGED;
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT: return TALLY_TIMED_OUT;
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT: return TALLY_CLOSED;
    default: return TALLY_REFUSED;
    }
}

/* The caller's tag of a message that comes from the spool. A former process's mean nothing. */
static uint64_t own_tag(const struct courier *courier, uint64_t sequence)
{
    return courier->own_tags == NULL || sequence < spool_own_from(courier->spool) ? 0 : courier->own_tags[sequence % SPOOL_WINDOW];
}

static void keep_own_tag(struct courier *courier, const struct event_message *message, uint64_t sequence)
{
    uint64_t tag = extra_tag(message->extra, message->extra_length);
    if (tag != 0 && courier->own_tags == NULL)
        courier->own_tags = calloc(SPOOL_WINDOW, sizeof *courier->own_tags);
    if (courier->own_tags != NULL)
        courier->own_tags[sequence % SPOOL_WINDOW] = tag;
}

static void on_delivered(void *context, const rd_kafka_message_t *message, uint64_t tag, const char *error)
{
    struct courier *courier = context;
    bool is_acknowledged = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    bool is_final = is_acknowledged || is_refused_for_good(message->err);
    bool is_told = courier->hooks.delivered != NULL; /* else the event, which is cold by now, is not looked into */
    if (is_acknowledged)
        courier->rewind_pause_us = 0;
    if (!courier->has_spool) {
        /* the tag is the caller's own */
    } else if ((tag & COURIER_DIRECT_TAG) != 0) {
        if (!courier_direct_done(courier, tag, is_final || atomic_load(&courier->is_stopping)))
            return;
        tag = courier_direct_own_tag(courier, tag);
    } else {
        if (!is_final) {
            rewind_later(courier, message->err, error);
            return; /* it stays in the spool */
        }
        if (!spool_done(courier->spool, tag - 1))
            return; /* dropped meanwhile, and counted as that */
        tag = own_tag(courier, tag - 1);
    }
    courier_tell_fate(courier, &(struct tally_delivery){.size = sizeof(struct tally_delivery),
                                                        .id = is_told ? event_find_id(message->payload, message->len) : NULL,
                                                        .error = error,
                                                        .topic_partition = is_acknowledged ? message->partition : -1,
                                                        .offset = is_acknowledged ? message->offset : -1,
                                                        .key = message->key,
                                                        .value = message->payload,
                                                        .key_length = message->key_len,
                                                        .value_length = message->len,
                                                        .fate = fate_of(message->err),
                                                        .tag = tag});
}

static struct tally_delivery given_up(const struct event_message *message, const char *error, enum tally_fate fate, uint64_t tag)
{
    return (struct tally_delivery){.size = sizeof(struct tally_delivery),
                                   .id = event_find_id(message->value, message->value_length),
                                   .error = error,
                                   .topic_partition = -1,
                                   .offset = -1,
                                   .key = message->key,
                                   .value = message->value,
                                   .key_length = message->key_length,
                                   .value_length = message->value_length,
                                   .fate = fate,
                                   .tag = tag};
}

/* Counted all together in on_lost, which also has those that could not be read. */
static void on_dropped(void *context, const struct event_message *message, uint64_t sequence)
{
    struct courier *courier = context;
    uint64_t tag = sequence < spool_own_from(courier->spool) ? 0 : extra_tag(message->extra, message->extra_length);
    struct tally_delivery delivery = given_up(message, "the spool was full, and this was its oldest file", TALLY_DROPPED, tag);
    courier_tell_dropped(courier, &delivery);
    if (courier_must_hold(courier))
        spool_hold_drops(courier->spool, true);
}

static void on_lost(void *context, uint64_t count, bool is_dropped)
{
    struct courier *courier = context;
    char text[128];
    snprintf(text, sizeof text,
             is_dropped ? "the spool is full: its oldest %llu events are given up"
                        : "%llu events of the spool cannot be read any more: they are lost",
             (unsigned long long)count);
    courier_log(courier, 3, text);
    atomic_fetch_add(is_dropped ? &courier->dropped : &courier->damaged, count);
    atomic_fetch_add(&courier->failed, count);
}

void courier_give_up(struct courier *courier, const struct event_message *message)
{
    struct tally_delivery delivery =
        given_up(message, courier->last_words, TALLY_CLOSED, extra_tag(message->extra, message->extra_length));
    courier_tell_fate(courier, &delivery);
}

/* -- The way of a message -------------------------------------------------------------------------------------------------------
 */

/* Has there been a full load, so that it is worth looking again at once? */
static bool carry_from_ring(struct courier *courier, int64_t now_us)
{
    size_t taken = ring_take(courier->ring, courier->messages, CHANNEL_BATCH);
    for (size_t i = 0; i < taken; i++)
        courier->tags[i] = extra_tag(courier->messages[i].extra, courier->messages[i].extra_length);
    size_t sent = channel_send(courier->channel, courier->messages, courier->tags, taken);
    ring_free_taken(courier->ring, courier->messages, sent);
    if (sent > 0)
        courier->moved_us = now_us;
    if (sent < taken)
        channel_serve(courier->channel, FULL_MS);
    return taken == CHANNEL_BATCH;
}

static void tell_trouble(struct courier *courier, int64_t now_us)
{
    const char *trouble = spool_trouble(courier->spool);
    if (trouble == NULL || (courier->told_trouble_us != 0 && now_us - courier->told_trouble_us < TELL_AGAIN_US))
        return;
    courier_log(courier, 3, trouble);
    courier->told_trouble_us = now_us;
}

/* Only so much is accepted as has a place: in the spool, whose record of a message is at most 8/5 of that in the ring (which has at
 * least 36 bytes of key and value), or, while the spool's disk refuses, in Kafka. */
static void grant_room(struct courier *courier, int64_t now_us)
{
    size_t room = 0;
    if (courier->direct.count == 0)
        room = spool_reserve(courier->spool, ring_capacity(courier->ring) / 5 * 8, now_us) / 8 * 5;
    int refusal = spool_refusal(courier->spool);
    atomic_store(&courier->refusal, refusal);
    if (refusal > 0 || courier->direct.count > 0) {
        size_t direct = courier_direct_room(courier, now_us);
        room = room > direct ? room : direct;
    }
    ring_grant(courier->ring, ring_freed(courier->ring) + room);
}

static bool carry_into_spool(struct courier *courier, int64_t now_us)
{
    size_t taken = 0, kept = 0;
    if (courier->direct.count == 0 || !courier_direct_carry(courier, now_us)) {
        taken = ring_take(courier->ring, courier->messages, CHANNEL_BATCH);
        kept = spool_append(courier->spool, courier->messages, taken);
        ring_free_taken(courier->ring, courier->messages, kept);
        courier->appended = ring_freed(courier->ring);
        bool is_refused = kept < taken && !courier_direct_carry(courier, now_us);
        atomic_store(&courier->is_refusing, is_refused);
    }
    if (kept > 0)
        courier->moved_us = now_us;
    if (spool_flush(courier->spool, now_us) && courier->direct.count == 0)
        atomic_store(&courier->synced, ring_freed(courier->ring));
    tell_trouble(courier, now_us);
    grant_room(courier, now_us);
    return taken == CHANNEL_BATCH && kept == taken;
}

/* Nothing new is sent until all has come back, so that a session's order is as good as when it was sent first. */
static bool must_wait_for_rewind(struct courier *courier, int64_t now_us)
{
    if (!courier->must_rewind)
        return false;
    if (channel_pending(courier->channel) > 0 || now_us < courier->rewind_us)
        return true;
    spool_rewind(courier->spool);
    courier->must_rewind = false;
    return false;
}

static bool carry_from_spool(struct courier *courier, int64_t now_us)
{
    if (must_wait_for_rewind(courier, now_us))
        return false;
    if (channel_pending(courier->channel) >= courier->pending_when_full)
        return false;
    courier->pending_when_full = SIZE_MAX;
    size_t read = spool_read(courier->spool, courier->messages, courier->tags, CHANNEL_BATCH);
    for (size_t i = 0; i < read; i++)
        keep_own_tag(courier, &courier->messages[i], courier->tags[i]++);
    size_t sent = channel_send(courier->channel, courier->messages, courier->tags, read);
    if (sent < read) {
        spool_unread(courier->spool, &courier->messages[sent], courier->tags[sent] - 1);
        courier->pending_when_full = channel_pending(courier->channel);
    }
    if (sent > 0)
        courier->moved_us = now_us;
    return read > 0 && sent == read; /* a read may end with its buffer */
}

static bool carry(struct courier *courier, int64_t now_us)
{
    bool must_hold = courier_must_hold(courier);
    if (courier->spool == NULL)
        return !must_hold && carry_from_ring(courier, now_us);
    spool_hold_drops(courier->spool, must_hold);
    bool has_more = carry_into_spool(courier, now_us);
    return (!must_hold && carry_from_spool(courier, now_us)) || has_more;
}

static void rest(struct courier *courier, int64_t pause_us)
{
    int64_t until_us = clock_now_us() + pause_us;
    struct timespec until = {.tv_sec = until_us / CLOCK_SECOND_US, .tv_nsec = until_us % CLOCK_SECOND_US * 1000};
    while (sem_clockwait(&courier->bell, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR) {
    }
}

static void doze(struct courier *courier)
{
    struct tally_counts counts = TALLY_COUNTS_INIT;
    courier_count(courier, &counts);
    bool has_pending = counts.accepted + counts.recovered != counts.acknowledged + counts.failed;
    atomic_store(&courier->is_dozing, true);
    bool is_empty = ring_is_empty(courier->ring); /* else the spool refuses what is in it */
    rest(courier, !is_empty ? LOOK_US : has_pending ? DOZE_PENDING_US : DOZE_US);
    atomic_store(&courier->is_dozing, false);
}

static void wake_waiters(struct courier *courier)
{
    if (atomic_load(&courier->waiters) == 0)
        return;
    pthread_mutex_lock(&courier->mutex);
    pthread_cond_broadcast(&courier->progress);
    pthread_mutex_unlock(&courier->mutex);
}

static void *run(void *context)
{
    struct courier *courier = context;
    while (!atomic_load(&courier->is_stopping)) {
        int64_t now_us = clock_now_us();
        bool has_more = carry(courier, now_us);
        if (!courier_must_hold(courier))
            channel_serve(courier->channel, 0);
        wake_waiters(courier);
        if (has_more)
            continue;
        if (now_us - courier->moved_us < LIVELY_US)
            rest(courier, LOOK_US);
        else
            doze(courier);
    }
    return NULL;
}

/* -- Life -----------------------------------------------------------------------------------------------------------------------
 */

/* Signals are the application's business: none is delivered to our thread. */
static bool start_thread(struct courier *courier)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    courier->is_started = pthread_create(&courier->thread, NULL, run, courier) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (courier->is_started)
        pthread_setname_np(courier->thread, "tally:courier"); /* beside librdkafka's in `top -H` */
    return courier->is_started;
}

static struct courier *new_courier(const struct options *options, const struct tally_hooks *hooks)
{
    struct courier *courier = aligned_alloc(COURIER_LINE, sizeof *courier);
    if (courier == NULL)
        return NULL;
    memset(courier, 0, sizeof *courier);
    if (hooks != NULL) /* a caller built against an earlier release has a shorter struct */
        memcpy(&courier->hooks, hooks, hooks->size < sizeof courier->hooks ? hooks->size : sizeof courier->hooks);
    courier->hooks.size = sizeof courier->hooks;
    courier->publish_timeout_ms = options->publish_timeout_ms;
    courier->message_bytes = options->message_bytes;
    courier->has_spool = options->spool.directory != NULL;
    courier->is_synced_each = options->spool.directory != NULL && options->spool.sync == SPOOL_SYNC_EACH;
    courier->moved_us = clock_now_us();
    courier->pending_when_full = SIZE_MAX;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&courier->progress, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&courier->mutex, NULL);
    sem_init(&courier->bell, 0, 0);
    return courier;
}

bool courier_open(struct courier **opened, struct options *options, const struct tally_hooks *hooks,
                  struct tally_producer *producer, struct tally_error *err)
{
    struct courier *courier = new_courier(options, hooks);
    if (courier == NULL || (courier->ring = ring_new(options->queue_bytes)) == NULL) {
        tally_error_set(err, TALLY_FAILED, "no memory");
        goto out;
    }
    courier->producer = producer;
    if (courier->hooks.is_polled && (courier->reports = reports_new(options->poll_bytes, err)) == NULL)
        goto out;
    if (options->spool.directory != NULL) {
        uint64_t recovered;
        courier->spool = spool_open(&options->spool, on_lost, courier, &recovered, err);
        if (courier->spool == NULL)
            goto out;
        if (courier->hooks.delivered != NULL)
            spool_tell_dropped(courier->spool, on_dropped);
        atomic_store(&courier->recovered, recovered);
    }
    if (courier->hooks.token != NULL)
        channel_ask_for_tokens(options->conf);
    courier->channel = channel_open(options->conf, options->topic, on_delivered, courier_log, courier, err);
    options->conf = NULL; /* the channel has it */
    if (courier->channel == NULL)
        goto out;
    if (courier->spool != NULL)
        grant_room(courier, clock_now_us());
    channel_tell_token(courier->channel, courier_ask_token);
    *opened = courier;
    if (start_thread(courier)) {
        courier_exit_watch(courier);
        return true;
    }
    *opened = NULL;
    tally_error_set(err, TALLY_FAILED, "no thread can be started");
out:
    if (courier != NULL)
        courier_close(courier);
    return false;
}

/* What nobody carries any more: into the spool, or given up. A publisher that has just been shut out may still be copying. */
static void empty_ring(struct courier *courier)
{
    int64_t deadline_us = clock_now_us() + COMMIT_WAIT_US;
    while (!ring_is_empty(courier->ring) && clock_now_us() < deadline_us) {
        size_t taken = ring_take(courier->ring, courier->messages, CHANNEL_BATCH);
        size_t kept = courier->spool == NULL ? 0 : spool_append(courier->spool, courier->messages, taken);
        for (size_t i = kept; i < taken; i++)
            courier_give_up(courier, &courier->messages[i]);
        ring_free_taken(courier->ring, courier->messages, taken);
        if (taken == 0)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_US * 1000}, NULL);
    }
}

/* What is not acknowledged, and why, once. */
static void tell_rest(struct courier *courier)
{
    char reason[CHANNEL_REASON_BYTES], text[2 * CHANNEL_REASON_BYTES];
    struct tally_counts counts = TALLY_COUNTS_INIT;
    courier_count(courier, &counts);
    uint64_t rest = counts.accepted + counts.recovered - counts.acknowledged - counts.failed;
    if (rest == 0)
        return;
    channel_reason(courier->channel, reason);
    snprintf(courier->last_words, sizeof courier->last_words, "the producer was closed before Kafka took the event%s%s",
             reason[0] == '\0' ? "" : ": ", reason);
    snprintf(text, sizeof text, "closed with %llu events that Kafka had not acknowledged, which %s%s%s", (unsigned long long)rest,
             courier->spool == NULL ? "are given up" : "stay in the spool", reason[0] == '\0' ? "" : ": ", reason);
    courier_log(courier, courier->spool == NULL ? 3 : 4, text);
}

void courier_stop(struct courier *courier, int timeout_ms)
{
    if (courier->ring == NULL || courier->channel == NULL || atomic_exchange(&courier->is_stopped, true))
        return;
    ring_shut(courier->ring);
    if (courier->is_started) {
        courier_flush(courier, timeout_ms);
        atomic_store(&courier->is_stopping, true);
        sem_post(&courier->bell);
        pthread_join(courier->thread, NULL);
    }
    if (courier->spool != NULL) {
        spool_hold_drops(courier->spool, false);
        courier_direct_end(courier);
    }
    tell_rest(courier);
    struct channel *channel = courier->channel;
    pthread_mutex_lock(&courier->mutex);
    courier->channel = NULL; /* nobody asks it for a reason any more */
    pthread_mutex_unlock(&courier->mutex);
    channel_close(channel); /* what comes back now is done in the spool: room for what is in the ring */
    courier_direct_give_up(courier);
    empty_ring(courier);
    if (courier->spool != NULL) {
        if (spool_flush(courier->spool, INT64_MAX))
            atomic_store(&courier->synced, ring_freed(courier->ring));
        spool_close(courier->spool);
        courier->spool = NULL;
    }
    courier_poll_all(courier);
    wake_waiters(courier);
}

void courier_close(struct courier *courier)
{
    courier_exit_forget(courier);
    courier_stop(courier, 0);
    spool_close(courier->spool); /* where opening did not come further */
    ring_delete(courier->ring);
    pthread_cond_destroy(&courier->progress);
    pthread_mutex_destroy(&courier->mutex);
    sem_destroy(&courier->bell);
    reports_free(courier->reports);
    free(courier->own_tags);
    free(courier);
}
