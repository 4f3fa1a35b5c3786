/* top_look.h - what `tallymill top` knows: one look after the other, and the rates between them. One thread. */
#ifndef TALLYMILL_OPERATOR_TOP_LOOK_H
#define TALLYMILL_OPERATOR_TOP_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>

#include "common/error.h"
#include "operator/backlog.h"

struct settings;

enum { TOP_HISTORY = 60 };

/* What the ledger's own checks found: what `tallymill audit` says of the books alone. */
struct top_books {
    PGresult *totals; /* a row a topic; NULL: never known */
    int64_t damages;
    char damage[ERROR_TEXT_BYTES];  /* the first of them */
    char trouble[ERROR_TEXT_BYTES]; /* why they could not be checked at the last try; "" */
    int64_t tried_us, checked_us;   /* monotonic; 0: never */
};

/* What was seen of one topic partition at the looks before. */
struct top_log {
    int64_t next_offset;
    double rate; /* offsets a second since the look before */
};

struct top {
    const struct settings *settings;
    PGconn *conn; /* NULL: to be opened at the next look */
    rd_kafka_t *client;
    PGresult *positions, *statistics, *dead_letters, *sessions; /* of the last look that got them; NULL before */
    struct top_books books;                                     /* each minute: the ledger may be long */
    struct backlog backlog;                                     /* as Kafka told last */
    struct top_log *logs;                                       /* log_count of them */
    int log_count;
    int64_t positions_us;                         /* monotonic: when the positions were read; 0: never */
    int64_t dead_letters_us, kafka_us;            /* monotonic: when they were asked last */
    double rates[TOP_HISTORY], lags[TOP_HISTORY]; /* of all topic partitions, the newest last */
    int rate_count, lag_count;
    char postgres_silence[ERROR_TEXT_BYTES], kafka_silence[ERROR_TEXT_BYTES]; /* why a server did not answer at the last look; "" */
    bool is_kafka_away; /* else it answered, and kafka_silence says why that tells no lag */
};

/* Asks both servers, each question with a deadline of two or three seconds. What one does not answer stays as it was, and its
 * silence says why. False: ERROR_USAGE, which no waiting mends (no schema, a login that is refused). */
MUST_CHECK bool top_look(struct top *top, int64_t now_us, struct error *err);
void top_free(struct top *top);

#endif
