/* prefetch.h - how one memory setting is shared out. Measured: with 16 topic partitions a queue of 16 MiB and fetches of 256 KiB run at full
 * speed in 47 MiB resident; half the queue gives 57 % of it. librdkafka's queue limit is a threshold: it is passed by up to topic partitions x
 * fetch size.
 *
 *   a quarter   librdkafka's queue
 *   an eighth   each of the two batches' tuples; their messages, held until COMMIT, take about as much again
 *   the rest    overshoot, libpq's buffers, the programs themselves
 */
#ifndef TALLYMILL_PREFETCH_H
#define TALLYMILL_PREFETCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct prefetch {
    char queue_kib[24];   /* queued.max.messages.kbytes */
    char fetch_bytes[24]; /* fetch.message.max.bytes */
    size_t batch_bytes;   /* tuples of one batch */
};

static inline struct prefetch prefetch_from_memory(int64_t memory_bytes)
{
    struct prefetch prefetch;
    snprintf(prefetch.queue_kib, sizeof prefetch.queue_kib, "%lld", (long long)(memory_bytes / 4 / 1024));
    snprintf(prefetch.fetch_bytes, sizeof prefetch.fetch_bytes, "%lld", (long long)(memory_bytes / 256));
    prefetch.batch_bytes = (size_t)(memory_bytes / 8);
    if (prefetch.batch_bytes > (size_t)256 << 20)
        prefetch.batch_bytes = (size_t)256 << 20;
    return prefetch;
}

#endif
