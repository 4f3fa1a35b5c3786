/* Rows of analytics_events from their tuples: days, keys, and what is refused. */
#include <criterion/criterion.h>
#include <endian.h>
#include <string.h>

#include "aggregator/day.h"
#include "aggregator/identity.h"
#include "aggregator/row.h"
#include "common/clock.h"
#include "common/error.h"

static const struct row_shape any_shape = {0};
static uint64_t batch_id, created_at, user_id;
static struct error err;
static struct row row;

static struct copy_tuple tuple_at(int64_t wall_us)
{
    batch_id = htobe64(42);
    created_at = htobe64((uint64_t)(wall_us - CLOCK_POSTGRES_EPOCH_US));
    user_id = htobe64((uint64_t)-7);
    return (struct copy_tuple){
        .count = 5,
        .fields = {
            {"login", 5}, {"s-1", 3}, {(const char *)&user_id, 8}, {(const char *)&batch_id, 8}, {(const char *)&created_at, 8}}};
}

Test(row, belongs_to_the_utc_day_of_its_time)
{
    const struct {
        int64_t wall_us;
        int32_t day;
    } cases[] = {{0, 0},
                 {-1, -1},
                 {CLOCK_DAY_US - 1, 0},
                 {CLOCK_DAY_US, 1},
                 {CLOCK_POSTGRES_EPOCH_US - 1, 10956},
                 {CLOCK_POSTGRES_EPOCH_US, 10957},
                 {INT64_C(1764000000000000), 20416}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct copy_tuple tuple = tuple_at(cases[i].wall_us);
        cr_assert(row_read(&row, &any_shape, &tuple, &err));
        cr_expect_eq(row.day, cases[i].day, "case %zu", i);
    }
}

Test(row, of_another_program_has_no_batch)
{
    struct copy_tuple tuple = tuple_at(0);
    cr_assert(row_read(&row, &any_shape, &tuple, &err));
    cr_expect(!row.is_foreign && row.batch_id == 42);
    tuple.fields[3] = (struct copy_field){0};
    cr_assert(row_read(&row, &any_shape, &tuple, &err));
    cr_expect(row.is_foreign);
}

Test(row, has_the_keys_of_its_session_and_user)
{
    struct identity identity;
    cr_assert(identity_init(&identity, &err));
    struct copy_tuple tuple = tuple_at(0);
    struct day_event event;
    cr_assert(row_read(&row, &any_shape, &tuple, &err));
    row_identify(&row, &identity, &event);
    cr_expect(event.has_session && event.has_user && event.user == (uint64_t)-7);
    tuple.fields[1] = tuple.fields[2] = (struct copy_field){0};
    cr_assert(row_read(&row, &any_shape, &tuple, &err));
    row_identify(&row, &identity, &event);
    cr_expect(!event.has_session && !event.has_user);
}

Test(row, without_a_name_is_internal)
{
    struct copy_tuple tuple = tuple_at(0);
    cr_assert(row_read(&row, &any_shape, &tuple, &err));
    cr_expect_not(row.is_internal);
    tuple.fields[0] = (struct copy_field){0};
    cr_assert(row_read(&row, &any_shape, &tuple, &err));
    cr_expect(row.is_internal);
}

Test(row, takes_from_its_shape_what_all_rows_have_in_common)
{
    struct row_shape shape = {.is_of_one_batch = true, .batch_id = 7};
    struct copy_tuple tuple = tuple_at(0);
    tuple.count = 4;
    tuple.fields[3] = tuple.fields[4];
    cr_assert(row_read(&row, &shape, &tuple, &err));
    cr_expect(!row.is_foreign && row.batch_id == 7 && row.day == 0);
    shape.is_of_one_day = true;
    shape.day = 3;
    cr_expect_not(row_read(&row, &shape, &tuple, &err));
    tuple.count = 3;
    cr_assert(row_read(&row, &shape, &tuple, &err));
    cr_expect(row.batch_id == 7 && row.day == 3);
    shape.is_of_one_batch = false;
    tuple = tuple_at(0);
    tuple.count = 4;
    cr_assert(row_read(&row, &shape, &tuple, &err));
    cr_expect(row.batch_id == 42 && row.day == 3);
}

Test(row, of_other_types_is_refused)
{
    for (int field = 2; field < 5; field++) { /* any text is a name or a session */
        struct copy_tuple tuple = tuple_at(0);
        tuple.fields[field] = (struct copy_field){"abc", 3};
        cr_expect_not(row_read(&row, &any_shape, &tuple, &err), "field %d", field);
        cr_expect_eq(err.kind, ERROR_FATAL);
    }
    struct copy_tuple tuple = tuple_at(0);
    tuple.count = 4;
    cr_expect_not(row_read(&row, &any_shape, &tuple, &err));
}
