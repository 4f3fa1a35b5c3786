/* The shelf: who is put away when memory is short, and who is rebuilt next. */
#include <criterion/criterion.h>
#include <string.h>

#include "aggregator/identity.h"
#include "aggregator/shelf.h"
#include "common/clock.h"
#include "common/error.h"

static struct identity identity;
static struct shelf shelf;
static struct error err;
static const int64_t wall_us = INT64_C(1764000000000000);

static void init(void)
{
    cr_assert(identity_init(&identity, &err));
    shelf_init(&shelf, &identity, 1 << 20);
    shelf.wall_us = wall_us;
}

static void fini(void)
{
    shelf_forget(&shelf);
    cr_expect_eq(shelf.budget.used_bytes, 0);
}

TestSuite(shelf, .init = init, .fini = fini);

static struct shelf_day *known(int32_t number)
{
    struct shelf_day *day = shelf_get(&shelf, number, &err);
    cr_assert_not_null(day);
    return day;
}

/* Adds `count` events of sessions from `first` on. False when the day does not fit even alone. */
static bool add(struct shelf_day *day, uint64_t count, uint64_t first)
{
    for (uint64_t i = 0; i < count; i++) {
        struct day_event event = {.has_session = true, .session = {first + i, (uint64_t)day->number}};
        if (!shelf_name(&shelf, day, "login", 5, &event.name) || !shelf_reserve(&shelf, day, &event))
            return false;
        day_add(day->sets, &event);
    }
    return true;
}

static struct shelf_day *loaded(int32_t number, bool is_closed, uint64_t events)
{
    struct shelf_day *day = known(number);
    day->is_closed = is_closed;
    cr_assert(shelf_load(&shelf, day) && add(day, events, 0));
    day_mark_written(day->sets);
    return day;
}

Test(shelf, finds_days_in_any_order_of_their_coming)
{
    for (int32_t i = 0; i < 500; i++)
        known((i * 7919) % 500 - 250);
    cr_expect_eq(shelf.count, 500);
    for (int32_t number = -250; number < 250; number++)
        cr_expect_eq(shelf_find(&shelf, number)->number, number);
    cr_expect_null(shelf_find(&shelf, 250));
    cr_expect_null(shelf_find(&shelf, -251));
}

/* Fills a day until it does not fit even alone; at each step a day that goes earlier (first in `others`) must not outlive one that
 * goes later. */
static void fill(struct shelf_day *day, struct shelf_day *const *others, size_t count)
{
    bool fits = true;
    for (uint64_t i = 1; fits; i++) {
        fits = add(day, 1, i << 32);
        for (size_t j = 1; j < count; j++)
            cr_assert(others[j]->sets || !others[j - 1]->sets);
    }
}

Test(shelf, puts_closed_days_away_first_and_then_the_least_recently_touched)
{
    struct shelf_day *closed = loaded(1, true, 3000), *stale = loaded(2, false, 3000), *fresh = loaded(3, false, 3000);
    struct shelf_day *today = loaded(4, false, 10);
    shelf_touch(&shelf, closed);
    fill(today, (struct shelf_day *[]){closed, stale, fresh}, 3);
    cr_expect(!closed->sets && !stale->sets && !fresh->sets);
    cr_expect_eq(closed->reason, REBUILD_NOT, "its figures were written: nothing is lost");
}

Test(shelf, never_puts_an_open_day_away_for_a_closed_one)
{
    struct shelf_day *today = loaded(10, false, 3000), *older = loaded(2, true, 3000), *old = loaded(1, true, 10);
    fill(old, (struct shelf_day *[]){older, today}, 2);
    cr_expect(!older->sets && today->sets);
}

Test(shelf, makes_a_day_wait_whose_figures_were_not_written_when_it_is_put_away)
{
    struct shelf_day *early = loaded(1, false, 3000), *today = loaded(2, false, 10);
    cr_assert(add(early, 1, 0));
    fill(today, (struct shelf_day *[]){early}, 1);
    cr_expect_eq(early->reason, REBUILD_EVICTED);
    cr_expect_eq(early->waiting_since_us, wall_us);
}

Test(shelf, stays_inside_its_budget)
{
    for (int32_t number = 0; number < 50; number++)
        loaded(number, false, 2000);
    cr_expect_leq(shelf.budget.used_bytes, shelf.budget.max_bytes);
    size_t in_memory, waiting;
    shelf_count(&shelf, &in_memory, &waiting);
    cr_expect(in_memory > 0 && in_memory < 50 && waiting == 0);
}

Test(shelf, rebuilds_the_newest_day_first)
{
    for (int32_t number = 1; number <= 3; number++)
        shelf_want(&shelf, known(number), REBUILD_TOUCHED);
    cr_expect_eq(shelf_next(&shelf, 1000, 500, false)->number, 3);
}

Test(shelf, lets_a_day_that_waited_a_minute_go_before_newer_ones)
{
    shelf_want(&shelf, known(5), REBUILD_TOUCHED);
    shelf_want_since(known(1), REBUILD_TOUCHED, wall_us - 61 * CLOCK_SECOND_US);
    shelf_want_since(known(2), REBUILD_TOUCHED, wall_us - 90 * CLOCK_SECOND_US);
    cr_expect_eq(shelf_next(&shelf, 1000, 500, false)->number, 2);
}

Test(shelf, lets_a_day_rest_ten_times_as_long_as_its_rebuild_took)
{
    struct shelf_day *day = known(1);
    shelf_want(&shelf, day, REBUILD_TOUCHED);
    day->rebuilt_at_us = 1000;
    day->rebuild_us = 100;
    cr_expect_null(shelf_next(&shelf, 1999, 1500, false));
    cr_expect_eq(shelf_next(&shelf, 2000, 1500, false), day);
    cr_expect_eq(shelf_next(&shelf, 1999, 1500, true), day);
    cr_expect_null(shelf_next(&shelf, 2000, 1000, true), "it had its turn in this cycle");
}

Test(shelf, keeps_the_first_reason_but_for_the_end_of_the_day)
{
    struct shelf_day *day = known(1);
    shelf_want(&shelf, day, REBUILD_CLOSE);
    shelf_want(&shelf, day, REBUILD_FOREIGN);
    shelf_want(&shelf, day, REBUILD_TOUCHED);
    cr_expect_eq(day->reason, REBUILD_FOREIGN);
}

Test(shelf, reads_the_reasons_that_it_writes)
{
    for (int reason = REBUILD_TOUCHED; reason <= REBUILD_ASKED; reason++)
        cr_expect_eq(rebuild_reason_parse(rebuild_reason_text(reason)), (enum rebuild_reason)reason);
    cr_expect_eq(rebuild_reason_parse("erased"), REBUILD_ASKED);
    cr_expect_eq(rebuild_reason_parse(""), REBUILD_ASKED);
}
