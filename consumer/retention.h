/* retention.h - how long the topic keeps its messages (retention.ms), asked of the broker without waiting.
 *
 * Only to warn in time. A login that may not read the topic's configuration leaves it unknown, which is a warning, once. Main
 * thread.
 */
#ifndef TALLYMILL_CONSUMER_RETENTION_H
#define TALLYMILL_CONSUMER_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

struct retention {
    rd_kafka_queue_t *answers; /* NULL: nothing was asked, or it is answered */
    int64_t keeps_us;          /* 0: unknown, or for ever */
    bool is_told;              /* that it is unknown */
};

/* Asks; an answer that is still to come is dropped. */
void retention_ask(struct retention *retention, rd_kafka_t *handle, const char *topic);

/* Takes the answer if it is there. handle, topic: as it was asked. */
void retention_look(struct retention *retention, rd_kafka_t *handle, const char *topic);

/* Before the handle is closed. */
void retention_reset(struct retention *retention);

#endif
