/* Batches that are held back: not given up too soon, and not waited for without end. */
#include <criterion/criterion.h>

#include "held.h"

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
