/* Batches that are held back: not given up too soon, and not waited for without end. */
#include <criterion/criterion.h>

#include "aggregator/held.h"

Test(held, gives_up_after_enough_tries_and_enough_time)
{
    struct held held = {0};
    cr_expect_not(held_give_up(&held, 7, 0));
    cr_expect_not(held_give_up(&held, 7, 1));
    cr_expect_not(held_give_up(&held, 7, 2), "three tries, but no time has passed");
    cr_expect(held_give_up(&held, 7, HELD_TIME_US));
}

Test(held, gives_up_no_sooner_because_time_alone_has_passed)
{
    struct held held = {0};
    cr_expect_not(held_give_up(&held, 7, 0));
    cr_expect_not(held_give_up(&held, 7, 100 * HELD_TIME_US));
    cr_expect(held_give_up(&held, 7, 100 * HELD_TIME_US));
}

Test(held, starts_over_for_a_batch_that_was_settled)
{
    struct held held = {0};
    held_give_up(&held, 7, 0);
    held_give_up(&held, 8, 0);
    held_give_up(&held, 7, 1);
    held_forget(&held, 7);
    held_forget(&held, 99);
    cr_expect_eq(held.count, 1);
    cr_expect_not(held_give_up(&held, 7, HELD_TIME_US));
}

Test(held, has_room_for_any_number_of_batches)
{
    struct held held = {0};
    for (int64_t batch_id = 0; batch_id < 10 * HELD_BATCHES; batch_id++)
        cr_expect_not(held_give_up(&held, batch_id, 0));
    cr_expect_eq(held.count, HELD_BATCHES);
}

Test(held, gives_batches_up_also_when_more_wait_than_it_has_room_for)
{
    struct held held = {0};
    int given_up = 0;
    for (int64_t cycle = 0; cycle < 4; cycle++)
        for (int64_t batch_id = 0; batch_id < 2 * HELD_BATCHES; batch_id++)
            given_up += held_give_up(&held, batch_id, cycle * HELD_TIME_US);
    cr_expect_eq(given_up, 2 * HELD_BATCHES, "the first ones twice: a batch that is given up is not forgotten by itself");
}

Test(held, makes_room_in_place_of_batches_that_nobody_asks_about_any_more)
{
    struct held held = {0};
    for (int64_t batch_id = 0; batch_id < HELD_BATCHES; batch_id++)
        held_give_up(&held, batch_id, 0);
    held_give_up(&held, HELD_BATCHES, HELD_STALE_US);
    held_give_up(&held, HELD_BATCHES, HELD_STALE_US);
    cr_expect(held_give_up(&held, HELD_BATCHES, HELD_STALE_US + HELD_TIME_US));
}
