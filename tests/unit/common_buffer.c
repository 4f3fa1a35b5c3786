/* Bytes that come in pieces are what a single piece would have been, with a NUL behind them. */
#include <criterion/criterion.h>

#include <string.h>

#include "common/buffer.h"

Test(buffer, holds_pieces_of_any_size_one_behind_the_other)
{
    enum { TOTAL = 100000 };
    static char wanted[TOTAL + 1];
    for (int i = 0; i < TOTAL; i++)
        wanted[i] = (char)('a' + i % 23);
    struct buffer buffer = {0};
    for (size_t at = 0, piece = 1; at < TOTAL; at += piece, piece = piece * 3 % 4099 + 1) {
        piece = piece < TOTAL - at ? piece : TOTAL - at;
        cr_assert(buffer_add(&buffer, wanted + at, piece));
        cr_assert_eq(buffer.length, at + piece);
        cr_assert_eq(buffer.bytes[buffer.length], '\0');
    }
    cr_expect_str_eq(buffer.bytes, wanted);
    buffer_reset(&buffer);
    cr_expect_null(buffer.bytes);
    cr_expect_eq(buffer.length, 0);
}

Test(buffer, that_was_told_how_much_will_come_takes_that_without_moving)
{
    static const char piece[100] = "x";
    struct buffer buffer = {0};
    cr_assert(buffer_reserve(&buffer, 10 * sizeof piece));
    cr_expect_str_eq(buffer.bytes, "", "nothing has come");
    const char *const at = buffer.bytes;
    for (int i = 0; i < 10; i++)
        cr_assert(buffer_add(&buffer, piece, sizeof piece));
    cr_expect_eq(buffer.bytes, at);
    cr_expect_eq(buffer.length, 10 * sizeof piece);
    cr_assert(buffer_reserve(&buffer, 5), "less than there is");
    cr_expect_eq(buffer.length, 10 * sizeof piece);
    buffer_reset(&buffer);
}

Test(buffer, of_nothing_is_an_empty_text)
{
    struct buffer buffer = {0};
    cr_assert(buffer_reserve(&buffer, 0));
    cr_expect_str_eq(buffer.bytes, "");
    cr_assert(buffer_add(&buffer, "", 0));
    cr_expect_str_eq(buffer.bytes, "");
    cr_expect_eq(buffer.length, 0);
    buffer_reset(&buffer);
}
