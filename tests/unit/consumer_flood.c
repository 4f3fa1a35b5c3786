/* When dead letters are a flood, when it is over, and what the policy does about it. */
#include <criterion/criterion.h>

#include "common/error.h"
#include "consumer/flood.h"

static const int64_t S = 1000000;
static const struct flood_rules RULES = {.window_us = 60000000, .max_percent = 10};

static bool add(struct flood *flood, const struct flood_rules *rules, int64_t events, int64_t dead, int64_t now_us)
{
    flood_add(flood, rules, "events", events, dead, now_us);
    return flood->is_on;
}

static bool look(struct flood *flood, int64_t now_us)
{
    flood_look(flood, &RULES, "events", now_us);
    return flood->is_on;
}

Test(flood, is_no_flood_with_few_dead_letters_whatever_their_share)
{
    struct flood flood = {0};
    cr_expect_not(add(&flood, &RULES, 99, 99, 100 * S));
    cr_expect(add(&flood, &RULES, 1, 1, 101 * S));
    cr_expect_eq(flood_percent(&flood), 100);
}

Test(flood, is_a_share_above_the_limit_and_not_at_it)
{
    struct flood flood = {0};
    cr_expect_not(add(&flood, &RULES, 10000, 1000, 100 * S));
    cr_expect(add(&flood, &RULES, 1, 1, 100 * S));
    struct flood all = {0};
    const struct flood_rules rules = {.window_us = 60 * S, .max_percent = 100};
    cr_expect_not(add(&all, &rules, 10000, 10000, 100 * S), "a limit of all of them is never passed");
}

Test(flood, is_over_once_its_window_has_passed)
{
    struct flood flood = {0};
    cr_expect(add(&flood, &RULES, 200, 200, 100 * S));
    cr_expect(look(&flood, 129 * S));
    cr_expect(look(&flood, 131 * S), "the half before still counts");
    cr_expect_not(look(&flood, 162 * S));
}

Test(flood, is_forgotten_after_a_long_silence)
{
    struct flood flood = {0};
    cr_expect(add(&flood, &RULES, 200, 200, 100 * S));
    cr_expect_not(look(&flood, 1000 * S));
    cr_expect_eq(flood_percent(&flood), 0);
}

Test(flood, slows_by_the_dead_letters_of_the_batch_and_never_for_long)
{
    const struct flood_rules rules = {.policy = FLOOD_SLOW, .window_us = 60 * S, .max_percent = 10};
    struct flood flood = {0};
    add(&flood, &rules, 200, 200, 100 * S);
    cr_expect_eq(flood.slow_until_us, 102 * S);
    add(&flood, &rules, 100, 0, 103 * S);
    cr_expect_eq(flood.slow_until_us, 102 * S, "a batch without any pays nothing");
    add(&flood, &rules, 100000, 100000, 103 * S);
    cr_expect_eq(flood.slow_until_us, 133 * S);
    struct flood other = {0};
    add(&other, &RULES, 200, 200, 100 * S);
    cr_expect_eq(other.slow_until_us, 0, "another policy");
}

Test(flood, stops_only_by_its_policy_and_while_it_is_on)
{
    const struct flood_rules rules = {.policy = FLOOD_STOP, .window_us = 60 * S, .max_percent = 10};
    struct flood flood = {0};
    struct error err = {0};
    add(&flood, &rules, 99, 99, 100 * S);
    cr_expect(flood_allows(&flood, &rules, "events", &err));
    add(&flood, &rules, 1, 1, 100 * S);
    cr_expect(flood_allows(&flood, &RULES, "events", &err));
    cr_expect_not(flood_allows(&flood, &rules, "events", &err));
    cr_expect_eq(err.kind, ERROR_FATAL);
}
