/* Text from servers on a terminal: nothing of it may act, and numbers read well. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/number_text.h"
#include "operator/terminal.h"

static void shows_as(const char *text, const char *expected)
{
    char *shown = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&shown, &length);
    int columns = terminal_text(out, text);
    fclose(out);
    cr_expect_str_eq(shown, expected);
    cr_expect_eq(columns, terminal_text(NULL, text), "counting and writing agree");
    free(shown);
}

Test(terminal, leaves_printable_text_of_any_language_as_it_is)
{
    shows_as("page_view", "page_view");
    shows_as("größe 漢字 🙂", "größe 漢字 🙂");
    cr_expect_eq(terminal_text(NULL, "größe"), 5, "columns are code points, not bytes");
}

Test(terminal, escapes_what_could_move_the_cursor_or_turn_the_text)
{
    shows_as("\x1b[31mred", "\\x1b[31mred");
    shows_as("a\nb\tc\x7f", "a\\x0ab\\x09c\\x7f");
    shows_as("\xc2\x9b"
             "2J",
             "\\xc2\\x9b2J"); /* CSI as one C1 control */
    shows_as("\xe2\x80\xae"
             "evil",
             "\\xe2\\x80\\xaeevil"); /* right-to-left override */
}

Test(terminal, escapes_bytes_that_are_not_utf8)
{
    shows_as("\xff", "\\xff");
    shows_as("\xc0\x80", "\\xc0\\x80");          /* overlong */
    shows_as("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* a surrogate */
    shows_as("\xe2\x82", "\\xe2\\x82");          /* cut */
    shows_as("\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80");
}

Test(number_text, separates_thousands)
{
    char buffer[NUMBER_TEXT_BYTES];
    cr_expect_str_eq(number_text(buffer, 0), "0");
    cr_expect_str_eq(number_text(buffer, 999), "999");
    cr_expect_str_eq(number_text(buffer, 1000), "1,000");
    cr_expect_str_eq(number_text(buffer, 1234567), "1,234,567");
    cr_expect_str_eq(number_text(buffer, -123456), "-123,456");
    cr_expect_str_eq(number_text(buffer, INT64_MIN), "-9,223,372,036,854,775,808");
}

Test(terminal, gives_an_age_in_one_unit)
{
    char buffer[TERMINAL_AGE_BYTES];
    cr_expect_str_eq(terminal_age(buffer, 350000), "350 ms");
    cr_expect_str_eq(terminal_age(buffer, 12 * CLOCK_SECOND_US), "12 s");
    cr_expect_str_eq(terminal_age(buffer, 180 * CLOCK_SECOND_US), "3 min");
    cr_expect_str_eq(terminal_age(buffer, 5 * 3600 * CLOCK_SECOND_US), "5 h");
    cr_expect_str_eq(terminal_age(buffer, 4 * CLOCK_DAY_US), "4 days");
    cr_expect_str_eq(terminal_age(buffer, -1), "0 ms");
    cr_expect_str_eq(terminal_age(buffer, INT64_MAX), "106751991 days");
}
