/* courier_call.c - what an application's thread does: put a message into the ring, count, wait. See courier.h and courier.c.
 *
 * Only those who wait (for room, for the disk, for a flush) or are refused (and want to know why) take the mutex; nothing else here
 * takes a lock or makes a system call, but for the one that wakes a dozing courier.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "producer/library/courier.h"
#include "producer/library/courier_struct.h"

enum {
    /* A waiter looks again this often, whatever it is told: the courier may miss one that has just begun to wait. */
    WAITER_LOOK_US = 20000,
    SYNC_WAIT_US = 30000000, /* spool.sync = each: the longest that a disk may take */
};

/* Waits for the courier to come round, but not past the deadline. */
static void wait_progress(struct courier *courier, int64_t now_us, int64_t deadline_us)
{
    int64_t until_us = now_us + WAITER_LOOK_US < deadline_us ? now_us + WAITER_LOOK_US : deadline_us;
    struct timespec until = {.tv_sec = until_us / CLOCK_SECOND_US, .tv_nsec = until_us % CLOCK_SECOND_US * 1000};
    pthread_mutex_lock(&courier->mutex);
    atomic_fetch_add(&courier->waiters, 1);
    pthread_cond_timedwait(&courier->progress, &courier->mutex, &until);
    atomic_fetch_sub(&courier->waiters, 1);
    pthread_mutex_unlock(&courier->mutex);
}

static void wake(struct courier *courier)
{
    if (atomic_load(&courier->is_dozing) && atomic_exchange(&courier->is_dozing, false))
        sem_post(&courier->bell);
}

/* Once full, a quarter has to be free before it is worth trying again: not one place, and then one switch of threads an event. */
static enum ring_answer put_with_patience(struct courier *courier, const struct event_message *message, uint64_t *position,
                                          enum ring_answer answer)
{
    int64_t now_us = clock_now_us(), deadline_us = now_us + INT64_C(1000) * courier->publish_timeout_ms;
    while ((answer == RING_FULL || answer == RING_REFUSED) && now_us < deadline_us) {
        wait_progress(courier, now_us, deadline_us);
        now_us = clock_now_us();
        if (now_us >= deadline_us || ring_used(courier->ring) <= ring_capacity(courier->ring) / 4 * 3)
            answer = ring_put(courier->ring, message, position);
    }
    return answer;
}

/* Why there is no place for an event now. */
static enum tally_code refuse(struct courier *courier, struct tally_error *err)
{
    int refusal = courier->has_spool ? atomic_load(&courier->refusal) : 0;
    char reason[CHANNEL_REASON_BYTES] = "";
    if (err == NULL)
        return TALLY_FULL;
    pthread_mutex_lock(&courier->mutex); /* the channel may be about to be closed */
    if (courier->channel != NULL)
        channel_reason(courier->channel, reason);
    pthread_mutex_unlock(&courier->mutex);
    if (refusal == ENOSPC || refusal == EDQUOT)
        return tally_error_set(err, TALLY_FULL, "the spool takes no more, its disk is full: %s", strerror(refusal));
    if (refusal > 0)
        return tally_error_set(err, TALLY_FULL, "the spool takes no more: %s", strerror(refusal));
    if (courier_must_hold(courier))
        return tally_error_set(err, TALLY_FULL, "as many reports wait for tally_poll as may (poll.size): call it");
    if (reason[0] == '\0')
        snprintf(reason, sizeof reason, "Kafka takes events more slowly than they come, or not at all");
    return tally_error_set(err, TALLY_FULL,
                           refusal == SPOOL_AT_ITS_SIZE ? "the spool is full (spool.size): %s" : "the queue is full: %s", reason);
}

static enum tally_code wait_until_synced(struct courier *courier, uint64_t position, struct tally_error *err)
{
    int64_t now_us = clock_now_us(), deadline_us = now_us + SYNC_WAIT_US;
    while (atomic_load(&courier->synced) < position) {
        if (now_us >= deadline_us || atomic_load(&courier->is_refusing) || atomic_load(&courier->is_stopped))
            return tally_error_set(err, TALLY_FULL, "the spool's disk has not confirmed the event: publish it again");
        wait_progress(courier, now_us, deadline_us);
        now_us = clock_now_us();
    }
    return TALLY_OK;
}

enum tally_code courier_put(struct courier *courier, const struct event_message *message, struct tally_error *err)
{
    if (message->key_length + message->value_length > courier->message_bytes)
        return tally_error_set(err, TALLY_INVALID, "the event is larger than kafka.message.max.bytes");
    if (courier->is_synced_each) {
        if (courier_is_inside(courier))
            return tally_error_set(err, TALLY_FULL, "spool.sync = each would have to wait for the disk, and a hook never waits");
        if (atomic_load_explicit(&courier->is_refusing, memory_order_relaxed))
            return refuse(courier, err);
    }
    uint64_t position;
    enum ring_answer answer = ring_put(courier->ring, message, &position);
    if ((answer == RING_FULL || answer == RING_REFUSED) && courier->publish_timeout_ms > 0 && !courier_is_inside(courier))
        answer = put_with_patience(courier, message, &position, answer);
    wake(courier);
    switch (answer) {
    case RING_PUT: return courier->is_synced_each ? wait_until_synced(courier, position, err) : TALLY_OK;
    case RING_FULL:
    case RING_REFUSED: return refuse(courier, err);
    default: return tally_error_set(err, TALLY_FAILED, "the producer is stopped");
    }
}

void courier_count(const struct courier *courier, struct tally_counts *counts)
{
    counts->damaged = atomic_load(&courier->damaged);
    counts->dropped = atomic_load(&courier->dropped);
    counts->acknowledged = atomic_load(&courier->acknowledged);
    counts->failed = atomic_load(&courier->failed);
    counts->recovered = atomic_load(&courier->recovered);
    counts->accepted = ring_count(courier->ring); /* last: with recovered never less than the two */
}

bool courier_flush(struct courier *courier, int timeout_ms)
{
    int64_t now_us = clock_now_us(), deadline_us = now_us + INT64_C(1000) * timeout_ms;
    for (;;) {
        struct tally_counts counts = TALLY_COUNTS_INIT;
        courier_poll(courier);
        courier_count(courier, &counts);
        if (counts.accepted + counts.recovered == counts.acknowledged + counts.failed) {
            courier_poll(courier); /* what a full spool dropped is counted before it is told */
            return true;
        }
        if (now_us >= deadline_us || courier_is_inside(courier) ||
            (atomic_load(&courier->is_stopped) && atomic_load(&courier->is_stopping)))
            return false;
        wait_progress(courier, now_us, deadline_us);
        now_us = clock_now_us();
    }
}

enum tally_code courier_token(struct courier *courier, const char *token, int64_t expires_us, const char *principal,
                              const struct tally_setting *extensions, struct tally_error *err)
{
    enum tally_code code;
    pthread_mutex_lock(&courier->mutex); /* the channel may be about to be closed */
    if (courier->channel == NULL)
        code = tally_error_set(err, TALLY_FAILED, "the producer is stopped");
    else if (courier->hooks.token == NULL)
        code = tally_error_set(err, TALLY_FAILED, "the producer has no hooks.token: nobody asked for a token");
    else
        code = channel_token(courier->channel, token, expires_us, principal, extensions, err);
    pthread_mutex_unlock(&courier->mutex);
    return code;
}

void courier_token_failed(struct courier *courier, const char *reason)
{
    bool is_told = false;
    pthread_mutex_lock(&courier->mutex);
    if (courier->channel != NULL && courier->hooks.token != NULL)
        is_told = channel_token_failed(courier->channel, reason);
    pthread_mutex_unlock(&courier->mutex);
    if (!is_told)
        return;
    char text[CHANNEL_REASON_BYTES]; /* a hook may publish, which may want the mutex */
    snprintf(text, sizeof text, "no OAuth token, it is asked for again after ten seconds: %s", reason);
    courier_log(courier, 3, text);
}

enum tally_code courier_check(struct courier *courier, int timeout_ms, int *topic_partitions, struct tally_error *err)
{
    if (atomic_load(&courier->is_stopped))
        return tally_error_set(err, TALLY_FAILED, "the producer is stopped");
    if (courier_is_inside(courier))
        return tally_error_set(err, TALLY_FAILED, "a hook never waits, and a check does: call it from another thread");
    return channel_check(courier->channel, timeout_ms, topic_partitions, err);
}
