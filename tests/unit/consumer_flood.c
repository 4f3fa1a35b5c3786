/* When dead letters are a flood, and when it is over. */
#include <criterion/criterion.h>

#include "consumer/flood.h"

static const int64_t S = 1000000, WINDOW = 60000000;

Test(flood, is_no_flood_with_few_dead_letters_whatever_their_share)
{
    struct flood flood = {0};
    cr_expect_not(flood_add(&flood, 99, 99, WINDOW, 10, 100 * S));
    cr_expect(flood_add(&flood, 1, 1, WINDOW, 10, 101 * S));
    cr_expect_eq(flood_percent(&flood), 100);
}

Test(flood, is_a_share_above_the_limit_and_not_at_it)
{
    struct flood flood = {0};
    cr_expect_not(flood_add(&flood, 10000, 1000, WINDOW, 10, 100 * S));
    cr_expect(flood_add(&flood, 1, 1, WINDOW, 10, 100 * S));
    struct flood all = {0};
    cr_expect_not(flood_add(&all, 10000, 10000, WINDOW, 100, 100 * S), "a limit of all of them is never passed");
}

Test(flood, is_over_once_its_window_has_passed)
{
    struct flood flood = {0};
    cr_expect(flood_add(&flood, 200, 200, WINDOW, 10, 100 * S));
    cr_expect(flood_look(&flood, WINDOW, 10, 129 * S));
    cr_expect(flood_look(&flood, WINDOW, 10, 131 * S), "the half before still counts");
    cr_expect_not(flood_look(&flood, WINDOW, 10, 162 * S));
}

Test(flood, is_forgotten_after_a_long_silence)
{
    struct flood flood = {0};
    cr_expect(flood_add(&flood, 200, 200, WINDOW, 10, 100 * S));
    cr_expect_not(flood_look(&flood, WINDOW, 10, 1000 * S));
    cr_expect_eq(flood_percent(&flood), 0);
}
