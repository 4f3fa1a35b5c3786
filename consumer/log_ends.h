/* log_ends.h - where the logs of topic partitions begin and end, asked of each leader by itself and without waiting: a broker that
 * does not answer keeps only its own topic partitions waiting. One thread.
 */
#ifndef TALLYMILL_CONSUMER_LOG_ENDS_H
#define TALLYMILL_CONSUMER_LOG_ENDS_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "common/error.h"

struct log_end {
    int32_t topic_partition;
    int32_t leader;    /* the broker to ask; -1: there is none, and nothing is asked */
    int64_t low, high; /* the first offset, and the one behind the last, open transactions included; -1: not told */
};

struct log_ends {
    struct log_end *ends; /* owned, sorted by topic partition */
    int count;
    int waiting; /* answers still to come: at most 5 s */
    rd_kafka_queue_t *answers;
};

/* Asks about wanted[0..count), sorted by topic partition, of which `low` and `high` do not matter. What was asked before is
 * forgotten. wakeup_fd becomes readable with each answer. ERROR_RETRY without memory. */
MUST_CHECK bool log_ends_ask(struct log_ends *ends, rd_kafka_t *handle, const char *topic, int wakeup_fd,
                             const struct log_end *wanted, int count, struct error *err);

/* Takes the answers that are there. True: there was one. */
bool log_ends_look(struct log_ends *ends);

/* NULL: not asked about. */
const struct log_end *log_ends_find(const struct log_ends *ends, int32_t topic_partition);

void log_ends_reset(struct log_ends *ends);

/* Before the handle goes that was asked: answers still to come are not waited for, what was told stays. */
void log_ends_detach(struct log_ends *ends);

#endif
