/* What the server's answer about rows means, with and without memory to read it: a want of memory passes, an answer that nobody can
 * make sense of does not. */
#include <criterion/criterion.h>

#include <stdlib.h>

#include "consumer/batch.h"
#include "consumer/failure_plan.h"
#include "consumer/insert.h"
#include "consumer/transaction_steps.h"

enum { ROWS = 3 };

static bool has_no_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    return has_no_memory ? NULL : __real_calloc(count, size);
}

/* So many rows, each with an id and a time of `length` bytes in all. */
static PGresult *answer_of(int rows, int length)
{
    static char bytes[24];
    PGresAttDesc columns[] = {{.name = (char[]){"id"}, .format = 1}, {.name = (char[]){"created_at"}, .format = 1}};
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    cr_assert(PQsetResultAttrs(result, 2, columns));
    for (int row = 0; row < rows; row++)
        cr_assert(PQsetvalue(result, row, 0, bytes, length - 8) && PQsetvalue(result, row, 1, bytes, 8));
    return result;
}

static void expect_missing(PGresult *result, int wanted, enum error_kind kind)
{
    const struct batch batch = {.row_count = ROWS};
    struct error err = {0};
    int missing[ROWS];
    cr_expect_eq(insert_missing(&batch, 0, ROWS, result, false, missing, &err), wanted);
    cr_expect_eq(err.kind, kind, "%s", err.text);
    PQclear(result);
}

Test(insert, names_the_rows_that_were_not_taken)
{
    expect_missing(answer_of(0, 24), ROWS, ERROR_NONE);
}

Test(insert, asks_for_a_person_where_rows_come_back_that_were_not_sent)
{
    expect_missing(answer_of(ROWS + 1, 24), -1, ERROR_FATAL);
    expect_missing(answer_of(1, 23), -1, ERROR_FATAL);
}

Test(insert, tries_again_without_memory_to_read_the_answer)
{
    has_no_memory = true;
    expect_missing(answer_of(0, 24), -1, ERROR_RETRY);
}

static void expect_again(enum transaction_step step, enum transaction_way way, PGresult *result)
{
    struct batch batch = {.row_count = ROWS, .clamped_count = 1};
    struct transaction_steps steps = {.topic = "events"};
    transaction_steps_begin(&steps, NULL, &batch, way);
    has_no_memory = true;
    transaction_steps_take(&steps, step, result);
    has_no_memory = false;
    const struct failure_facts facts = failure_facts(&steps.failure, way == BY_INSERT, 1);
    cr_expect_eq(steps.failure.error.kind, ERROR_RETRY, "%s", steps.failure.error.text);
    cr_expect_eq(failure_plan(&facts), PLAN_AGAIN);
    cr_expect_eq(batch.row_count, ROWS);
    transaction_steps_reset(&steps);
    PQclear(result);
}

Test(insert, lets_a_batch_go_again_when_memory_ran_out_on_its_way)
{
    expect_again(STEP_INSERT, BY_INSERT, answer_of(0, 24));
    expect_again(STEP_CLAMPED, BY_COPY, answer_of(1, 24));
}
