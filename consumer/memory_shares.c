/* memory_shares.c - see memory_shares.h.
 *
 * What librdkafka counts in its queue are the messages' bytes; a message of 329 bytes costs it about 600 more, and the limit is a
 * threshold that is passed by what was asked for before. A batch keeps its own copy of a message, without that overhead.
 *
 * Measured with memory.max = 64 MiB, 16 topic partitions and a full queue: 45 MiB resident, and 53 when Kafka's batches hold 20
 * events each. A queue of twice the size is not faster, since fetch.queue.backoff.ms (source_conf.c) sees to it that fetching goes
 * on before it is empty; without that, half the queue gave 57 % of the speed. Batches of 10,000 rows are 10 % faster than of 5,000
 * on Postgres's side: a transaction costs it 5 ms beside its rows.
 *
 * None of it depends on the number of topic partitions, so that no rebalance changes it: the queue's limit holds for the consumer's
 * one queue, however many feed it (librdkafka's CONFIGURATION.md), and what may be under way beyond it is one answer a broker,
 * which the broker itself cuts at fetch.max.bytes (KIP-74), or at one of Kafka's batches where that is larger. Measured with 200
 * topic partitions: 50 MiB resident (with answers of 2 MiB 58, and 195 without fetch.max.bytes).
 *
 * Rejected: a consumer made anew with other sizes at each rebalance (it would have to join the group again, which is a rebalance);
 * fetches that are smaller the more topic partitions there are (slower, and they bound no more than this does).
 *
 * Evenly: when its queue was full, librdkafka begins again with the first topic partition (seen with debug=fetch). An answer that
 * holds a fetch of each of 16 has a backlog of 16 read side by side; with fetches of 512 KiB the first two were read to their end,
 * then the next two, at the same speed. What remains: a batch of Kafka's is taken whole, and one that is larger than a fetch only
 * for the topic partition that comes first. In a backlog from a saturated producer (batches of 260 KB, 1 MB unpacked) the first
 * topic partitions are ahead; so are the first sixteen of more.
 */
#include "consumer/memory_shares.h"

#include <inttypes.h>
#include <stdio.h>

#define MOST_QUEUE_KIB   INT64_C(2097151) /* librdkafka's limit */
#define MOST_BATCH_BYTES (INT64_C(256) << 20)

struct memory_shares memory_shares(int64_t memory_bytes)
{
    struct memory_shares shares;
    const int64_t queue_kib = memory_bytes / 32 * 3 / 1024, batch_bytes = memory_bytes / 16;
    snprintf(shares.queue_kib, sizeof shares.queue_kib, "%" PRId64, queue_kib < MOST_QUEUE_KIB ? queue_kib : MOST_QUEUE_KIB);
    snprintf(shares.fetch_bytes, sizeof shares.fetch_bytes, "%" PRId64, memory_bytes / 1024);
    snprintf(shares.answer_bytes, sizeof shares.answer_bytes, "%" PRId64, memory_bytes / 64);
    shares.batch_bytes = (size_t)(batch_bytes < MOST_BATCH_BYTES ? batch_bytes : MOST_BATCH_BYTES);
    return shares;
}
