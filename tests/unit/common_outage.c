/* An outage is two lines: away, and back after so long; what is shorter than the patience is none. */
#include <criterion/criterion.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/outage.h"
#include "common_log_captured.h"

#define S CLOCK_SECOND_US

static struct outage outage;
static struct error why;

static void begin(void)
{
    log_captured_begin();
    outage = (struct outage){.away = "it is away", .back = "it is back"};
    error_set(&why, ERROR_RETRY, "connection refused");
}

Test(outage, is_two_lines_however_often_it_was_tried, .init = begin)
{
    for (int64_t at = 100 * S; at < 218 * S; at += S / 2)
        outage_note(&outage, &why, at);
    outage_over(&outage, 218 * S);
    outage_over(&outage, 219 * S);
    cr_expect_eq(log_captured_count("msg="), 2);
    cr_expect_eq(log_captured_count("msg=\"it is away\" for_s=0 error=\"connection refused\""), 1);
    cr_expect_eq(log_captured_count("msg=\"it is back\" after_s=118"), 1);
}

Test(outage, is_told_again_every_ten_minutes, .init = begin)
{
    for (int64_t at = 100 * S; at < 1900 * S; at += S)
        outage_note(&outage, &why, at);
    cr_expect_eq(log_captured_count("it is away"), 3);
    cr_expect_eq(log_captured_count("for_s=1200"), 1);
}

Test(outage, that_is_shorter_than_the_patience_is_none, .init = begin)
{
    outage.patience_us = 2 * S;
    outage_note(&outage, NULL, 100 * S);
    outage_note(&outage, NULL, 101 * S);
    outage_over(&outage, 101 * S);
    cr_expect_eq(log_captured_count("msg="), 0);
    outage_note(&outage, NULL, 200 * S);
    outage_note(&outage, NULL, 202 * S);
    outage_over(&outage, 203 * S);
    cr_expect_eq(log_captured_count("it is away"), 1);
    cr_expect_eq(log_captured_count("after_s=3"), 1);
}

Test(outage, tells_another_sqlstate_once, .init = begin)
{
    struct error refused = {0};
    error_set(&refused, ERROR_USAGE, "password authentication failed");
    strcpy(refused.sqlstate, "28P01");
    for (int64_t at = 100 * S; at < 130 * S; at += S)
        outage_note(&outage, at % (2 * S) == 0 || at < 110 * S ? &why : &refused, at);
    outage_over(&outage, 130 * S);
    cr_expect_eq(log_captured_count("it is away"), 2);
    cr_expect_eq(log_captured_count("for_s=11 error=\"password authentication failed\""), 1);
    cr_expect_eq(log_captured_count("it is back"), 1);
}
