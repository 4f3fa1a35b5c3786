/* open_transaction.c - see open_transaction.h.
 *
 * Kafka delivers nothing behind the first message of a transaction that is neither committed nor aborted. From here that looks like
 * a quiet topic partition: its end is met, and only the high watermark, which every fetch brings along, lies beyond. A producer
 * that died is aborted by the broker after its transaction.timeout.ms (15 min at most by default); one that hangs holds everybody
 * up.
 */
#include "consumer/open_transaction.h"

#include <inttypes.h>

#include "common/clock.h"
#include "common/log.h"
#include "consumer/source.h"

#define FIRST_US INT64_C(10000000) /* a transaction may last as long without a word */
#define AGAIN_US INT64_C(60000000)

/* That something lies beyond what was met says nothing while nobody reads it. */
static bool is_blocked(const struct source *source, const struct source_topic_partition *topic_partition)
{
    return !topic_partition->is_stopped && !topic_partition->is_waiting && topic_partition->end_offset >= 0 &&
           topic_partition->end_offset == topic_partition->expected_offset &&
           source_last_high(source, topic_partition->claim.topic_partition) > topic_partition->end_offset;
}

static void look(const struct source *source, struct source_topic_partition *topic_partition, bool is_read, int64_t wall_us)
{
    char since[CLOCK_TIME_BYTES];
    if (!is_read || !is_blocked(source, topic_partition)) {
        topic_partition->blocked_since_us = 0;
        return;
    }
    if (topic_partition->blocked_since_us == 0 || topic_partition->blocked_offset != topic_partition->expected_offset) {
        topic_partition->blocked_since_us = wall_us;
        topic_partition->blocked_offset = topic_partition->expected_offset;
    }
    if (wall_us - topic_partition->blocked_since_us < FIRST_US || wall_us - topic_partition->blocked_told_us < AGAIN_US)
        return;
    topic_partition->blocked_told_us = wall_us;
    clock_format_time(since, topic_partition->blocked_since_us);
    log_warn("an open transaction of a producer keeps this topic partition from being read on",
             "topic=%s topic_partition=%" PRId32 " offset=%" PRId64 " since=%s high=%" PRId64, source_topic(source),
             topic_partition->claim.topic_partition, topic_partition->expected_offset, since,
             source_last_high(source, topic_partition->claim.topic_partition));
}

void open_transaction_look(struct source *source, bool is_read)
{
    int count;
    struct source_topic_partition *topic_partitions = source_topic_partitions(source, &count);
    const int64_t wall_us = clock_wall_us();
    for (int i = 0; i < count; i++)
        look(source, &topic_partitions[i], is_read, wall_us);
}
