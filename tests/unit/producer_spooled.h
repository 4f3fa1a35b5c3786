/* producer_spooled.h - messages that tell by their bytes which they are, into a spool and out of it. */
#ifndef TALLYMILL_TEST_PRODUCER_SPOOLED_H
#define TALLYMILL_TEST_PRODUCER_SPOOLED_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "producer/library/spool.h"
#include "producer/library/spool_struct.h"

enum { BATCH = 64 };

static struct lost {
    uint64_t damaged, dropped;
} lost;

static inline void on_lost(void *context, uint64_t count, bool is_dropped)
{
    (void)context;
    *(is_dropped ? &lost.dropped : &lost.damaged) += count;
}

static inline struct spool *open_at(const char *path, uint64_t bytes, bool is_oldest_dropped, uint64_t *recovered)
{
    struct spool_options options = {
        .directory = path, .bytes = bytes, .sync = SPOOL_SYNC_NEVER, .is_oldest_dropped = is_oldest_dropped};
    struct tally_error err;
    uint64_t ignored;
    lost = (struct lost){0};
    struct spool *spool = spool_open(&options, on_lost, NULL, recovered == NULL ? &ignored : recovered, &err);
    cr_assert_not_null(spool, "%s", err.text);
    return spool;
}

/* Message number n: its bytes depend on n, and so does their length. */
static inline size_t make_value(uint8_t value[512], unsigned n)
{
    size_t length = 30 + n % 50;
    for (size_t i = 0; i < length; i++)
        value[i] = (uint8_t)(n * 31 + i);
    memcpy(value, &n, sizeof n);
    return length;
}

static inline size_t append(struct spool *spool, unsigned first, unsigned count)
{
    size_t taken = 0;
    for (unsigned n = first; n < first + count; n++) {
        uint8_t value[512];
        char key[16];
        struct event_message message = {.key = key, .value = value, .value_length = make_value(value, n)};
        message.key_length = (size_t)snprintf(key, sizeof key, "key-%u", n % 7);
        size_t one = spool_append(spool, &message, 1);
        if (one == 0)
            break;
        taken += one;
    }
    return taken;
}

/* The number of a message, whose bytes must be those it was written with. */
static inline unsigned check(const struct event_message *message)
{
    unsigned n;
    cr_assert_geq(message->value_length, sizeof n);
    memcpy(&n, message->value, sizeof n);
    uint8_t value[512];
    char key[16];
    cr_assert_eq(message->value_length, make_value(value, n));
    cr_assert_arr_eq(message->value, value, message->value_length);
    cr_assert_eq(message->key_length, (size_t)snprintf(key, sizeof key, "key-%u", n % 7));
    cr_assert_arr_eq(message->key, key, message->key_length);
    return n;
}

/* Reads everything, done at once; the numbers must rise. Returns how many. */
static inline unsigned read_all(struct spool *spool, unsigned first)
{
    struct event_message messages[BATCH];
    uint64_t sequences[BATCH];
    unsigned total = 0;
    for (size_t count; (count = spool_read(spool, messages, sequences, BATCH)) > 0;)
        for (size_t i = 0; i < count; i++, total++) {
            unsigned n = check(&messages[i]);
            cr_assert_geq(n, first);
            first = n + 1;
            cr_assert(spool_done(spool, sequences[i]));
        }
    return total;
}

#endif
