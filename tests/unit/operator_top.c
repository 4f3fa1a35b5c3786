/* The pictures of `tallymill top`: bars, and a screen that is drawn over the one before. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operator/screen.h"
#include "operator/top_frame.h"

static void bars_are(const double *values, int count, int width, const char *expected)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    top_frame_bars(values, count, width, out);
    fclose(out);
    cr_expect_str_eq(text, expected);
    free(text);
}

Test(top_frame, has_bars_whose_highest_is_the_largest_value)
{
    bars_are((const double[]){0, 1, 2, 3, 4, 5, 6, 7}, 8, 40, "▁▂▃▄▅▆▇█");
    bars_are((const double[]){7000000, 0}, 2, 40, "█▁");
}

Test(top_frame, has_bars_of_the_newest_where_there_are_more_than_fit)
{
    bars_are((const double[]){100, 0, 1}, 3, 2, "▁█");
}

Test(top_frame, has_flat_bars_where_nothing_moves_or_a_value_is_below_0)
{
    bars_are((const double[]){0, 0}, 2, 40, "▁▁");
    bars_are((const double[]){-5, 5}, 2, 40, "▁█");
    bars_are(NULL, 0, 40, "");
}

static void picture_is(const char *text, int rows, int columns, const char *expected)
{
    size_t length = 0;
    char *picture = screen_picture(text, rows, columns, &length);
    cr_assert_not_null(picture);
    cr_expect_str_eq(picture, expected);
    cr_expect_eq(strlen(picture), length);
    free(picture);
}

Test(screen, writes_each_line_over_the_one_before_and_erases_what_is_below)
{
    picture_is("one\ntwo\n", 5, 80, "\x1b[Hone\x1b[0m\x1b[K\r\ntwo\x1b[0m\x1b[K\r\n\x1b[J");
}

Test(screen, cuts_lines_by_characters_and_leaves_a_full_row_unerased)
{
    picture_is("größe\n", 5, 4, "\x1b[Hgröß\x1b[0m\r\n\x1b[J");
    picture_is("\x1b[1mab\x1b[0mc\n", 5, 2, "\x1b[H\x1b[1mab\x1b[0m\x1b[0m\r\n\x1b[J");
}

Test(screen, draws_no_more_lines_than_there_are_rows_and_does_not_roll)
{
    picture_is("a\nb\nc\n", 2, 80, "\x1b[Ha\x1b[0m\x1b[K\r\nb\x1b[0m\x1b[K");
    picture_is("", 2, 80, "\x1b[H\x1b[J");
}
