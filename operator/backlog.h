/* backlog.h - what a topic holds that is not stored yet, topic partition by topic partition: in offsets, and in seconds.
 *
 * The ledger's positions against the ends of Kafka's logs. The consumer group's own offsets are advice to other tools, and are not
 * read. One thread.
 */
#ifndef TALLYMILL_OPERATOR_BACKLOG_H
#define TALLYMILL_OPERATOR_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>

#include "common/error.h"

/* One topic partition. */
struct backlog_log {
    const char *owner; /* of the ledger; "" while nobody has claimed it */
    int64_t epoch;
    bool is_claimed, is_in_kafka;
    int64_t low, high;   /* Kafka's log: offsets [low, high) */
    int64_t next_offset; /* the first offset that is not stored */
    int64_t waiting;     /* offsets that Kafka has, and the ledger has not */
    int64_t lost;        /* offsets that Kafka deleted before they were stored: a worker will note them as a gap */
    int64_t oldest_us;   /* Kafka's time of the message to be stored next (Unix time); -1: none waits, or its time was not asked */
    int64_t commit_age_us; /* since the last commit; -1: there was none */
    bool is_older;         /* of backlog_mark_older() */
};

struct backlog {
    int count; /* topic partitions 0 .. count - 1, of Kafka and of the ledger */
    struct backlog_log *logs;
    int64_t waiting, lost; /* of all of them */
    int64_t asked_us;      /* Unix time at which Kafka was asked */
    char topic_id[32];     /* "" where brokers give none */
};

/* positions: the answer to backlog_positions_sql, whose texts are borrowed until backlog_free(); asked before, so that a lag is
 * never too small. Reads the ends of all logs of `topic` within timeout_ms, and with_age also the time of the message to be stored
 * next in each. False: as topic_read() and topic_peek(); *is_absent (NULL: not wanted) says whether Kafka has no such topic. */
MUST_CHECK bool backlog_read(const PGresult *positions, rd_kafka_t *client, const char *topic, int timeout_ms, bool with_age,
                             struct backlog *backlog, bool *is_absent, struct error *err);
void backlog_free(struct backlog *backlog);

/* How long the message to be stored next has waited, in microseconds; 0 where none waits, -1 where it is not known. */
int64_t backlog_age_us(const struct backlog *backlog, int topic_partition);
/* The longest of them; -1: of none that waits it is known. */
int64_t backlog_longest_us(const struct backlog *backlog);

/* Marks (is_older) each topic partition in which a message waits that Kafka dates more than age_us ago. Asks for offsets by time,
 * for which Describe of the topic is enough, where its time itself needs Read. False: ERROR_RETRY. */
MUST_CHECK bool backlog_mark_older(struct backlog *backlog, rd_kafka_t *client, const char *topic, int64_t age_us, int timeout_ms,
                                   struct error *err);

/* What topic partitions the ledger knows, their owners and positions. */
#define backlog_positions_sql status_topic_partitions_sql
extern const char status_topic_partitions_sql[];

#endif
