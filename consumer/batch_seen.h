/* batch_seen.h - which (id, created_at) a batch holds already: a hash table over its rows. Knows their tuples, and nothing else of
 * the batch.
 *
 * A slot is 0 (free), or a row's number + 1 in its lower half and bits of that row's hash in the upper. Comparing those bits
 * rejects a colliding row without reading its tuple, which is no longer in the cache. Neither is the slot: prefetch it, and do
 * something else before asking.
 */
#ifndef TALLYMILL_CONSUMER_BATCH_SEEN_H
#define TALLYMILL_CONSUMER_BATCH_SEEN_H

#include <stdbool.h>
#include <stdint.h>

struct batch_row;

/* The caller says whose rows; the rest is filled by batch_seen_init. */
struct batch_seen {
    uint64_t *slots;
    uint32_t mask;                /* of the slots in use, a power of two less 1 */
    const uint8_t *bytes;         /* borrowed: what the rows' `start` counts from */
    const struct batch_row *rows; /* borrowed; both stay where they are until batch_seen_free */
};

/* Empty, with room for max_rows. False without memory. */
bool batch_seen_init(struct batch_seen *seen, int max_rows);
void batch_seen_free(struct batch_seen *seen);
void batch_seen_reset(struct batch_seen *seen);

/* id: 16 bytes; created_at: 8, as in the tuple. */
uint64_t batch_seen_hash(const uint8_t *id, const uint8_t *created_at);
void batch_seen_prefetch(const struct batch_seen *seen, uint64_t hash);

/* Where that row's slot is, or the free one (0) where it would go. Valid until the table changes. */
uint64_t *batch_seen_slot(const struct batch_seen *seen, uint64_t hash, const uint8_t *id, const uint8_t *created_at);

/* What a slot holds for this row; which row a slot holds, -1: none. */
uint64_t batch_seen_value(uint64_t hash, int row);
int batch_seen_row(uint64_t slot);

/* Before a row is added behind row_count of them: the table grows. */
void batch_seen_make_room(struct batch_seen *seen, int row_count);

/* After rows have left or moved: the table from the row_count that remain. */
void batch_seen_rebuild(struct batch_seen *seen, int row_count);

#endif
