/* dlq.h - the dead letters of a topic: which ones are meant, sending them again, and settling them for good. Private to dlq*.c. */
#ifndef TALLYMILL_OPERATOR_DLQ_H
#define TALLYMILL_OPERATOR_DLQ_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <libpq-fe.h>

#include "common/error.h"

struct settings;

/* How long a statement about dead letters may take. */
#define DLQ_QUERY_US INT64_C(60000000)

/* What the command line picks; NULL: not restricted. Borrowed. */
struct dlq_choice {
    const char *topic;  /* whose books: a topic, or "NAME@GENERATION" */
    const char *target; /* the topic that a replay sends to */
    const char *reason;
    const char *topic_partition, *offset; /* numbers as text, checked */
    const char *month;                    /* of a replay: those that wait for it to come back; "2025-01" */
    bool with_replayed;                   /* also those sent again before; in lists also those whose bytes were dropped */
    const char *since;                    /* a time as Postgres reads it: those dead since then */
    const char *key;                      /* as Postgres writes a bytea ("\\x6162"): those of this key */
};

/* Counts the chosen dead letters by reason, shows one of each with what it holds, and the newest `limit`; with a key the newest of
 * that key, each with what it holds. What they hold is shown to tallymill_admin only. */
MUST_CHECK bool dlq_list(PGconn *conn, const struct dlq_choice *choice, int limit, bool as_json, struct error *err);

struct place;

/* The place of the newest of those that are chosen. With a key it needs tallymill_admin. */
MUST_CHECK bool dlq_newest(PGconn *conn, const struct dlq_choice *choice, struct place *place, bool *is_there, struct error *err);

/* Says what dlq_replay() would send and leave, without sending any. *count: how many it would send. */
MUST_CHECK bool dlq_dry_run(PGconn *conn, const struct settings *settings, const struct dlq_choice *choice, bool as_json,
                            int64_t *count, struct error *err);

struct dlq_replay {
    int64_t sent, left; /* left: too large for Kafka, each told on stderr */
    json_t *left_list;  /* an array that gets {topic_partition, offset, bytes} of each; NULL: not wanted */
};

/* Publishes the chosen dead letters to the target, byte for byte, oldest place first, and notes replayed_at of each once Kafka has
 * acknowledged it. One that is larger than Kafka takes is named and left; at any other that Kafka does not take it stops. It holds
 * a few MiB, or the largest single one that message.max.bytes allows. Needs tallymill_admin. */
MUST_CHECK bool dlq_replay(PGconn *conn, const struct settings *settings, const struct dlq_choice *choice,
                           struct dlq_replay *replay, struct error *err);

/* Drops the bytes of the dead letters at these places ("3:4711") for good; their places and reasons stay. All or none: a place
 * without a dead letter is ERROR_USAGE, and so is a call without `is_confirmed`. Prints what was done. Needs tallymill_admin. */
MUST_CHECK bool dlq_discard(PGconn *conn, const char *topic, char **places, int count, bool is_confirmed, bool as_json,
                            struct error *err);

#endif
