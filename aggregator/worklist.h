/* worklist.h - the ledger rows that are not folded yet, and which batches of them this cycle takes.
 *
 * A batch has one ledger row for each topic partition it touched. What is taken must be whole batches, and in every topic partition
 * a run of rows without a gap from where `folded` stands; else `folded` could not say what is in the statistics. The list holds
 * everything that is unfolded in the snapshot (the caller sees to it), so the commit order, whatever it was, is one way through:
 * there is always a batch that is first in all of its topic partitions. Pure: no I/O. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_WORKLIST_H
#define TALLYMILL_AGGREGATOR_WORKLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum work_state {
    WORK_WAITING, /* for a later cycle */
    WORK_CHOSEN,  /* its rows are to be read */
    WORK_TAKEN,   /* its rows are there: it goes into the statistics with this cycle */
};

/* A range of batch ids (one batch, or an interval that was merged into one) whose rows belong together. */
struct work_batch {
    int64_t first_id, last_id;
    int64_t expected_rows; /* stored, over its ledger rows */
    int64_t counted_rows;  /* filled by whoever reads the rows */
    uint32_t first_entry;  /* chained by work_entry.next_of_batch */
    uint32_t entry_count, heads;
    enum work_state state;
    bool has_delta; /* the caller: there is one, to be deleted once the batch is taken */
    bool is_read;   /* the caller: its rows are counted, from the delta */
    bool is_held;   /* the caller: not in this cycle, its rows are not all there */
    bool is_broken; /* its rows cannot be trusted to be what the ledger says: its days are rebuilt instead */
};

struct work_entry {
    int64_t first_offset, next_offset, first_id, last_id, stored;
    uint32_t place, batch, next_of_batch;
    uint32_t first_day, day_count; /* in worklist->days */
    bool is_gap;
};

/* One topic partition. */
struct work_place {
    int64_t start_offset; /* where `folded` stands */
    int64_t next_offset;  /* where it will stand with what is chosen or taken */
    uint32_t first_entry, end_entry, head;
};

struct worklist {
    struct work_entry *entries;
    struct work_batch *batches; /* sorted by first_id */
    struct work_place *places;
    int32_t *days;
    uint32_t *queue;
    uint32_t entry_count, batch_count, place_count, day_count;
    uint32_t entry_capacity, batch_capacity, place_capacity, day_capacity, queue_capacity;
    uint32_t taken_count, found; /* found: the last batch that worklist_find() gave */
    int64_t chosen_rows;
};

enum { WORK_NONE = UINT32_MAX };

void worklist_init(struct worklist *list);
void worklist_reset(struct worklist *list); /* empty; keeps its memory */
void worklist_free(struct worklist *list);

/* Fills the list: places first, in order of their number; then entries in any order. False: ERROR_RETRY, no memory. days: since
 * 1970, copied. */
MUST_CHECK bool worklist_add_place(struct worklist *list, int64_t next_offset, struct error *err);
MUST_CHECK bool worklist_add_batch(struct worklist *list, uint32_t place, int64_t first_id, int64_t last_id, int64_t first_offset,
                                   int64_t next_offset, int64_t stored, const int32_t *days, uint32_t day_count, struct error *err);
MUST_CHECK bool worklist_add_gap(struct worklist *list, uint32_t place, int64_t first_offset, int64_t next_offset,
                                 struct error *err);

/* Sorts it and groups ledger rows into batches. Call once, when it is filled. */
MUST_CHECK bool worklist_close(struct worklist *list, struct error *err);

/* Chooses batches in an order in which they may have been committed, up to max_rows rows but at least one batch. */
void worklist_choose(struct worklist *list, int64_t max_rows);

/* Of the chosen batches, takes those that are not held and stand behind no held one. */
void worklist_take(struct worklist *list);

/* The batch that a row's batch_id belongs to, or NULL. Quick when asked for the same again. */
struct work_batch *worklist_find(struct worklist *list, int64_t batch_id);

/* Whether the rows of this batch are committed, but not part of the statistics after this cycle. */
static inline bool worklist_excludes(struct worklist *list, int64_t batch_id)
{
    if (list->taken_count == list->batch_count)
        return false;
    const struct work_batch *batch = worklist_find(list, batch_id);
    return batch && batch->state != WORK_TAKEN;
}

struct work_range {
    int64_t first_id, last_id;
};

/* The ids of the chosen batches that are not read yet and have rows in the month that begins with this day, as at most `capacity`
 * ranges, which may hold other ids between. Returns their number. */
size_t worklist_ranges(const struct worklist *list, int32_t month, struct work_range *ranges, size_t capacity);

/* Whether all days of those batches in that month are one; then that is it. */
bool worklist_only_day(const struct worklist *list, int32_t month, int32_t *day);

/* Calls `visit` for each day of the batch (a day may come twice) until it returns false; returns that. */
bool worklist_each_day(const struct worklist *list, const struct work_batch *batch, bool (*visit)(void *context, int32_t day),
                       void *context);

#endif
