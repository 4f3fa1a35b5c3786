/* prefetch.h - how one memory setting is shared out. What librdkafka counts in its queue are the messages' bytes; a message of 329 bytes costs it about 600 more, and
 * the limit is a threshold that is passed by what was asked for before. A batch holds its messages until COMMIT, the same overhead with them.
 *
 * Measured with memory.max = 64 MiB, 16 topic partitions and a full queue: 60 MiB resident; with a queue of 16 MiB, fetches of 256 KiB and batches of
 * 10,000 rows 77 MiB, no faster. Half the queue gave 57 % of the speed: librdkafka 2.0.2 waits up to a second once its queue was full.
 *
 *   7/32   librdkafka's queue, as it counts (14 MiB: 43,000 events, half a second)
 *   1/512  a fetch of one topic partition (128 KiB)
 *   1/32   an answer of a broker, whatever the number of topic partitions (2 MiB)
 *   1/48   each of the two batches' tuples (1.3 MiB: 3,900 events; beyond 500 to 5,000 rows a transaction more do not pay)
 *   the rest: overhead of messages, those held by batches, libpq's buffers, the programs themselves
 *
 * None of it depends on the number of topic partitions, so that no rebalance changes it: the queue's limit holds for the consumer's one queue, however
 * many feed it (librdkafka's CONFIGURATION.md), and what may be under way beyond it is one answer a broker, which the broker itself cuts at fetch.max.bytes
 * (KIP-74). Measured with 200 topic partitions: 77 MiB resident, without fetch.max.bytes 195. Rejected: a consumer made anew with other sizes at each rebalance (it would have to join the group again, which is a rebalance); fetches that are
 * smaller the more topic partitions there are (slower, and they bound no more than this does).
 */
#ifndef TALLYMILL_PREFETCH_H
#define TALLYMILL_PREFETCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct prefetch {
    char queue_kib[24];   /* queued.max.messages.kbytes */
    char fetch_bytes[24]; /* fetch.message.max.bytes */
    char answer_bytes[24]; /* fetch.max.bytes */
    size_t batch_bytes;   /* tuples of one batch */
};

static inline struct prefetch prefetch_from_memory(int64_t memory_bytes)
{
    struct prefetch prefetch;
    snprintf(prefetch.queue_kib, sizeof prefetch.queue_kib, "%lld", (long long)(memory_bytes / 32 * 7 / 1024));
    snprintf(prefetch.fetch_bytes, sizeof prefetch.fetch_bytes, "%lld", (long long)(memory_bytes / 512));
    snprintf(prefetch.answer_bytes, sizeof prefetch.answer_bytes, "%lld", (long long)(memory_bytes / 32));
    prefetch.batch_bytes = (size_t)(memory_bytes / 48);
    if (prefetch.batch_bytes > (size_t)256 << 20)
        prefetch.batch_bytes = (size_t)256 << 20;
    return prefetch;
}

#endif
