/* worklist.c - a walk over all topic partitions at once: a batch is ready when it is first in each of its own.
 *
 * Invariant: after worklist_choose() and worklist_take(), next_offset of each place is the end of a run of entries that begins at
 * start_offset and holds exactly the chosen (taken) batches and gaps. The walk looks at every entry once: linear in the length of
 * the list.
 *
 * Rejected: taking batches in order of batch_id, which is drawn before the batch and so is not the order of commits; cutting the
 * list by committed_at, which is a wall clock's word. Where batches wait and none can be chosen (each comes first in one
 * topic partition and not in another: only a ledger that was tampered with has such a circle), one of them is taken as broken
 * rather than waited for.
 */
#include "aggregator/worklist.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"

void worklist_init(struct worklist *list)
{
    *list = (struct worklist){0};
}

void worklist_reset(struct worklist *list)
{
    list->entry_count = list->batch_count = list->place_count = list->day_count = list->taken_count = list->found = 0;
    list->chosen_rows = 0;
}

void worklist_free(struct worklist *list)
{
    free(list->entries);
    free(list->batches);
    free(list->places);
    free(list->days);
    free(list->queue);
    worklist_init(list);
}

/* Makes room for `more` elements behind `count`. */
static bool widen(void *array_pointer, uint32_t *capacity, uint32_t count, uint32_t more, size_t size, struct error *err)
{
    if (*capacity - count >= more)
        return true;
    uint64_t wider = *capacity ? *capacity : 64;
    while (wider - count < more)
        wider *= 2;
    void *array;
    memcpy(&array, array_pointer, sizeof array);
    array = wider <= UINT32_MAX ? realloc(array, wider * size) : NULL;
    if (!array)
        return error_set(err, ERROR_RETRY, "no memory for the work list (%llu entries)", (unsigned long long)wider);
    memcpy(array_pointer, &array, sizeof array);
    *capacity = (uint32_t)wider;
    return true;
}

bool worklist_add_place(struct worklist *list, int64_t next_offset, struct error *err)
{
    if (!widen(&list->places, &list->place_capacity, list->place_count, 1, sizeof *list->places, err))
        return false;
    list->places[list->place_count++] = (struct work_place){.start_offset = next_offset, .next_offset = next_offset};
    return true;
}

static bool add_entry(struct worklist *list, const struct work_entry *entry, struct error *err)
{
    if (entry->place >= list->place_count)
        return error_set(err, ERROR_FATAL, "ledger row of an unknown topic partition (number %u)", (unsigned)entry->place);
    if (!widen(&list->entries, &list->entry_capacity, list->entry_count, 1, sizeof *list->entries, err))
        return false;
    list->entries[list->entry_count++] = *entry;
    return true;
}

bool worklist_add_batch(struct worklist *list, uint32_t place, int64_t first_id, int64_t last_id, int64_t first_offset,
                        int64_t next_offset, int64_t stored, const int32_t *days, uint32_t day_count, struct error *err)
{
    if (!widen(&list->days, &list->day_capacity, list->day_count, day_count, sizeof *list->days, err))
        return false;
    struct work_entry entry = {.first_offset = first_offset,
                               .next_offset = next_offset,
                               .first_id = first_id,
                               .last_id = last_id,
                               .stored = stored,
                               .place = place,
                               .first_day = list->day_count,
                               .day_count = day_count};
    if (!add_entry(list, &entry, err))
        return false;
    if (day_count > 0)
        memcpy(list->days + list->day_count, days, day_count * sizeof *days);
    list->day_count += day_count;
    return true;
}

bool worklist_add_gap(struct worklist *list, uint32_t place, int64_t first_offset, int64_t next_offset, struct error *err)
{
    struct work_entry entry = {
        .first_offset = first_offset, .next_offset = next_offset, .place = place, .batch = WORK_NONE, .is_gap = true};
    return add_entry(list, &entry, err);
}

static int compare(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_place(const void *left, const void *right)
{
    const struct work_entry *a = left, *b = right;
    int order = compare(a->place, b->place);
    return order ? order : compare(a->first_offset, b->first_offset);
}

static int by_id(const void *left, const void *right)
{
    const struct work_batch *a = left, *b = right;
    int order = compare(a->first_id, b->first_id);
    return order ? order : compare(a->first_entry, b->first_entry);
}

/* Each entry as a batch of its own; sorted, those with the same first id become one. */
static bool group_batches(struct worklist *list, struct error *err)
{
    if (!widen(&list->batches, &list->batch_capacity, 0, list->entry_count, sizeof *list->batches, err))
        return false;
    for (uint32_t i = 0; i < list->entry_count; i++) {
        struct work_entry *entry = &list->entries[i];
        if (!entry->is_gap)
            list->batches[list->batch_count++] =
                (struct work_batch){.first_id = entry->first_id, .last_id = entry->last_id, .first_entry = i};
    }
    if (list->batch_count == 0)
        return true;
    qsort(list->batches, list->batch_count, sizeof *list->batches, by_id);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->batch_count; i++) {
        struct work_batch single = list->batches[i];
        struct work_entry *entry = &list->entries[single.first_entry];
        if (kept == 0 || list->batches[kept - 1].first_id != single.first_id) {
            list->batches[kept++] =
                (struct work_batch){.first_id = single.first_id, .last_id = single.last_id, .first_entry = WORK_NONE};
        }
        struct work_batch *batch = &list->batches[kept - 1];
        if (single.last_id > batch->last_id)
            batch->last_id = single.last_id;
        batch->expected_rows += entry->stored;
        batch->entry_count++;
        entry->batch = kept - 1;
        entry->next_of_batch = batch->first_entry;
        batch->first_entry = single.first_entry;
    }
    list->batch_count = kept;
    return true;
}

bool worklist_close(struct worklist *list, struct error *err)
{
    if (list->entry_count > 0)
        qsort(list->entries, list->entry_count, sizeof *list->entries, by_place);
    uint32_t at = 0;
    for (uint32_t i = 0; i < list->place_count; i++) {
        list->places[i].first_entry = at;
        while (at < list->entry_count && list->entries[at].place == i)
            at++;
        list->places[i].end_entry = at;
    }
    return group_batches(list, err) && widen(&list->queue, &list->queue_capacity, 0, list->place_count, sizeof *list->queue, err);
}

/* A ring in which each place stands at most once. */
struct ring {
    uint32_t *places;
    uint32_t size, first, used;
};

static void ring_put(struct ring *ring, uint32_t place)
{
    ring->places[(ring->first + ring->used++) % ring->size] = place;
}

static uint32_t ring_get(struct ring *ring)
{
    uint32_t place = ring->places[ring->first];
    ring->first = (ring->first + 1) % ring->size;
    ring->used--;
    return place;
}

static void pass_head(struct worklist *list, struct ring *ring, uint32_t number)
{
    struct work_place *place = &list->places[number];
    if (list->entries[place->head].next_offset > place->next_offset)
        place->next_offset = list->entries[place->head].next_offset;
    place->head++;
    ring_put(ring, number);
}

static void pass_batch(struct worklist *list, struct ring *ring, struct work_batch *batch, enum work_state state)
{
    batch->state = state;
    list->chosen_rows += batch->expected_rows;
    list->taken_count += state == WORK_TAKEN;
    for (uint32_t at = batch->first_entry; at != WORK_NONE; at = list->entries[at].next_of_batch) {
        uint32_t number = list->entries[at].place;
        if (list->places[number].head == at)
            pass_head(list, ring, number);
    }
}

/* Looks at the entry that is now first in a place; passes it if it can be. */
static void look_at_head(struct worklist *list, struct ring *ring, uint32_t number, enum work_state from, enum work_state to,
                         int64_t max_rows)
{
    struct work_place *place = &list->places[number];
    if (place->head == place->end_entry)
        return;
    struct work_entry *entry = &list->entries[place->head];
    if (entry->is_gap) {
        pass_head(list, ring, number);
        return;
    }
    struct work_batch *batch = &list->batches[entry->batch];
    if (batch->state == to) { /* a broken one, which was passed where it was first */
        pass_head(list, ring, number);
        return;
    }
    if (batch->state != from || batch->is_held || ++batch->heads < batch->entry_count)
        return;
    if (list->chosen_rows > 0 && batch->expected_rows > max_rows - list->chosen_rows)
        return;
    pass_batch(list, ring, batch, to);
}

static void walk(struct worklist *list, enum work_state from, enum work_state to, int64_t max_rows)
{
    struct ring ring = {.places = list->queue, .size = list->place_count};
    list->chosen_rows = 0;
    for (uint32_t i = 0; i < list->batch_count; i++)
        list->batches[i].heads = 0;
    for (uint32_t i = 0; i < list->place_count; i++) {
        struct work_place *place = &list->places[i];
        place->head = place->first_entry;
        place->next_offset = place->start_offset;
        ring_put(&ring, i);
    }
    while (ring.used > 0) /* ends: every turn passes an entry or drops a place from the ring */
        look_at_head(list, &ring, ring_get(&ring), from, to, max_rows);
}

/* Nothing could be chosen though batches wait: the first one there is gets through with the rows that are first. */
static void force_one(struct worklist *list)
{
    for (uint32_t i = 0; i < list->place_count; i++) {
        struct work_place *place = &list->places[i];
        if (place->head == place->end_entry)
            continue;
        struct work_batch *batch = &list->batches[list->entries[place->head].batch];
        batch->is_broken = true;
        batch->entry_count = batch->heads;
        return;
    }
}

void worklist_choose(struct worklist *list, int64_t max_rows)
{
    if (list->place_count == 0)
        return;
    walk(list, WORK_WAITING, WORK_CHOSEN, max_rows);
    bool is_any = false;
    for (uint32_t i = 0; i < list->batch_count && !is_any; i++)
        is_any = list->batches[i].state == WORK_CHOSEN;
    if (!is_any && list->batch_count > 0) {
        force_one(list);
        walk(list, WORK_WAITING, WORK_CHOSEN, max_rows);
    }
}

void worklist_take(struct worklist *list)
{
    list->taken_count = 0;
    if (list->place_count > 0)
        walk(list, WORK_CHOSEN, WORK_TAKEN, INT64_MAX);
}

struct work_batch *worklist_find(struct worklist *list, int64_t batch_id)
{
    if (list->batch_count == 0)
        return NULL;
    struct work_batch *last = &list->batches[list->found];
    if (last->first_id <= batch_id && batch_id <= last->last_id)
        return last;
    uint32_t low = 0, high = list->batch_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (list->batches[middle].first_id <= batch_id)
            low = middle;
        else
            high = middle;
    }
    struct work_batch *batch = &list->batches[low];
    if (batch_id < batch->first_id || batch_id > batch->last_id)
        return NULL;
    list->found = low;
    return batch;
}

static bool is_other_month(void *month, int32_t day)
{
    return clock_month_of(day) != *(const int32_t *)month;
}

/* The ranges when ids up to `gap` apart are read in one go; counts on past capacity without writing. */
static size_t ranges_with_gap(const struct worklist *list, int32_t month, struct work_range *ranges, size_t capacity, int64_t gap)
{
    size_t count = 0;
    int64_t last_id = 0;
    for (uint32_t i = 0; i < list->batch_count; i++) {
        const struct work_batch *batch = &list->batches[i];
        if (batch->state != WORK_CHOSEN || batch->is_read || worklist_each_day(list, batch, is_other_month, &month))
            continue;
        if (count == 0 || batch->first_id - last_id > gap) {
            if (count < capacity)
                ranges[count].first_id = batch->first_id;
            count++;
        }
        last_id = batch->last_id;
        if (count <= capacity)
            ranges[count - 1].last_id = last_id;
    }
    return count;
}

struct only_day {
    int32_t month, day;
    bool is_any;
};

/* False: it is a second one. */
static bool note_day(void *context, int32_t day)
{
    struct only_day *only = context;
    if (clock_month_of(day) != only->month)
        return true;
    bool is_first = !only->is_any;
    only->is_any = true;
    if (is_first)
        only->day = day;
    return only->day == day;
}

bool worklist_only_day(const struct worklist *list, int32_t month, int32_t *day)
{
    struct only_day only = {.month = month};
    for (uint32_t i = 0; i < list->batch_count; i++)
        if (list->batches[i].state == WORK_CHOSEN && !list->batches[i].is_read &&
            !worklist_each_day(list, &list->batches[i], note_day, &only))
            return false;
    *day = only.day;
    return only.is_any;
}

size_t worklist_ranges(const struct worklist *list, int32_t month, struct work_range *ranges, size_t capacity)
{
    for (int64_t gap = 16;; gap = gap > INT64_MAX / 16 ? INT64_MAX : gap * 16) { /* ends: at last everything is one range */
        size_t count = ranges_with_gap(list, month, ranges, capacity, gap);
        if (count <= capacity)
            return count;
    }
}

bool worklist_each_day(const struct worklist *list, const struct work_batch *batch, bool (*visit)(void *context, int32_t day),
                       void *context)
{
    for (uint32_t at = batch->first_entry; at != WORK_NONE; at = list->entries[at].next_of_batch) {
        const struct work_entry *entry = &list->entries[at];
        for (uint32_t i = 0; i < entry->day_count; i++)
            if (!visit(context, list->days[entry->first_day + i]))
                return false;
    }
    return true;
}
