/* What is done about a batch that was not committed, row by row of the table "What fails how" in consumer/README.md: by SQLSTATE,
 * whose rule it was, at which step, and how often it was tried. */
#include <criterion/criterion.h>

#include "common/postgres.h"
#include "consumer/failure_plan.h"

static struct failure_facts facts_of(const char *sqlstate, enum failure_step step, enum failure_owner owner)
{
    return (struct failure_facts){.sqlstate = sqlstate, .kind = postgres_kind(sqlstate), .step = step, .owner = owner, .tries = 1};
}

static enum failure_plan plan(const char *sqlstate, enum failure_step step, enum failure_owner owner)
{
    const struct failure_facts facts = facts_of(sqlstate, step, owner);
    return failure_plan(&facts);
}

static enum failure_plan then(const char *sqlstate, enum error_kind kind)
{
    struct error err = {.kind = kind};
    strcpy(err.sqlstate, sqlstate);
    return failure_plan_then(&err);
}

/* id stored before */

Test(failure_plan, takes_only_our_own_key_for_a_duplicate)
{
    cr_expect_eq(plan("23505", FAILURE_ROWS, OWNER_KEY), PLAN_BY_INSERT);
    cr_expect_eq(plan("23505", FAILURE_COMMIT, OWNER_KEY), PLAN_BY_INSERT, "its constraint was made deferrable");
    cr_expect_eq(plan("23505", FAILURE_ROWS, OWNER_USER), PLAN_SEARCH);
    cr_expect_eq(plan("23505", FAILURE_COMMIT, OWNER_USER), PLAN_SEARCH, "a deferred one");
    cr_expect_eq(plan("23505", FAILURE_DEAD_LETTERS, OWNER_USER), PLAN_AGAIN);
}

Test(failure_plan, does_not_send_by_insert_what_was_refused_by_insert)
{
    const struct failure_facts facts = {
        .sqlstate = "23505", .kind = ERROR_REJECT, .step = FAILURE_ROWS, .owner = OWNER_KEY, .by_insert = true, .tries = 2};
    cr_expect_eq(failure_plan(&facts), PLAN_SEARCH);
}

Test(failure_plan, looks_up_what_is_stored_where_the_table_takes_no_on_conflict)
{
    static const char *const codes[] = {"0A000", "55000"}; /* a rule, a deferrable twin of the key */
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct failure_facts facts = facts_of(codes[i], FAILURE_ROWS, OWNER_SERVER);
        facts.by_insert = facts.has_constraint = true; /* the twin is named, and so is taken for somebody's rule */
        facts.owner = i == 1 ? OWNER_USER : OWNER_SERVER;
        cr_expect_eq(failure_plan(&facts), PLAN_BY_LOOK_UP, "%s", codes[i]);
        facts.owner = OWNER_USER;
        facts.was_raised = true;
        cr_expect_neq(failure_plan(&facts), PLAN_BY_LOOK_UP, "%s: RAISEd, which is about a row", codes[i]);
        facts = facts_of(codes[i], FAILURE_ROWS, OWNER_SERVER);
        facts.by_look_up = true;
        cr_expect_neq(failure_plan(&facts), PLAN_BY_LOOK_UP, "%s: not twice", codes[i]);
    }
    struct failure_facts facts = facts_of("23505", FAILURE_ROWS, OWNER_KEY);
    facts.by_look_up = true;
    cr_expect_eq(failure_plan(&facts), PLAN_AGAIN, "stored by another meanwhile: looked up again, behind a pause");
}

/* the books hold the offset */

Test(failure_plan, reads_the_ledger_ten_times_when_the_books_hold_an_offset_and_then_asks_for_a_person)
{
    static const enum failure_step steps[] = {FAILURE_COMMIT, FAILURE_DEAD_LETTERS};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct failure_facts facts = facts_of("23505", steps[i], OWNER_BOOKS);
        for (facts.taken_offsets = 0; facts.taken_offsets < 10; facts.taken_offsets++)
            cr_expect_eq(failure_plan(&facts), PLAN_READ_LEDGER, "time %d", facts.taken_offsets);
        cr_expect_eq(failure_plan(&facts), PLAN_DISAGREE);
    }
}

/* month missing */

Test(failure_plan, makes_a_missing_month_however_often_it_could_not_be_made_and_rests_where_it_was_made_in_vain)
{
    struct failure_facts facts = {.sqlstate = "23514", .kind = ERROR_RETRY, .step = FAILURE_ROWS, .owner = OWNER_SERVER};
    for (facts.tries = 1; facts.tries <= 100; facts.tries++)
        cr_expect_eq(failure_plan(&facts), PLAN_MAKE_MONTHS);
    for (facts.months_made = 1; facts.months_made < 3; facts.months_made++)
        cr_expect_eq(failure_plan(&facts), PLAN_MAKE_MONTHS);
    cr_expect_eq(failure_plan(&facts), PLAN_MONTHS_AGAIN);
    facts.owner = OWNER_USER;
    cr_expect_eq(failure_plan(&facts), PLAN_SEARCH, "a trigger may raise that code too");
    facts = (struct failure_facts){
        .sqlstate = "23514", .kind = ERROR_REJECT, .step = FAILURE_ROWS, .owner = OWNER_USER, .has_constraint = true};
    cr_expect_eq(failure_plan(&facts), PLAN_SEARCH);
}

Test(failure_plan, waits_for_a_month_that_was_detached_by_hand)
{
    cr_expect_eq(then("TM007", postgres_kind("TM007")), PLAN_AGAIN);
}

Test(failure_plan, judges_what_making_a_month_or_the_search_met_by_its_sqlstate)
{
    cr_expect_eq(then("40P01", ERROR_RETRY), PLAN_AGAIN);
    cr_expect_eq(then("25006", ERROR_RETRY), PLAN_RECONNECT, "demoted meanwhile");
    cr_expect_eq(then("42883", ERROR_USAGE), PLAN_RECONNECT, "migrated meanwhile");
    cr_expect_eq(then("42501", ERROR_USAGE), PLAN_STOP);
    cr_expect_eq(then("42501", ERROR_RETRY), PLAN_AGAIN, "a file that the server may not open");
    cr_expect_eq(then("", ERROR_FATAL), PLAN_STOP, "too many rows are refused");
}

/* row refused by somebody else's rule, or kept out */

Test(failure_plan, believes_somebodys_code_whatever_sqlstate_it_raises)
{
    static const char *const states[] = {"P0002", "XX000", "42501", "42P01", "22P04", "0A000", "P0001", "U1234"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        cr_expect_eq(plan(states[i], FAILURE_ROWS, OWNER_USER), PLAN_SEARCH, "%s", states[i]);
        cr_expect_eq(plan(states[i], FAILURE_COMMIT, OWNER_USER), PLAN_SEARCH, "%s", states[i]);
        cr_expect_eq(plan(states[i], FAILURE_DEAD_LETTERS, OWNER_USER), PLAN_AGAIN, "%s", states[i]);
    }
}

Test(failure_plan, searches_for_rows_that_a_trigger_kept_out_without_a_word)
{
    struct failure_facts facts = {.sqlstate = "", .kind = ERROR_REJECT, .step = FAILURE_ROWS, .owner = OWNER_USER, .tries = 1};
    cr_expect_eq(failure_plan(&facts), PLAN_SEARCH);
    facts =
        (struct failure_facts){.sqlstate = "", .kind = ERROR_RETRY, .step = FAILURE_DEAD_LETTERS, .owner = OWNER_USER, .tries = 1};
    cr_expect_eq(failure_plan(&facts), PLAN_AGAIN, "of the dead letters");
}

Test(failure_plan, stops_past_five_percent_of_the_last_thousand_rows_and_the_batch_at_hand)
{
    cr_expect_eq(failure_most_refused(0, 0, 10), 50, "a few rows are no sample");
    cr_expect_eq(failure_most_refused(900, 0, 100), 50);
    cr_expect_eq(failure_most_refused(1000, 0, 9000), 500);
    cr_expect_eq(failure_most_refused(1000, 30, 9000), 470, "those before count too");
    cr_expect_eq(failure_most_refused(0, 50, 10), 0);
    cr_expect_eq(failure_most_refused(1000, 5000, 100), 0, "never less than none");
}

/* a refusal that no row by itself repeats; a dead letter that is refused */

Test(failure_plan, waits_when_the_search_found_no_row)
{
    cr_expect_eq(then("", ERROR_NONE), PLAN_AGAIN);
}

Test(failure_plan, waits_where_a_dead_letter_is_refused)
{
    cr_expect_eq(plan("22021", FAILURE_DEAD_LETTERS, OWNER_SERVER), PLAN_AGAIN);
    cr_expect_eq(plan("23514", FAILURE_DEAD_LETTERS, OWNER_USER), PLAN_AGAIN);
}

/* a trigger or a rule on our own books */

Test(failure_plan, waits_while_somebodys_trigger_keeps_the_books_from_being_written)
{
    cr_expect_eq(plan("TM010", FAILURE_COMMIT, OWNER_BOOKS), PLAN_AGAIN);
    cr_expect_eq(plan("TM010", FAILURE_DEAD_LETTERS, OWNER_BOOKS), PLAN_AGAIN);
}

/* what the server itself says inside a trigger */

Test(failure_plan, tries_again_what_the_server_says_for_want_of_something_even_inside_a_trigger)
{
    struct failure_facts facts = {
        .sqlstate = "53100", .kind = ERROR_RETRY, .step = FAILURE_ROWS, .owner = OWNER_USER, .tries = 1000};
    cr_expect_eq(failure_plan(&facts), PLAN_AGAIN);
    facts.was_raised = true;
    cr_expect_eq(failure_plan(&facts), PLAN_SEARCH);
    for (facts.tries = 1; facts.tries < 4; facts.tries++)
        cr_expect_eq(failure_plan(&facts), PLAN_AGAIN, "it is given the chance to pass");
    cr_expect_eq(failure_plan(&facts), PLAN_SEARCH, "the fourth time");
}

/* fenced */

Test(failure_plan, leaves_what_is_fenced_only_at_the_word_of_our_own_books)
{
    cr_expect_eq(plan("TM001", FAILURE_COMMIT, OWNER_BOOKS), PLAN_FENCED);
    cr_expect_eq(plan("TM001", FAILURE_ROWS, OWNER_USER), PLAN_AGAIN, "a trigger may raise that code too");
    for (enum failure_step step = FAILURE_BEGIN; step <= FAILURE_COMMIT; step++)
        cr_expect_neq(plan("TM001", step, OWNER_USER), PLAN_FENCED);
    cr_expect_eq(plan("TM004", FAILURE_COMMIT, OWNER_BOOKS), PLAN_STOP);
}

/* the delta is refused */

Test(failure_plan, goes_on_without_a_delta_that_is_refused_for_whatever_reason)
{
    static const char *const states[] = {"XX000", "42501", "42P01", "22P02", "23505", "TM010", ""};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        for (enum failure_owner owner = OWNER_SERVER; owner <= OWNER_USER; owner++)
            cr_expect_eq(plan(states[i], FAILURE_DELTA, owner), PLAN_AGAIN, "%s", states[i]);
}

/* deadlock, time-out, disk full, too many connections */

Test(failure_plan, tries_the_same_batch_again_after_what_passes)
{
    static const char *const states[] = {"40P01", "40001", "57014", "55P03", "53100", "53300", "57P01", "08006", ""};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        for (enum failure_step step = FAILURE_BEGIN; step <= FAILURE_COMMIT; step++)
            cr_expect_eq(plan(states[i], step, OWNER_SERVER), PLAN_AGAIN, "%s", states[i]);
}

Test(failure_plan, takes_the_keys_in_order_once_they_crossed)
{
    for (enum failure_step step = FAILURE_BEGIN; step <= FAILURE_COMMIT; step++) {
        const struct failure_facts crossed = facts_of("40P01", step, OWNER_SERVER), full = facts_of("53100", step, OWNER_SERVER);
        cr_expect(failure_wants_insert(&crossed));
        cr_expect_not(failure_wants_insert(&full));
    }
}

/* connection lost, COMMIT unanswered */

Test(failure_plan, forgets_a_batch_whose_fate_is_not_known_whatever_was_said_last)
{
    static const char *const states[] = {"", "57P01", "23505", "TM001", "XX000"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        for (enum failure_step step = FAILURE_BEGIN; step <= FAILURE_COMMIT; step++)
            for (enum failure_owner owner = OWNER_SERVER; owner <= OWNER_USER; owner++) {
                struct failure_facts facts = facts_of(states[i], step, owner);
                facts.is_lost = true;
                cr_expect_eq(failure_plan(&facts), PLAN_FORGET, "%s", states[i]);
            }
}

/* the server was demoted; the schema is another; a right is missing; what nobody knows */

Test(failure_plan, connects_again_where_another_server_or_schema_may_be_and_stops_for_what_nobody_knows)
{
    static const char *const others[] = {"25006", "42P01", "42703", "42883", "42P10"}, *const unknown[] = {"XX000", "TM004",
                                                                                                           "42501"};
    for (enum failure_step step = FAILURE_BEGIN; step <= FAILURE_COMMIT; step++) {
        if (step == FAILURE_DELTA)
            continue;
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            cr_expect_eq(plan(others[i], step, OWNER_SERVER), PLAN_RECONNECT, "%s", others[i]);
        for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
            cr_expect_eq(plan(unknown[i], step, OWNER_SERVER), PLAN_STOP, "%s", unknown[i]);
    }
    cr_expect_eq(error_exit_code(&(struct error){.kind = postgres_kind("42501")}), 2);
    cr_expect_eq(error_exit_code(&(struct error){.kind = postgres_kind("XX000")}), 3);
    cr_expect_eq(plan("XX000", FAILURE_COMMIT, OWNER_BOOKS), PLAN_STOP);
}
