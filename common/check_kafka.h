/* check_kafka.h - what --check asks Kafka, in every program that uses it: is the topic there, may our login do what the program
 * does, and can the leader of every topic partition be reached. Nothing is joined, committed, produced or made. Main thread. */
#ifndef TALLYMILL_COMMON_CHECK_KAFKA_H
#define TALLYMILL_COMMON_CHECK_KAFKA_H

#include <stdbool.h>
#include <stddef.h>

#include <librdkafka/rdkafka.h>

struct check;

/* A right that the program needs. */
struct check_right {
    const char *resource; /* "topic" or "group" */
    const char *name;
    rd_kafka_AclOperation_t operation;
};

/* Tells all that is wrong. True: nothing is; *topic_partitions is their number. A handle of any kind will do, as long as it is no
 * idempotent producer's (which would ask for a producer id) and has not subscribed. Up to half a minute when servers do not answer.
 */
bool check_kafka(struct check *check, rd_kafka_t *handle, const char *topic, const struct check_right *rights, size_t count,
                 int *topic_partitions);

#endif
