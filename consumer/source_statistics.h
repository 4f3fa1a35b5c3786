/* source_statistics.h - what only librdkafka's statistics tell (its STATISTICS.md): the size of its queue, how many topic
 * partitions the topic has, and who answers. */
#ifndef TALLYMILL_CONSUMER_SOURCE_STATISTICS_H
#define TALLYMILL_CONSUMER_SOURCE_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source_statistics {
    bool is_known;
    int64_t queue_messages, queue_bytes; /* fetched, and not taken yet */
    int topic_partitions;                /* of the topic, whoever reads them */
    int brokers_up;
};

/* Reads one statistics object; what cannot be read leaves *statistics as it was. */
void source_statistics_read(struct source_statistics *statistics, const char *json, size_t length);

#endif
