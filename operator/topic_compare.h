/* topic_compare.h - the topic that Kafka has under a name, against the one that the ledger is about. One thread. */
#ifndef TALLYMILL_OPERATOR_TOPIC_COMPARE_H
#define TALLYMILL_OPERATOR_TOPIC_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "common/kafka.h"
#include "operator/topic.h"

enum topic_match {
    TOPIC_IS_THE_LEDGERS, /* or the ledger does not know the name, or nothing speaks against it */
    TOPIC_IS_GONE,        /* Kafka answers, and has none */
    TOPIC_IS_ANOTHER,     /* difference says by what: its id, an end below the position, another message where a stored one was */
    TOPIC_IS_ELSEWHERE,   /* a topic of that name, on another cluster */
};

struct topic_compare {
    enum topic_match match;
    bool is_known, is_retired; /* in the ledger */
    bool is_other_cluster;     /* whether it has such a topic or not */
    bool is_same_id;           /* both sides have the topic's id, and it is one: an end below the position is a truncated log */
    char difference[256];      /* a part of a sentence */
    char topic_id[KAFKA_TOPIC_ID_BYTES], cluster_id[TOPIC_CLUSTER_BYTES]; /* as Kafka tells them now */
    int64_t unread;                                                       /* offsets of it beyond the ledger's positions */
};

/* Asks both. False: ERROR_RETRY (a server does not answer), ERROR_USAGE (rights). A database of before the books knew topics' ids,
 * or without any, is asked for what it has. */
MUST_CHECK bool topic_compare(PGconn *conn, rd_kafka_t *client, const char *name, int timeout_ms, struct topic_compare *compared,
                              struct error *err);

#endif
