/* batch.h - the events waiting for one transaction, encoded, with the offsets they cover.
 *
 * A batch holds, for each topic partition it touches, a range [first_offset, next_offset) in which every offset has one outcome: a
 * row, a duplicate, a dead letter, or skipped. A row that Postgres refuses needs its message's bytes again: of messages that became
 * rows a copy is kept, a third of what librdkafka holds for one; only those of dead letters stay as they came, until batch_reset.
 * Nothing is allocated per event; a batch belongs to one thread.
 */
#ifndef TALLYMILL_CONSUMER_BATCH_H
#define TALLYMILL_CONSUMER_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "common/anchor.h"
#include "common/delta.h"
#include "common/error.h"
#include "common/reason.h"
#include "consumer/batch_row.h"
#include "consumer/batch_seen.h"

struct transcoder;

enum { DEAD_DETAIL_BYTES = 96 };

/* A message as it came. Borrowed from the batch until batch_reset. */
struct original {
    int32_t topic_partition;
    int64_t offset;
    int64_t message_ms;      /* Kafka's time of it; below 0: none */
    const void *key, *value; /* NULL: none */
    size_t key_length, value_length;
};

struct batch_dead {
    struct original original;
    rd_kafka_message_t *message; /* that it lies in, owned by the batch; NULL: in batch->kept */
    uint32_t range;
    enum reason reason;
    char detail[DEAD_DETAIL_BYTES];
};

struct batch_range {
    int32_t topic_partition;
    int64_t epoch; /* of the claim it is committed under; set by the caller before the transaction */
    int64_t first_offset, next_offset;
    int64_t stored, duplicates, dead_letters, skipped;
    int64_t conflicts;                      /* of stored: rows that this attempt found in the table already */
    int64_t anchor_offset;                  /* the last message of the range, or of an earlier batch; -1: none yet */
    uint8_t anchor_hash[ANCHOR_HASH_BYTES]; /* of that message, once the batch is sealed */
    const uint8_t *anchor_value;            /* what the hash is still to be taken of, in batch->kept; NULL: it is taken */
    size_t anchor_length;
    uint32_t place, moved_to; /* while ranges are sorted */
    int32_t *days;            /* UTC days of its rows, each once, unordered */
    int day_count, day_capacity;
};

/* What became of its offsets, over all ranges. */
struct batch_totals {
    int64_t stored, duplicates, dead_letters, skipped;
};

struct batch {
    uint8_t *bytes; /* COPY header, then the tuples of rows in order, back to back */
    size_t used, capacity;
    uint8_t *kept; /* messages of rows, back to back, one more than `capacity` bytes of them */
    size_t kept_used;
    struct batch_row *rows;
    struct batch_dead *dead;
    struct batch_range *ranges; /* sorted by topic_partition once sealed */
    int row_count, dead_count, range_count;
    int max_rows, max_ranges;
    int64_t newest_append_ms;                                /* of its messages that a broker has dated; 0: none */
    int clamped_count;                                       /* rows that are known by their id alone */
    int64_t oldest_us, newest_us;                            /* the window that they were clamped to */
    size_t message_bytes;                                    /* of its messages: keys, values, headers */
    size_t held_bytes;                                       /* of those that stay as they came */
    struct batch_seen seen;                                  /* repeats inside the batch */
    struct delta delta;                                      /* what its rows add to the daily statistics, if all of them are new */
    int64_t unknown_events, unknown_keys, broken_attributes; /* for the metrics */
};

/* Room for max_rows events, up to `capacity` bytes of tuples, and as many of messages. NULL and ERROR_RETRY without memory. */
MUST_CHECK struct batch *batch_new(int max_rows, size_t capacity, struct error *err);
void batch_free(struct batch *batch);

/* Empties it. */
void batch_reset(struct batch *batch);

bool batch_is_empty(const struct batch *batch); /* covers no offset */

/* No room for another event of any size: send it first. */
bool batch_is_full(const struct batch *batch);

/* Adds a message at its offset, which must be at or above the range's next_offset; the offsets between are skipped. `next_offset`
 * is where the topic partition stood before when the batch does not know it yet. Takes the message over. False without memory
 * (ERROR_RETRY): the message is still the caller's. */
MUST_CHECK bool batch_add(struct batch *batch, struct transcoder *transcoder, rd_kafka_message_t *message, int64_t next_offset,
                          struct error *err);

/* Credits [next_offset, end) as skipped: Kafka has no message there. */
MUST_CHECK bool batch_skip(struct batch *batch, int32_t topic_partition, int64_t next_offset, int64_t end, struct error *err);

/* What the books say of a range: rows that this attempt found in the table already are duplicates. */
static inline int64_t batch_range_stored(const struct batch_range *range)
{
    return range->stored - range->conflicts;
}

static inline int64_t batch_range_duplicates(const struct batch_range *range)
{
    return range->duplicates + range->conflicts;
}

struct batch_totals batch_totals(const struct batch *batch);

/* The range of a topic partition, or NULL. Valid until the batch changes. */
struct batch_range *batch_find_range(const struct batch *batch, int32_t topic_partition);

/* Takes everything of a topic partition out. False: what is left must not be stored as it stands, because it counts repeats whose
 * only row may just have left; read it again from the ledger. */
bool batch_drop(struct batch *batch, int32_t topic_partition);

/* Turns row number `row` into a dead letter. Its number stays taken, and means nothing, until batch_compact, which must come before
 * the batch is used for anything else. */
MUST_CHECK bool batch_kill_row(struct batch *batch, int row, enum reason reason, const char *detail, struct error *err);
void batch_compact(struct batch *batch);

/* Counts row number `row` as a duplicate; otherwise as above. */
void batch_repeat_row(struct batch *batch, int row);

/* What its rows add to the daily statistics; NULL: no delta (common/delta.h says when). Valid until the batch changes. */
const uint8_t *batch_delta(struct batch *batch, size_t *length);

/* Writes the batch id into the tuples that begin before `end`, from row number `row` on; returns the number of the row behind them.
 * In steps, because a tuple that is about to be sent has to come near anyway. */
int batch_set_id(struct batch *batch, int row, size_t end, int64_t batch_id);

/* The message of row number `row`. */
struct original batch_original(const struct batch *batch, int row);

/* The id (16 bytes) and created_at (8 bytes, network order) of a row, in its tuple. */
const uint8_t *batch_row_id(const struct batch *batch, int row);
const uint8_t *batch_row_created_at(const struct batch *batch, int row);

/* The number of the row with that id and created_at (as in the tuple), or -1. */
int batch_find_row(const struct batch *batch, const uint8_t *id, const uint8_t *created_at);

/* What only a batch that goes needs: the anchors' hashes (one a range, not one a message), its ranges sorted by topic
 * partition, as the fence asks. More may be added afterwards; then it is sealed again. */
void batch_seal(struct batch *batch);

#endif
