/* held.c - a bounded list. When it is full, a batch that was not tried for a while makes room (another leader took it, or a leap
 * passed it); else the newcomer waits. Letting the oldest go instead would livelock: with more batches held at once than the list
 * is long, none would grow old.
 *
 * Rejected: counting cycles alone. With a backlog cycles follow each other in milliseconds, sooner than the rows of a slow node
 * appear.
 */
#include "aggregator/held.h"

#include <string.h>

static struct held_batch *find(struct held *held, int64_t batch_id)
{
    for (int i = 0; i < held->count; i++)
        if (held->batches[i].batch_id == batch_id)
            return &held->batches[i];
    return NULL;
}

static void drop(struct held *held, struct held_batch *batch)
{
    struct held_batch *end = held->batches + held->count;
    memmove(batch, batch + 1, (size_t)(end - batch - 1) * sizeof *batch);
    held->count--;
}

/* Drops the first batch that nobody has asked about for long; false when all are alive. */
static bool drop_stale(struct held *held, int64_t now_us)
{
    for (int i = 0; i < held->count; i++) {
        if (now_us - held->batches[i].tried_us >= HELD_STALE_US) {
            drop(held, &held->batches[i]);
            return true;
        }
    }
    return false;
}

bool held_give_up(struct held *held, int64_t batch_id, int64_t now_us)
{
    struct held_batch *batch = find(held, batch_id);
    if (!batch) {
        if (held->count == HELD_BATCHES && !drop_stale(held, now_us))
            return false;
        batch = &held->batches[held->count++];
        *batch = (struct held_batch){.batch_id = batch_id, .since_us = now_us};
    }
    batch->tried_us = now_us;
    batch->tries++;
    return batch->tries >= HELD_TRIES && now_us - batch->since_us >= HELD_TIME_US;
}

void held_forget(struct held *held, int64_t batch_id)
{
    struct held_batch *batch = find(held, batch_id);
    if (batch)
        drop(held, batch);
}
