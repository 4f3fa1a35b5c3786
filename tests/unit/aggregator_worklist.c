/* The work list: whole batches, in every topic partition a run from where `folded` stands. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/worklist.h"
#include "aggregator_random.h"
#include "common/clock.h"
#include "common/error.h"

static struct worklist list;
static struct error err;

static void init(void)
{
    worklist_init(&list);
}

static void fini(void)
{
    worklist_free(&list);
}

TestSuite(worklist, .init = init, .fini = fini);

static void places(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        cr_assert(worklist_add_place(&list, 0, &err));
}

static void ledger(int64_t batch_id, uint32_t place, int64_t first_offset, int64_t next_offset)
{
    int32_t day = 20000;
    cr_assert(
        worklist_add_batch(&list, place, batch_id, batch_id, first_offset, next_offset, next_offset - first_offset, &day, 1, &err));
}

static enum work_state state_of(int64_t batch_id)
{
    struct work_batch *batch = worklist_find(&list, batch_id);
    cr_assert_not_null(batch);
    return batch->state;
}

Test(worklist, that_is_empty_takes_nothing)
{
    cr_assert(worklist_close(&list, &err));
    worklist_choose(&list, 100);
    worklist_take(&list);
    cr_expect_eq(list.taken_count, 0);
    cr_expect_null(worklist_find(&list, 1));
    cr_expect_not(worklist_excludes(&list, 1));
}

Test(worklist, takes_all_when_all_is_there)
{
    places(2);
    ledger(7, 0, 0, 10);
    ledger(7, 1, 0, 5);
    ledger(5, 1, 5, 9); /* drawn earlier, committed later */
    cr_assert(worklist_close(&list, &err));
    worklist_choose(&list, 1000);
    worklist_take(&list);
    cr_expect_eq(list.taken_count, 2);
    cr_expect(list.places[0].next_offset == 10 && list.places[1].next_offset == 9);
    cr_expect_eq(worklist_find(&list, 7)->expected_rows, 15);
}

Test(worklist, chooses_one_batch_however_large)
{
    places(1);
    ledger(1, 0, 0, 500);
    ledger(2, 0, 500, 501);
    cr_assert(worklist_close(&list, &err));
    worklist_choose(&list, 10);
    cr_expect_eq(state_of(1), WORK_CHOSEN);
    cr_expect_eq(state_of(2), WORK_WAITING);
}

Test(worklist, steps_over_gaps_before_between_and_behind)
{
    places(1);
    cr_assert(worklist_add_gap(&list, 0, 0, 100, &err));
    ledger(1, 0, 100, 110);
    cr_assert(worklist_add_gap(&list, 0, 110, 120, &err));
    ledger(2, 0, 120, 130);
    cr_assert(worklist_add_gap(&list, 0, 130, 140, &err));
    cr_assert(worklist_close(&list, &err));
    worklist_choose(&list, 1000);
    worklist_take(&list);
    cr_expect_eq(list.places[0].next_offset, 140);
}

Test(worklist, leaves_a_held_batch_and_whatever_stands_behind_it)
{
    places(3);
    ledger(1, 0, 0, 10);
    ledger(1, 1, 0, 10);
    ledger(2, 1, 10, 20); /* behind 1 */
    ledger(2, 2, 0, 10);
    ledger(3, 2, 10, 20); /* behind 2 */
    ledger(4, 0, 10, 20); /* behind 1 */
    places(1);
    ledger(5, 3, 0, 10);
    cr_assert(worklist_close(&list, &err));
    worklist_choose(&list, 1000);
    worklist_find(&list, 1)->is_held = true;
    worklist_take(&list);
    cr_expect_eq(list.taken_count, 1);
    cr_expect_eq(state_of(5), WORK_TAKEN);
    cr_expect(worklist_excludes(&list, 1) && worklist_excludes(&list, 4) && !worklist_excludes(&list, 5));
    cr_expect_not(worklist_excludes(&list, 99), "not in the ledger's tail: folded long ago");
    cr_expect(list.places[0].next_offset == 0 && list.places[1].next_offset == 0 && list.places[2].next_offset == 0);
}

Test(worklist, gets_past_a_ledger_in_which_two_batches_wait_for_each_other)
{
    places(2);
    ledger(1, 0, 0, 10);
    ledger(2, 0, 10, 20);
    ledger(2, 1, 0, 10);
    ledger(1, 1, 10, 20);
    cr_assert(worklist_close(&list, &err));
    worklist_choose(&list, 1000);
    worklist_take(&list);
    cr_expect_eq(list.taken_count, 2);
    cr_expect(worklist_find(&list, 1)->is_broken != worklist_find(&list, 2)->is_broken);
    cr_expect(list.places[0].next_offset == 20 && list.places[1].next_offset == 20);
}

Test(worklist, knows_a_merged_interval_by_any_id_in_it)
{
    places(1);
    int32_t days[] = {20000, 20001};
    cr_assert(worklist_add_batch(&list, 0, 100, 199, 0, 50, 50, days, 2, &err));
    ledger(200, 0, 50, 60);
    cr_assert(worklist_close(&list, &err));
    cr_expect_eq(worklist_find(&list, 150), &list.batches[0]);
    cr_expect_eq(worklist_find(&list, 200), &list.batches[1]);
    cr_expect_null(worklist_find(&list, 99));
    cr_expect_null(worklist_find(&list, 201));
}

Test(worklist, gives_the_ranges_of_a_month_and_merges_them_when_there_are_too_many)
{
    places(1);
    int32_t november = clock_days_from_date(2026, 11, 30), december = clock_days_from_date(2026, 12, 1);
    int64_t offset = 0;
    for (int64_t id = 1000; id < 60000; id += 1000, offset++)
        cr_assert(worklist_add_batch(&list, 0, id, id, offset, offset + 1, 1, id % 2000 ? &november : &december, 1, &err));
    cr_assert(worklist_close(&list, &err));
    worklist_choose(&list, 1000);
    struct work_range ranges[4];
    size_t count = worklist_ranges(&list, clock_month_of(november), ranges, 4);
    cr_assert(count >= 1 && count <= 4);
    cr_expect_eq(ranges[0].first_id, 1000);
    cr_expect_eq(ranges[count - 1].last_id, 59000);
    struct work_range many[40];
    cr_expect_eq(worklist_ranges(&list, clock_month_of(december), many, 40), 29);
    cr_expect(many[0].first_id == 2000 && many[0].last_id == 2000 && many[28].last_id == 58000);
    cr_expect_eq(worklist_ranges(&list, clock_month_of(december) + 31, many, 40), 0);
}

/* A random history: commits in some order, each touching some topic partitions, read back in any order. Whatever is held, what is
 * taken must be whole batches and runs. */
static void check_random_history(uint64_t seed)
{
    enum { PLACES = 6, BATCHES = 120 };
    uint64_t state = seed;
    int64_t ids[BATCHES], next[PLACES] = {0};
    bool touches[BATCHES][PLACES] = {0};
    places(PLACES);
    for (int i = 0; i < BATCHES; i++)
        ids[i] = i + 1;
    for (int i = BATCHES - 1; i > 0; i--) { /* ids are not in the order of commits */
        int j = (int)random_below(&state, (uint32_t)i + 1);
        int64_t kept = ids[i];
        ids[i] = ids[j];
        ids[j] = kept;
    }
    for (int i = 0; i < BATCHES; i++) {
        touches[i][random_below(&state, PLACES)] = true;
        for (int place = 0; place < PLACES; place++) {
            touches[i][place] |= random_below(&state, 4) == 0;
            if (!touches[i][place])
                continue;
            ledger(ids[i], (uint32_t)place, next[place], next[place] + 3);
            next[place] += 3;
        }
    }
    cr_assert(worklist_close(&list, &err));
    worklist_choose(&list, (int64_t)random_below(&state, 1200));
    for (int i = 0; i < BATCHES; i++)
        worklist_find(&list, ids[i])->is_held = random_below(&state, 20) == 0;
    worklist_take(&list);

    uint32_t taken = 0;
    bool is_blocked[PLACES] = {0};
    int64_t reached[PLACES] = {0};
    for (int i = 0; i < BATCHES; i++) { /* in the order of commits: taken until something of it is not */
        bool is_taken = state_of(ids[i]) == WORK_TAKEN;
        taken += is_taken;
        for (int place = 0; place < PLACES; place++) {
            if (!touches[i][place])
                continue;
            cr_expect_not(is_taken && is_blocked[place], "seed %llu", (unsigned long long)seed);
            is_blocked[place] |= !is_taken;
            reached[place] += is_taken ? 3 : 0;
        }
    }
    cr_expect_eq(taken, list.taken_count);
    for (int place = 0; place < PLACES; place++)
        cr_expect_eq(list.places[place].next_offset, reached[place]);
    worklist_reset(&list);
}

Test(worklist, takes_whole_batches_and_runs_in_any_history)
{
    for (uint64_t seed = 1; seed <= 300; seed++)
        check_random_history(seed);
}
