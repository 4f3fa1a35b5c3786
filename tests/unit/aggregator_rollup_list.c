/* Pieces of work of the rollups: how they shrink where a query fails, and how much of the time they may take. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/rollup_list.h"
#include "aggregator/rollup_pace.h"

static struct rollup_piece piece_of(const char *rollup, int32_t first_day, int32_t last_day, int32_t period_days)
{
    struct rollup_piece piece = {.first_day = first_day, .last_day = last_day, .period_days = period_days};
    strcpy(piece.rollup, rollup);
    return piece;
}

static void list_month(struct rollup_list *list)
{
    struct rollup_piece a = piece_of("a", 100, 130, 1), b = piece_of("b", 100, 130, 1);
    cr_assert(rollup_list_begin(list));
    rollup_list_add(list, &a);
    rollup_list_add(list, &b);
}

Test(rollup_list, a_piece_that_fails_is_tried_with_half_as_many_periods_down_to_the_one_that_is_to_blame)
{
    struct rollup_list list = {0};
    struct rollup_piece piece;
    int tries = 0;
    list_month(&list);
    /* Day 117 fails: whatever holds it is halved, newest first, until it stands alone. */
    for (int32_t last = 130; last > 117 || tries == 0;) {
        cr_assert(++tries < 32);
        cr_assert(rollup_list_begin(&list));
        piece = piece_of("a", 100, last, 1);
        rollup_list_add(&list, &piece);
        cr_assert(rollup_list_take(&list, &piece, 0, false));
        cr_expect_eq(piece.last_day, last);
        if (piece.first_day > 117) {
            rollup_list_succeeded(&list, &piece);
            last = piece.first_day - 1;
        } else {
            rollup_list_failed(&list, &piece, 0, 0);
        }
    }
    cr_expect_eq(rollup_piece_periods(&(struct rollup_piece){.first_day = 7, .last_day = 20, .period_days = 7}), 2);
    rollup_list_free(&list);
}

Test(rollup_list, the_rest_of_a_piece_comes_after_its_newest_periods)
{
    struct rollup_list list = {0};
    struct rollup_piece piece = piece_of("a", 100, 130, 1);
    rollup_list_failed(&list, &piece, 0, 0);
    list_month(&list);
    int32_t expected[][2] = {{116, 130}, {101, 115}, {100, 100}};
    for (int i = 0; i < 3; i++) {
        cr_assert(rollup_list_take(&list, &piece, 0, false));
        cr_expect_str_eq(piece.rollup, "a");
        cr_expect_eq(piece.first_day, expected[i][0]);
        cr_expect_eq(piece.last_day, expected[i][1]);
    }
    cr_assert(rollup_list_take(&list, &piece, 0, false));
    cr_expect_str_eq(piece.rollup, "b");
    cr_expect_not(rollup_list_take(&list, &piece, 0, false));
    rollup_list_free(&list);
}

Test(rollup_list, one_that_rests_lets_the_others_go_on)
{
    struct rollup_list list = {0};
    struct rollup_piece piece = piece_of("a", 100, 100, 1);
    rollup_list_failed(&list, &piece, 1000, 500);
    list_month(&list);
    cr_assert(rollup_list_take(&list, &piece, 1200, false));
    cr_expect_str_eq(piece.rollup, "b");
    cr_expect_not(rollup_list_take(&list, &piece, 1200, false));
    list_month(&list);
    cr_assert(rollup_list_take(&list, &piece, 1200, true));
    cr_expect_str_eq(piece.rollup, "a");
    cr_expect_eq(piece.first_day, 130);
    list_month(&list);
    cr_assert(rollup_list_take(&list, &piece, 1500, false));
    cr_expect_str_eq(piece.rollup, "a");
    rollup_list_free(&list);
}

Test(rollup_list, weeks_stay_whole)
{
    struct rollup_list list = {0};
    struct rollup_piece piece = piece_of("w", 0, 34, 7);
    rollup_list_failed(&list, &piece, 0, 0);
    cr_assert(rollup_list_begin(&list));
    rollup_list_add(&list, &piece);
    cr_assert(rollup_list_take(&list, &piece, 0, false));
    cr_expect_eq(piece.first_day, 21);
    cr_expect_eq(piece.last_day, 34);
    rollup_list_free(&list);
}

Test(rollup_list, no_number_of_pieces_or_names_is_too_many)
{
    struct rollup_list list = {0};
    struct rollup_piece piece = piece_of("a", 0, 0, 1);
    cr_assert(rollup_list_begin(&list));
    for (int i = 0; i < ROLLUP_LIST_MAX + 3; i++)
        rollup_list_add(&list, &piece);
    cr_expect_eq(list.count, ROLLUP_LIST_MAX);
    for (int i = 0; i < ROLLUP_LIMITS_MAX + 3; i++) {
        snprintf(piece.rollup, sizeof piece.rollup, "r%d", i);
        rollup_list_failed(&list, &piece, 0, 0);
    }
    cr_expect_eq(list.limit_count, ROLLUP_LIMITS_MAX);
    rollup_list_free(&list);
}

Test(rollup_pace, a_busy_server_gives_a_fifth_and_an_idle_one_everything)
{
    struct rollup_pace pace = {0};
    rollup_pace_probe(&pace, 10200);
    cr_expect_eq(rollup_pace_rest_us(&pace, 100, false), 0);
    cr_expect_eq(rollup_pace_rest_us(&pace, 100, true), 400);
    for (int i = 0; i < 8; i++)
        rollup_pace_probe(&pace, 15000);
    cr_expect_eq(rollup_pace_rest_us(&pace, 100, false), 400);
    for (int i = 0; i < 8; i++)
        rollup_pace_probe(&pace, 10800);
    cr_expect_eq(rollup_pace_rest_us(&pace, 100, false), 0);
    pace.share = 50;
    cr_expect_eq(rollup_pace_rest_us(&pace, 100, true), 100);
}

Test(rollup_pace, one_lucky_or_unlucky_look_decides_nothing)
{
    struct rollup_pace pace = {0};
    rollup_pace_probe(&pace, 10300);
    rollup_pace_probe(&pace, 18000);
    cr_expect_not(pace.is_busy, "one loop that another program interrupted");
    for (int i = 0; i < 8; i++)
        rollup_pace_probe(&pace, 15000);
    rollup_pace_probe(&pace, 9000);
    cr_expect(pace.is_busy, "one loop that nobody interrupted");
}
