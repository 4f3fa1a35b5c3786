/* identity.h - which log is behind the topic's name: the cluster's id and the topic's (KIP-516), and which topic partitions have a
 * leader, asked of Kafka without waiting for the answer.
 *
 * A topic that was deleted and made anew under its name is read on at the old offset by librdkafka, without a word, once the new
 * log has grown past it. So what was fetched before a question was sent is of the log that the answer names: ids never come back.
 * One thread.
 */
#ifndef TALLYMILL_CONSUMER_IDENTITY_H
#define TALLYMILL_CONSUMER_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "common/error.h"
#include "common/kafka.h"

enum { IDENTITY_CLUSTER_BYTES = 64 };

enum identity_state {
    IDENTITY_UNKNOWN, /* not told yet, or the last question was not answered: error says why */
    IDENTITY_KNOWN,
    IDENTITY_GONE, /* Kafka answers, and has no such topic */
};

struct identity {
    enum identity_state state;
    char cluster_id[IDENTITY_CLUSTER_BYTES]; /* "" while no broker has said */
    char topic_id[KAFKA_TOPIC_ID_BYTES];     /* "" where brokers give none (before 2.8) */
    int32_t *leaders;                        /* leaders[i]: the broker that leads topic partition i, -1 for none */
    int count;                               /* topic partitions */
    int64_t asked_us;                        /* when the question under way was sent; 0: none is */
    int64_t told_us;                         /* when the question was sent to which this is the answer; 0: none yet */
    bool is_forbidden;                       /* the last question was not answered because our login may not look at the topic */
    int64_t failed_us;                       /* when the last question was sent that was not answered; 0: none was, or one since */
    struct error error;
    rd_kafka_queue_t *answers;
};

void identity_reset(struct identity *identity);

/* Sends a question, unless one is under way. wakeup_fd becomes readable with the answer. An answer or an error comes within 5 s. */
void identity_ask(struct identity *identity, rd_kafka_t *handle, const char *topic, int wakeup_fd, int64_t now_us);

/* Takes the answer if it is there. True: told_us or failed_us has changed. */
bool identity_look(struct identity *identity, rd_kafka_t *handle);

#endif
