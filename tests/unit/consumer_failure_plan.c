/* What is done about a batch that was rolled back: by SQLSTATE, whose rule it was, and how often it was tried. */
#include <criterion/criterion.h>

#include "common/postgres.h"
#include "consumer/failure_plan.h"

static enum failure_plan plan(const char *sqlstate, enum failure_step step, enum failure_owner owner)
{
    return failure_plan(&(struct failure_facts){.sqlstate = sqlstate, .kind = postgres_kind(sqlstate), .step = step, .owner = owner, .tries = 1});
}

Test(failure_plan, takes_only_our_own_key_for_a_duplicate)
{
    cr_expect_eq(plan("23505", FAILURE_ROWS, OWNER_KEY), FAILURE_BY_INSERT);
    cr_expect_eq(plan("23505", FAILURE_ROWS, OWNER_USER), FAILURE_SEARCH);
    cr_expect_eq(plan("23505", FAILURE_COMMIT, OWNER_USER), FAILURE_SEARCH, "a deferred one");
    cr_expect_eq(plan("23505", FAILURE_COMMIT, OWNER_BOOKS), FAILURE_READ_LEDGER);
    cr_expect_eq(plan("23505", FAILURE_DEAD_LETTERS, OWNER_BOOKS), FAILURE_READ_LEDGER);
    cr_expect_eq(plan("23505", FAILURE_DEAD_LETTERS, OWNER_USER), FAILURE_AGAIN);
}

Test(failure_plan, does_not_send_by_insert_what_was_refused_by_insert)
{
    const struct failure_facts facts = {
        .sqlstate = "23505", .kind = ERROR_REJECT, .step = FAILURE_ROWS, .owner = OWNER_KEY, .by_insert = true, .tries = 2};
    cr_expect_eq(failure_plan(&facts), FAILURE_SEARCH);
}

Test(failure_plan, makes_a_missing_month_three_times_and_then_waits)
{
    struct failure_facts facts = {.sqlstate = "23514", .kind = ERROR_RETRY, .step = FAILURE_ROWS, .owner = OWNER_SERVER};
    for (facts.tries = 1; facts.tries <= 3; facts.tries++)
        cr_expect_eq(failure_plan(&facts), FAILURE_MAKE_MONTHS);
    cr_expect_eq(failure_plan(&facts), FAILURE_AGAIN);
    facts.owner = OWNER_USER;
    cr_expect_eq(failure_plan(&facts), FAILURE_SEARCH, "a trigger may raise that code too");
    facts = (struct failure_facts){.sqlstate = "23514", .kind = ERROR_REJECT, .step = FAILURE_ROWS, .owner = OWNER_USER, .has_constraint = true};
    cr_expect_eq(failure_plan(&facts), FAILURE_SEARCH);
}

Test(failure_plan, believes_somebodys_code_whatever_sqlstate_it_raises)
{
    static const char *const states[] = {"P0002", "XX000", "42501", "42P01", "22P04", "0A000", "P0001", "U1234"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        cr_expect_eq(plan(states[i], FAILURE_ROWS, OWNER_USER), FAILURE_SEARCH, "%s", states[i]);
        cr_expect_eq(plan(states[i], FAILURE_COMMIT, OWNER_USER), FAILURE_SEARCH, "%s", states[i]);
        cr_expect_eq(plan(states[i], FAILURE_DEAD_LETTERS, OWNER_USER), FAILURE_AGAIN, "%s", states[i]);
    }
}

Test(failure_plan, tries_again_what_the_server_says_for_want_of_something_even_inside_a_trigger)
{
    struct failure_facts facts = {.sqlstate = "53100", .kind = ERROR_RETRY, .step = FAILURE_ROWS, .owner = OWNER_USER, .tries = 1000};
    cr_expect_eq(failure_plan(&facts), FAILURE_AGAIN);
    facts.was_raised = true;
    cr_expect_eq(failure_plan(&facts), FAILURE_SEARCH);
    facts.tries = 1;
    cr_expect_eq(failure_plan(&facts), FAILURE_AGAIN, "it is given the chance to pass");
}

Test(failure_plan, stops_for_what_nobody_knows)
{
    for (enum failure_step step = FAILURE_BEGIN; step <= FAILURE_COMMIT; step++) {
        if (step == FAILURE_DELTA)
            continue;
        cr_expect_eq(plan("XX000", step, OWNER_SERVER), FAILURE_STOP);
        cr_expect_eq(plan("42501", step, OWNER_SERVER), FAILURE_STOP);
        cr_expect_eq(plan("40001", step, OWNER_SERVER), FAILURE_AGAIN);
        cr_expect_eq(plan("", step, OWNER_SERVER), FAILURE_AGAIN);
        cr_expect_eq(plan("25006", step, OWNER_SERVER), FAILURE_RECONNECT);
        cr_expect_eq(plan("42P01", step, OWNER_SERVER), FAILURE_RECONNECT);
    }
    cr_expect_eq(plan("XX000", FAILURE_COMMIT, OWNER_BOOKS), FAILURE_STOP);
    cr_expect_eq(plan("TM001", FAILURE_COMMIT, OWNER_BOOKS), FAILURE_FENCED);
    cr_expect_eq(plan("TM004", FAILURE_COMMIT, OWNER_BOOKS), FAILURE_STOP);
}

Test(failure_plan, waits_where_a_dead_letter_is_refused)
{
    cr_expect_eq(plan("22021", FAILURE_DEAD_LETTERS, OWNER_SERVER), FAILURE_AGAIN);
    cr_expect_eq(plan("23514", FAILURE_DEAD_LETTERS, OWNER_USER), FAILURE_AGAIN);
    cr_expect_eq(plan("XX000", FAILURE_DELTA, OWNER_BOOKS), FAILURE_AGAIN, "the delta is left out");
}
