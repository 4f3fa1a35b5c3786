/* producer_ring.c - ring.c: every message comes out once, as it went in, in the order of each thread, over many rounds. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "producer/library/ring.h"

enum { THREADS = 4, EACH = 20000, BATCH = 64 };

/* Key: the thread; value: its number, then as many bytes as it says, so that records have all lengths. */
struct body {
    uint32_t number;
    uint8_t filler[900];
};

static size_t length_of(uint32_t number)
{
    return sizeof(uint32_t) + number * 7919 % 900;
}

static void *put_many(void *context)
{
    struct ring *ring = ((void **)context)[0];
    char key = *(char *)((void **)context)[1];
    struct body body;
    for (uint32_t i = 0; i < EACH; i++) {
        body.number = i;
        memset(body.filler, (int)(i & 0xff), sizeof body.filler);
        struct event_message message = {.key = &key, .key_length = 1, .value = &body, .value_length = length_of(i)};
        while (ring_put(ring, &message, NULL) != RING_PUT)
            sched_yield();
    }
    return NULL;
}

static void check(const struct event_message *message, uint32_t expected[THREADS])
{
    size_t thread = (size_t)(*(const char *)message->key - 'a');
    cr_assert_lt(thread, THREADS);
    uint32_t number;
    memcpy(&number, message->value, sizeof number);
    cr_assert_eq(number, expected[thread], "thread %zu", thread);
    expected[thread]++;
    cr_assert_eq(message->value_length, length_of(number));
    const uint8_t *bytes = message->value;
    for (size_t i = sizeof number; i < message->value_length; i++)
        cr_assert_eq(bytes[i], number & 0xff);
}

Test(ring, gives_every_message_once_and_each_threads_in_order)
{
    struct ring *ring = ring_new(1); /* the smallest: hundreds of rounds */
    char names[THREADS] = {'a', 'b', 'c', 'd'};
    void *contexts[THREADS][2];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        contexts[i][0] = ring;
        contexts[i][1] = &names[i];
        pthread_create(&threads[i], NULL, put_many, contexts[i]);
    }
    uint32_t expected[THREADS] = {0};
    struct event_message messages[BATCH];
    for (size_t seen = 0, round = 0; seen < (size_t)THREADS * EACH; round++) {
        size_t taken = ring_take(ring, messages, BATCH), used = round % 3 == 0 ? taken / 2 : taken;
        for (size_t i = 0; i < used; i++)
            check(&messages[i], expected);
        ring_free_taken(ring, messages, used); /* the others come again */
        seen += used;
        if (taken == 0)
            sched_yield();
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert(ring_is_empty(ring));
    cr_assert_eq(ring_count(ring), THREADS * EACH);
    ring_delete(ring);
}

Test(ring, is_full_at_its_capacity_and_shut_for_good)
{
    struct ring *ring = ring_new(1);
    static const uint8_t value[1000];
    struct event_message message = {.key = "k", .key_length = 1, .value = value, .value_length = sizeof value}, out[4];
    size_t count = 0;
    uint64_t position = 0;
    while (ring_put(ring, &message, &position) == RING_PUT)
        count++;
    cr_assert_eq(count, ring_capacity(ring) / 1024, "records of 1,017 bytes take 1,024");
    cr_assert_eq(position, count * 1024);
    cr_assert_eq(ring_take(ring, out, 4), 4);
    ring_free_taken(ring, out, 1);
    cr_assert_eq(ring_freed(ring), 1024);
    cr_assert_eq(ring_put(ring, &message, NULL), RING_PUT);
    cr_assert_eq(ring_put(ring, &message, NULL), RING_FULL);
    message.value_length = ring_capacity(ring);
    cr_assert_eq(ring_put(ring, &message, NULL), RING_FULL, "it never fits");
    ring_shut(ring);
    message.value_length = 1;
    cr_assert_eq(ring_put(ring, &message, NULL), RING_SHUT);
    size_t left = 0, taken;
    while ((taken = ring_take(ring, out, 4)) > 0) {
        ring_free_taken(ring, out, taken);
        left += taken;
    }
    cr_assert_eq(left, count, "what was put before comes out");
    cr_assert(ring_is_empty(ring));
    ring_delete(ring);
}

static void put_and_take(struct ring *ring, const void *value, size_t length)
{
    struct event_message message = {.key = "", .key_length = 0, .value = value, .value_length = length}, out;
    cr_assert_eq(ring_put(ring, &message, NULL), RING_PUT);
    cr_assert_eq(ring_take(ring, &out, 1), 1);
    cr_assert_eq(out.value_length, length);
    ring_free_taken(ring, &out, 1);
}

Test(ring, does_not_take_an_events_bytes_for_a_header)
{
    enum { HEADER = 16, HALF = 1 << 16 };
    struct ring *ring = ring_new(1);
    cr_assert_eq(ring_capacity(ring), 2 * HALF);
    /* Fills the first half with what the headers of the next round would be, were it not for the secret. */
    static uint64_t forged[(HALF - HEADER) / 8];
    for (uint64_t i = 0; i < sizeof forged / 8; i++)
        forged[i] = (HEADER + i * 8 + 2 * HALF) | 1;
    put_and_take(ring, forged, sizeof forged);
    for (int i = 0; i < HALF / 1024; i++)
        put_and_take(ring, forged, 1024 - HEADER);
    for (int i = 0; i < 100; i++) {
        struct event_message out;
        put_and_take(ring, "", 1);
        cr_assert_eq(ring_take(ring, &out, 1), 0, "what lies there was never put");
    }
    ring_delete(ring);
}
