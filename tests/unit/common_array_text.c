/* Array literals as Postgres reads them. */
#include <criterion/criterion.h>
#include <stdint.h>

#include "common/array_text.h"

static struct array_text array;

static void fini(void)
{
    array_text_free(&array);
}

TestSuite(array_text, .fini = fini);

Test(array_text, of_nothing_is_empty)
{
    array_text_begin(&array);
    cr_expect_str_eq(array_text_end(&array), "{}");
}

Test(array_text, holds_numbers_to_the_ends_of_their_range)
{
    array_text_begin(&array);
    array_text_add_int64(&array, INT64_MIN);
    array_text_add_int64(&array, 0);
    array_text_add_int64(&array, INT64_MAX);
    cr_expect_str_eq(array_text_end(&array), "{-9223372036854775808,0,9223372036854775807}");
}

Test(array_text, holds_dates)
{
    array_text_begin(&array);
    array_text_add_date(&array, 0);
    array_text_add_date(&array, 20416);
    cr_expect_str_eq(array_text_end(&array), "{1970-01-01,2025-11-24}");
}

Test(array_text, quotes_every_text)
{
    array_text_begin(&array);
    array_text_add(&array, "", 0);
    array_text_add(&array, "NULL", 4);
    array_text_add(&array, "a\"b\\c,{}", 8);
    cr_expect_str_eq(array_text_end(&array), "{\"\",\"NULL\",\"a\\\"b\\\\c,{}\"}");
}

Test(array_text, grows_and_begins_again)
{
    array_text_begin(&array);
    for (int i = 0; i < 100000; i++)
        array_text_add(&array, "\"\"\"\"\"\"\"\"", 8);
    cr_expect_eq(array.used, 1 + 100000 * 19 - 1);
    cr_expect_not_null(array_text_end(&array));
    array_text_begin(&array);
    array_text_add_int64(&array, 1);
    cr_expect_str_eq(array_text_end(&array), "{1}");
}
