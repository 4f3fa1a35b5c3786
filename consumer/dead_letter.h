/* dead_letter.h - a bad event as a tuple of COPY tallymill.dead_letters. */
#ifndef TALLYMILL_CONSUMER_DEAD_LETTER_H
#define TALLYMILL_CONSUMER_DEAD_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

struct batch_dead;

#define DEAD_LETTER_COLUMNS                                                                                                        \
    "batch_id, topic, topic_partition, kafka_offset, reason, detail, message_key, message_value, message_time, emptied_at"

/* Room for one encoded dead letter, which grows as needed; zeroed at first, its bytes are the caller's to free. */
struct dead_letter_buffer {
    uint8_t *bytes;
    size_t capacity;
};

/* Encodes one and hands it to libpq, within COPY. What is larger than WIRE_KEPT_BYTES goes in with its place and without its bytes,
 * emptied now. False: no memory, or as PQputCopyData. */
bool dead_letter_send(struct dead_letter_buffer *buffer, PGconn *conn, const struct batch_dead *dead, const char *topic,
                      int64_t batch_id);

#endif
