/* batch_seen.h - inside of the batch: which (id, created_at) it holds already, as a hash table over its rows.
 *
 * A slot is 0 (free), or a row's number + 1 in its lower half and bits of that row's hash in the upper. Comparing those bits rejects a
 * colliding row without reading its tuple, which is no longer in the cache. Neither is the slot: prefetch it, and do something else
 * before asking.
 */
#ifndef TALLYMILL_BATCH_SEEN_H
#define TALLYMILL_BATCH_SEEN_H

#include <stdint.h>

struct batch;

/* id: 16 bytes; created_at: 8, as in the tuple. */
uint64_t batch_seen_hash(const uint8_t *id, const uint8_t *created_at);
void batch_seen_prefetch(const struct batch *batch, uint64_t hash);

/* Where that row's slot is, or the free one (0) where it would go. Valid until the table changes. */
uint64_t *batch_seen_slot(const struct batch *batch, uint64_t hash, const uint8_t *id, const uint8_t *created_at);

/* What a slot holds for this row. */
uint64_t batch_seen_value(uint64_t hash, int row);

/* Before a row is added: the table grows. */
void batch_seen_make_room(struct batch *batch);

/* After rows have left or moved: the table from the rows that remain. */
void batch_seen_rebuild(struct batch *batch);

#endif
