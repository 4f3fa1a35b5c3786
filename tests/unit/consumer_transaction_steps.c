/* Which steps a batch's transaction takes, and in which order: by what the batch holds, the way its rows go, and what the server
 * has answered so far. */
#include <criterion/criterion.h>

#include "consumer/batch.h"
#include "consumer/transaction_steps.h"

/* A batch of a few rows, too few for a delta; the steps of one that holds nothing else. */
static struct transaction_steps steps_of(struct batch *batch, enum transaction_way way)
{
    struct transaction_steps steps = {.topic = "events"};
    transaction_steps_begin(&steps, NULL, batch, way);
    return steps;
}

static void expect_steps(const struct transaction_steps *steps, const enum transaction_step *wanted)
{
    enum transaction_step step = STEP_BEGIN;
    for (int i = 0; step != STEP_COMMIT; i++) {
        step = transaction_steps_next(steps, step);
        cr_assert_eq(step, wanted[i], "step %d behind BEGIN is number %d, not %d", i + 1, (int)step, (int)wanted[i]);
    }
}

#define EXPECT_STEPS(steps, ...) expect_steps(steps, (const enum transaction_step[]){__VA_ARGS__, STEP_COMMIT})

Test(transaction_steps, of_an_empty_batch_are_begin_and_commit)
{
    struct batch batch = {0};
    for (enum transaction_way way = BY_COPY; way <= BY_LOOK_UP; way++) {
        struct transaction_steps steps = steps_of(&batch, way);
        steps.has_trigger = true;
        expect_steps(&steps, (const enum transaction_step[]){STEP_COMMIT});
    }
}

Test(transaction_steps, of_rows_are_those_of_their_way)
{
    struct batch batch = {.row_count = 3};
    struct transaction_steps steps = steps_of(&batch, BY_COPY);
    EXPECT_STEPS(&steps, STEP_COPY);
    steps = steps_of(&batch, BY_LOOK_UP);
    EXPECT_STEPS(&steps, STEP_STORED, STEP_COPY);
    steps = steps_of(&batch, BY_INSERT);
    EXPECT_STEPS(&steps, STEP_INSERT);
    steps.missing_count = 1;
    EXPECT_STEPS(&steps, STEP_INSERT, STEP_LOOK_UP);
}

Test(transaction_steps, copy_nothing_once_all_rows_were_found_to_be_stored)
{
    struct batch batch = {.row_count = 3, .clamped_count = 1, .dead_count = 1};
    struct transaction_steps steps = steps_of(&batch, BY_LOOK_UP);
    cr_expect_eq(transaction_steps_next(&steps, STEP_BEGIN), STEP_CLAMPED);
    cr_expect_eq(transaction_steps_next(&steps, STEP_CLAMPED), STEP_STORED);
    batch.row_count = 0;
    cr_expect_eq(transaction_steps_next(&steps, STEP_CLAMPED), STEP_DEAD_LETTERS);
    cr_expect_eq(transaction_steps_next(&steps, STEP_STORED), STEP_DEAD_LETTERS);
}

Test(transaction_steps, compare_what_a_trigger_may_have_changed_after_all_of_it_has_fired)
{
    struct batch batch = {.row_count = 3, .dead_count = 2};
    struct transaction_steps steps = steps_of(&batch, BY_COPY);
    steps.has_trigger = true;
    EXPECT_STEPS(&steps, STEP_COPY, STEP_AT_ONCE, STEP_COMPARE, STEP_DEAD_LETTERS);
}

Test(transaction_steps, begin_anew_with_another_batch)
{
    struct batch_range range = {.conflicts = 5};
    struct batch batch = {.row_count = 3, .ranges = &range, .range_count = 1};
    struct transaction_steps steps = {.has_trigger = true, .is_committed = true, .batch_id = 7, .missing_count = 2};
    error_set(&steps.failure.error, ERROR_RETRY, "of the batch before");
    transaction_steps_begin(&steps, NULL, &batch, BY_INSERT);
    cr_expect_not(transaction_steps_have_failed(&steps));
    cr_expect_not(steps.is_committed);
    cr_expect_eq(range.conflicts, 0, "they are counted anew at each attempt");
    EXPECT_STEPS(&steps, STEP_INSERT);
}

/* 64 rows and more have a delta; one that could not be written is left out of 99 batches, the next try the first of them. */
Test(transaction_steps, leave_the_delta_out_of_ninety_nine_batches_after_one_was_refused)
{
    struct batch batch = {.row_count = 3};
    struct transaction_steps steps = steps_of(&batch, BY_COPY);
    PGresult *refused = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);
    transaction_steps_fail(&steps, STEP_DELTA, refused);
    PQclear(refused);
    cr_assert(transaction_steps_have_failed(&steps));
    cr_expect_eq(steps.failure.step, FAILURE_DELTA);
    int without = 0;
    for (transaction_steps_begin(&steps, NULL, &batch, BY_COPY); steps.without_delta > 0;
         transaction_steps_begin(&steps, NULL, &batch, BY_COPY))
        without++;
    cr_expect_eq(without, 99);
}
