/* batch_seen.c - see batch_seen.h. */
#include "consumer/batch_seen.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL /* 24 bytes of a known length: in place it is a few multiplications */
#include <xxhash.h>

#include "common/tuple.h"
#include "common/uuid.h"
#include "consumer/batch_row.h"

enum { FEWEST_SLOTS = 1024, TIME_BYTES = 8 };

static const uint8_t *row_id(const struct batch_seen *seen, int row)
{
    return seen->bytes + seen->rows[row].start + TUPLE_ID;
}

static const uint8_t *row_created_at(const struct batch_seen *seen, int row)
{
    return seen->bytes + seen->rows[row].start + TUPLE_CREATED_AT;
}

static uint64_t mark_of(uint64_t hash)
{
    return hash & ~(uint64_t)UINT32_MAX;
}

bool batch_seen_init(struct batch_seen *seen, int max_rows)
{
    uint32_t slots = FEWEST_SLOTS;
    while (slots < (uint32_t)max_rows * 2)
        slots *= 2;
    seen->slots = calloc(slots, sizeof *seen->slots);
    seen->mask = FEWEST_SLOTS - 1;
    return seen->slots != NULL;
}

void batch_seen_free(struct batch_seen *seen)
{
    free(seen->slots);
    seen->slots = NULL;
}

void batch_seen_reset(struct batch_seen *seen)
{
    memset(seen->slots, 0, ((size_t)seen->mask + 1) * sizeof *seen->slots);
}

uint64_t batch_seen_hash(const uint8_t *id, const uint8_t *created_at)
{
    uint8_t identity[UUID_BYTES + TIME_BYTES];
    memcpy(identity, id, UUID_BYTES);
    memcpy(identity + UUID_BYTES, created_at, TIME_BYTES);
    return XXH3_64bits(identity, sizeof identity);
}

uint64_t *batch_seen_slot(const struct batch_seen *seen, uint64_t hash, const uint8_t *id, const uint8_t *created_at)
{
    uint32_t slot = (uint32_t)hash & seen->mask;
    for (uint64_t met; (met = seen->slots[slot]) != 0; slot = (slot + 1) & seen->mask) {
        const int row = batch_seen_row(met);
        if (mark_of(met) == mark_of(hash) && memcmp(row_id(seen, row), id, UUID_BYTES) == 0 &&
            memcmp(row_created_at(seen, row), created_at, TIME_BYTES) == 0)
            break;
    }
    return &seen->slots[slot];
}

uint64_t batch_seen_value(uint64_t hash, int row)
{
    return mark_of(hash) | ((uint32_t)row + 1);
}

int batch_seen_row(uint64_t slot)
{
    return (int)((uint32_t)slot - 1);
}

void batch_seen_prefetch(const struct batch_seen *seen, uint64_t hash)
{
    __builtin_prefetch(&seen->slots[(uint32_t)hash & seen->mask], 1);
}

void batch_seen_rebuild(struct batch_seen *seen, int row_count)
{
    batch_seen_reset(seen);
    for (int row = 0; row < row_count; row++) {
        const uint8_t *id = row_id(seen, row), *created_at = row_created_at(seen, row);
        const uint64_t hash = batch_seen_hash(id, created_at);
        *batch_seen_slot(seen, hash, id, created_at) = batch_seen_value(hash, row);
    }
}

/* At most half full, and no larger than its rows need: a table that fits a near cache. It was allocated for max_rows at once. */
void batch_seen_make_room(struct batch_seen *seen, int row_count)
{
    if ((uint32_t)row_count * 2 <= seen->mask)
        return;
    seen->mask = seen->mask * 2 + 1;
    batch_seen_rebuild(seen, row_count);
}
