/* The cache: who is put away when memory is short, and who is rebuilt next. */
#include <criterion/criterion.h>
#include <string.h>

#include "aggregator/day_cache.h"
#include "aggregator/identity.h"
#include "aggregator/rebuild_queue.h"
#include "common/clock.h"
#include "common/error.h"

static struct identity identity;
static struct day_cache cache;
static struct error err;
static const int64_t wall_us = INT64_C(1764000000000000);

static void init(void)
{
    cr_assert(identity_init(&identity, &err));
    day_cache_init(&cache, &identity, 1 << 20);
    cache.wall_us = wall_us;
}

static void fini(void)
{
    day_cache_forget(&cache);
    cr_expect_eq(cache.budget.used_bytes, 0);
}

TestSuite(day_cache, .init = init, .fini = fini);
TestSuite(rebuild_queue, .init = init, .fini = fini);

static struct cached_day *known(int32_t number)
{
    struct cached_day *day = day_cache_get(&cache, number, &err);
    cr_assert_not_null(day);
    return day;
}

/* Adds `count` events of sessions from `first` on. False when the day does not fit even alone. */
static bool add(struct cached_day *day, uint64_t count, uint64_t first)
{
    for (uint64_t i = 0; i < count; i++) {
        struct day_event event = {.has_session = true, .session = {first + i, (uint64_t)day->number}};
        if (!day_cache_name(&cache, day, "login", 5, &event.name) || !day_cache_reserve(&cache, day, &event))
            return false;
        day_add(day->sets, &event);
    }
    return true;
}

static struct cached_day *loaded(int32_t number, bool is_closed, uint64_t events)
{
    struct cached_day *day = known(number);
    day->is_closed = is_closed;
    cr_assert(day_cache_load(&cache, day) && add(day, events, 0));
    day_mark_written(day->sets);
    return day;
}

Test(day_cache, finds_days_in_any_order_of_their_coming)
{
    for (int32_t i = 0; i < 500; i++)
        known((i * 7919) % 500 - 250);
    cr_expect_eq(cache.count, 500);
    for (int32_t number = -250; number < 250; number++)
        cr_expect_eq(day_cache_find(&cache, number)->number, number);
    cr_expect_null(day_cache_find(&cache, 250));
    cr_expect_null(day_cache_find(&cache, -251));
}

/* Fills a day until it does not fit even alone; at each step a day that goes earlier (first in `others`) must not outlive one that
 * goes later. */
static void fill(struct cached_day *day, struct cached_day *const *others, size_t count)
{
    bool fits = true;
    for (uint64_t i = 1; fits; i++) {
        fits = add(day, 1, i << 32);
        for (size_t j = 1; j < count; j++)
            cr_assert(others[j]->sets || !others[j - 1]->sets);
    }
}

Test(day_cache, puts_closed_days_away_first_and_then_the_least_recently_touched)
{
    struct cached_day *closed = loaded(1, true, 3000), *stale = loaded(2, false, 3000), *fresh = loaded(3, false, 3000);
    struct cached_day *today = loaded(4, false, 10);
    day_cache_touch(&cache, closed);
    fill(today, (struct cached_day *[]){closed, stale, fresh}, 3);
    cr_expect(!closed->sets && !stale->sets && !fresh->sets);
    cr_expect_eq(closed->wait.reason, REBUILD_NOT, "its figures were written: nothing is lost");
}

Test(day_cache, never_puts_an_open_day_away_for_a_closed_one)
{
    struct cached_day *today = loaded(10, false, 3000), *older = loaded(2, true, 3000), *old = loaded(1, true, 10);
    fill(old, (struct cached_day *[]){older, today}, 2);
    cr_expect(!older->sets && today->sets);
}

Test(day_cache, makes_a_day_wait_whose_figures_were_not_written_when_it_is_put_away)
{
    struct cached_day *early = loaded(1, false, 3000), *today = loaded(2, false, 10);
    cr_assert(add(early, 1, 0));
    fill(today, (struct cached_day *[]){early}, 1);
    cr_expect_eq(early->wait.reason, REBUILD_EVICTED);
    cr_expect_eq(early->wait.since_us, wall_us);
}

Test(day_cache, stays_inside_its_budget)
{
    for (int32_t number = 0; number < 50; number++)
        loaded(number, false, 2000);
    cr_expect_leq(cache.budget.used_bytes, cache.budget.max_bytes);
    const size_t in_memory = day_cache_loaded(&cache);
    cr_expect(in_memory > 0 && in_memory < 50);
    cr_expect_eq(rebuild_queue_length(&cache), 0);
}

Test(rebuild_queue, rebuilds_the_newest_day_first)
{
    for (int32_t number = 1; number <= 3; number++)
        rebuild_queue_want(&cache, known(number), REBUILD_TOUCHED);
    cr_expect_eq(rebuild_queue_next(&cache, 1000, 500, false)->number, 3);
}

Test(rebuild_queue, lets_a_day_that_waited_a_minute_go_before_newer_ones)
{
    rebuild_queue_want(&cache, known(5), REBUILD_TOUCHED);
    rebuild_wait_begin(&known(1)->wait, REBUILD_TOUCHED, wall_us - 61 * CLOCK_SECOND_US);
    rebuild_wait_begin(&known(2)->wait, REBUILD_TOUCHED, wall_us - 90 * CLOCK_SECOND_US);
    cr_expect_eq(rebuild_queue_next(&cache, 1000, 500, false)->number, 2);
}

Test(rebuild_queue, lets_a_day_rest_ten_times_as_long_as_its_rebuild_took)
{
    struct cached_day *day = known(1);
    rebuild_queue_want(&cache, day, REBUILD_TOUCHED);
    day->wait.rebuilt_at_us = 1000;
    day->wait.took_us = 100;
    cr_expect_null(rebuild_queue_next(&cache, 1999, 1500, false));
    cr_expect_eq(rebuild_queue_next(&cache, 2000, 1500, false), day);
    cr_expect_eq(rebuild_queue_next(&cache, 1999, 1500, true), day);
    cr_expect_null(rebuild_queue_next(&cache, 2000, 1000, true), "it had its turn in this cycle");
}

Test(rebuild_queue, keeps_the_first_reason_but_for_the_end_of_the_day)
{
    struct cached_day *day = known(1);
    rebuild_queue_want(&cache, day, REBUILD_CLOSE);
    rebuild_queue_want(&cache, day, REBUILD_FOREIGN);
    rebuild_queue_want(&cache, day, REBUILD_TOUCHED);
    cr_expect_eq(day->wait.reason, REBUILD_FOREIGN);
}

Test(day_cache, reads_the_reasons_that_it_writes)
{
    for (int reason = REBUILD_TOUCHED; reason <= REBUILD_ASKED; reason++)
        cr_expect_eq(rebuild_reason_parse(rebuild_reason_text(reason)), (enum rebuild_reason)reason);
    cr_expect_eq(rebuild_reason_parse("erased"), REBUILD_ASKED);
    cr_expect_eq(rebuild_reason_parse(""), REBUILD_ASKED);
}
