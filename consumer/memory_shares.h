/* memory_shares.h - how one memory setting is shared out between librdkafka's queue and the worker's two batches. Pure. */
#ifndef TALLYMILL_CONSUMER_MEMORY_SHARES_H
#define TALLYMILL_CONSUMER_MEMORY_SHARES_H

#include <stddef.h>
#include <stdint.h>

/*   3/32   librdkafka's queue, as it counts (at 64 MiB 6 MiB: 18,000 events, 200 ms)
 *   1/1024 a fetch of one topic partition (64 KiB)
 *   1/64   an answer of a broker, whatever the number of topic partitions (1 MiB)
 *   1/16   each of the two batches' tuples, and as much again for its messages (4 MiB and 4 MiB: 10,000 events)
 *   the rest: overhead of messages, the batches' deltas (27 bytes an event, 2 MiB at most), libpq's buffers, the programs
 * themselves */
struct memory_shares {
    char queue_kib[24];    /* queued.max.messages.kbytes */
    char fetch_bytes[24];  /* fetch.message.max.bytes */
    char answer_bytes[24]; /* fetch.max.bytes */
    size_t batch_bytes;    /* tuples of one batch, 256 MiB at most; its messages as much again */
};

/* memory_bytes: memory.max. */
struct memory_shares memory_shares(int64_t memory_bytes);

#endif
