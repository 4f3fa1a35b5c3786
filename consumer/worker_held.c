/* worker_held.c - topic partitions that a producer's open transaction keeps from being read.
 *
 * Kafka delivers nothing behind the first message of a transaction that is neither committed nor aborted. From here that looks like
 * a quiet topic partition: its end is met, and only the high watermark, which every fetch brings along, lies beyond. A producer that
 * died is aborted by the broker after its transaction.timeout.ms (15 min at most by default); one that hangs holds everybody up.
 */
#include <inttypes.h>

#include "common/clock.h"
#include "common/log.h"
#include "consumer/worker_state.h"

#define FIRST_US INT64_C(10000000) /* a transaction may last as long without a word */
#define AGAIN_US INT64_C(60000000)

static bool is_held(const struct worker *worker, const struct source_partition *partition)
{
    return !partition->is_stopped && !partition->is_waiting && partition->end_offset >= 0 &&
           partition->end_offset == partition->expected_offset &&
           source_last_high(worker->source, partition->claim.topic_partition) > partition->end_offset;
}

static void look(struct worker *worker, struct source_partition *partition, int64_t wall_us)
{
    char since[CLOCK_TIME_BYTES];
    if (!is_held(worker, partition)) {
        partition->held_since_us = 0;
        return;
    }
    if (partition->held_since_us == 0 || partition->held_offset != partition->expected_offset) {
        partition->held_since_us = wall_us;
        partition->held_offset = partition->expected_offset;
    }
    if (wall_us - partition->held_since_us < FIRST_US || wall_us - partition->held_told_us < AGAIN_US)
        return;
    partition->held_told_us = wall_us;
    clock_format_time(since, partition->held_since_us);
    log_warn("an open transaction of a producer keeps this topic partition from being read on",
             "topic=%s topic_partition=%" PRId32 " offset=%" PRId64 " since=%s high=%" PRId64, source_topic(worker->source),
             partition->claim.topic_partition, partition->expected_offset, since,
             source_last_high(worker->source, partition->claim.topic_partition));
}

void worker_look_for_held(struct worker *worker, int64_t now_us)
{
    int count;
    if (now_us - worker->last_held_look_us < CLOCK_SECOND_US)
        return;
    worker->last_held_look_us = now_us;
    struct source_partition *partitions = source_partitions(worker->source, &count);
    const int64_t wall_us = clock_wall_us();
    for (int i = 0; i < count; i++)
        look(worker, &partitions[i], wall_us);
}
