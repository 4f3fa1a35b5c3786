/* batch_seen.c - see batch_seen.h. */
#include "batch_seen.h"

#include <string.h>

#define XXH_INLINE_ALL /* 24 bytes of a known length: in place it is a few multiplications */
#include <xxhash.h>

#include "batch.h"
#include "uuid.h"

static int seen_row(uint64_t slot)
{
    return (int)((uint32_t)slot - 1); /* -1: empty */
}

static uint64_t seen_mark(uint64_t hash)
{
    return hash & ~(uint64_t)UINT32_MAX;
}

uint64_t batch_seen_hash(const uint8_t *id, const uint8_t *created_at)
{
    uint8_t identity[UUID_BYTES + 8];
    memcpy(identity, id, UUID_BYTES);
    memcpy(identity + UUID_BYTES, created_at, 8);
    return XXH3_64bits(identity, sizeof identity);
}

uint64_t *batch_seen_slot(const struct batch *batch, uint64_t hash, const uint8_t *id, const uint8_t *created_at)
{
    uint32_t slot = (uint32_t)hash & batch->seen_mask;
    for (uint64_t met; (met = batch->seen[slot]) != 0; slot = (slot + 1) & batch->seen_mask) {
        const int row = seen_row(met);
        if (seen_mark(met) == seen_mark(hash) && memcmp(batch_row_id(batch, row), id, UUID_BYTES) == 0 &&
            memcmp(batch_row_created_at(batch, row), created_at, 8) == 0)
            break;
    }
    return &batch->seen[slot];
}

uint64_t batch_seen_value(uint64_t hash, int row)
{
    return seen_mark(hash) | ((uint32_t)row + 1);
}

void batch_seen_prefetch(const struct batch *batch, uint64_t hash)
{
    __builtin_prefetch(&batch->seen[(uint32_t)hash & batch->seen_mask], 1);
}

int batch_find_row(const struct batch *batch, const uint8_t *id, const uint8_t *created_at)
{
    return seen_row(*batch_seen_slot(batch, batch_seen_hash(id, created_at), id, created_at));
}

void batch_seen_rebuild(struct batch *batch)
{
    memset(batch->seen, 0, ((size_t)batch->seen_mask + 1) * sizeof *batch->seen);
    for (int row = 0; row < batch->row_count; row++) {
        const uint8_t *id = batch_row_id(batch, row), *created_at = batch_row_created_at(batch, row);
        const uint64_t hash = batch_seen_hash(id, created_at);
        *batch_seen_slot(batch, hash, id, created_at) = batch_seen_value(hash, row);
    }
}

/* At most half full, and no larger than its rows need: a table that fits a near cache. It was allocated for max_rows at once. */
void batch_seen_make_room(struct batch *batch)
{
    if ((uint32_t)batch->row_count * 2 <= batch->seen_mask)
        return;
    batch->seen_mask = batch->seen_mask * 2 + 1;
    batch_seen_rebuild(batch);
}
