/* prefetch.h - how one memory setting is shared out. What librdkafka counts in its queue are the messages' bytes; a message of 329 bytes costs it about 600 more, and
 * the limit is a threshold that is passed by what was asked for before. A batch keeps its own copy of a message, without that overhead.
 *
 * Measured with memory.max = 64 MiB, 16 topic partitions and a full queue: 45 MiB resident, and 53 when Kafka's batches hold 20 events each.
 * A queue of twice the size is not faster, since fetch.queue.backoff.ms (source_conf.c) sees to it that fetching goes on before it is empty; without
 * that, half the queue gave 57 % of the speed. Batches of 10,000 rows are 10 % faster than of 5,000 on Postgres's side: a transaction costs it 5 ms beside its rows.
 *
 *   3/32   librdkafka's queue, as it counts (6 MiB: 18,000 events, 200 ms)
 *   1/1024 a fetch of one topic partition (64 KiB)
 *   1/64   an answer of a broker, whatever the number of topic partitions (1 MiB)
 *   1/16   each of the two batches' tuples, and as much again for its messages (4 MiB and 4 MiB: 10,000 events)
 *   the rest: overhead of messages, the batches' deltas (27 bytes an event, 2 MiB at most), libpq's buffers, the programs themselves
 *
 * None of it depends on the number of topic partitions, so that no rebalance changes it: the queue's limit holds for the consumer's one queue, however
 * many feed it (librdkafka's CONFIGURATION.md), and what may be under way beyond it is one answer a broker, which the broker itself cuts at fetch.max.bytes
 * (KIP-74), or at one of Kafka's batches where that is larger. Measured with 200 topic partitions: 50 MiB resident (with answers of 2 MiB 58, and 195 without fetch.max.bytes). Rejected: a consumer made anew with other sizes at each rebalance (it would have to join the group again, which is a rebalance); fetches that are
 * smaller the more topic partitions there are (slower, and they bound no more than this does).
 *
 * Evenly: when its queue was full, librdkafka begins again with the first topic partition (seen with debug=fetch). An answer that holds a fetch of each of 16 has a
 * backlog of 16 read side by side; with fetches of 512 KiB the first two were read to their end, then the next two, at the same speed. What remains: a batch of
 * Kafka's is taken whole, and one that is larger than a fetch only for the topic partition that comes first. In a backlog from a saturated producer (batches of
 * 260 KB, 1 MB unpacked) the first topic partitions are ahead; so are the first sixteen of more.
 */
#ifndef TALLYMILL_CONSUMER_PREFETCH_H
#define TALLYMILL_CONSUMER_PREFETCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct prefetch {
    char queue_kib[24];    /* queued.max.messages.kbytes */
    char fetch_bytes[24];  /* fetch.message.max.bytes */
    char answer_bytes[24]; /* fetch.max.bytes */
    size_t batch_bytes;    /* tuples of one batch; its messages as much again */
};

static inline struct prefetch prefetch_from_memory(int64_t memory_bytes)
{
    enum { MOST_QUEUE_KIB = 2097151 }; /* librdkafka's limit */
    struct prefetch prefetch;
    const int64_t queue_kib = memory_bytes / 32 * 3 / 1024;
    snprintf(prefetch.queue_kib, sizeof prefetch.queue_kib, "%lld", (long long)(queue_kib < MOST_QUEUE_KIB ? queue_kib : MOST_QUEUE_KIB));
    snprintf(prefetch.fetch_bytes, sizeof prefetch.fetch_bytes, "%lld", (long long)(memory_bytes / 1024));
    snprintf(prefetch.answer_bytes, sizeof prefetch.answer_bytes, "%lld", (long long)(memory_bytes / 64));
    prefetch.batch_bytes = (size_t)(memory_bytes / 16);
    if (prefetch.batch_bytes > (size_t)256 << 20)
        prefetch.batch_bytes = (size_t)256 << 20;
    return prefetch;
}

#endif
