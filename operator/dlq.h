/* dlq.h - the dead letters of a topic: which ones are meant, and sending them again. Private to dlq*.c. */
#ifndef TALLYMILL_DLQ_H
#define TALLYMILL_DLQ_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "error.h"

struct settings;

/* What the command line picks; NULL: not restricted. Borrowed. */
struct dlq_choice {
    const char *topic;
    const char *reason;
    const char *topic_partition, *offset; /* numbers as text, checked */
    bool with_replayed;                   /* also those sent again before; in lists also those whose bytes were dropped */
};

struct dlq_replay {
    int64_t sent, failed;
};

/* Publishes the chosen dead letters to the topic, byte for byte, oldest place first, and notes replayed_at of each once Kafka has
 * acknowledged it. Stops at the first that Kafka does not take. Needs tallymill_admin. */
bool dlq_replay(PGconn *conn, const struct settings *settings, const struct dlq_choice *choice, struct dlq_replay *replay,
                struct error *err);

#endif
