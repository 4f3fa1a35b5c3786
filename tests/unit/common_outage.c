/* An outage is two lines: away, and back after so long; what is shorter than the patience is none. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/outage.h"

#define S CLOCK_SECOND_US

static FILE *captured;
static struct outage outage;
static struct error why;

static void begin(void)
{
    captured = tmpfile();
    cr_assert_not_null(captured);
    cr_assert_eq(dup2(fileno(captured), STDERR_FILENO), STDERR_FILENO);
    unsetenv("JOURNAL_STREAM");
    outage = (struct outage){.away = "it is away", .back = "it is back"};
    error_set(&why, ERROR_RETRY, "connection refused");
}

static int lines(const char *with)
{
    static char text[32 * 1024];
    int count = 0;
    rewind(captured);
    text[fread(text, 1, sizeof text - 1, captured)] = '\0';
    for (const char *at = text; (at = strstr(at, with)) != NULL; at++)
        count++;
    return count;
}

Test(outage, is_two_lines_however_often_it_was_tried, .init = begin)
{
    for (int64_t at = 100 * S; at < 218 * S; at += S / 2)
        outage_note(&outage, &why, at);
    outage_over(&outage, 218 * S);
    outage_over(&outage, 219 * S);
    cr_expect_eq(lines("msg="), 2);
    cr_expect_eq(lines("msg=\"it is away\" for_s=0 error=\"connection refused\""), 1);
    cr_expect_eq(lines("msg=\"it is back\" after_s=118"), 1);
}

Test(outage, is_told_again_every_ten_minutes, .init = begin)
{
    for (int64_t at = 100 * S; at < 1900 * S; at += S)
        outage_note(&outage, &why, at);
    cr_expect_eq(lines("it is away"), 3);
    cr_expect_eq(lines("for_s=1200"), 1);
}

Test(outage, that_is_shorter_than_the_patience_is_none, .init = begin)
{
    outage.patience_us = 2 * S;
    outage_note(&outage, NULL, 100 * S);
    outage_note(&outage, NULL, 101 * S);
    outage_over(&outage, 101 * S);
    cr_expect_eq(lines("msg="), 0);
    outage_note(&outage, NULL, 200 * S);
    outage_note(&outage, NULL, 202 * S);
    outage_over(&outage, 203 * S);
    cr_expect_eq(lines("it is away"), 1);
    cr_expect_eq(lines("after_s=3"), 1);
}

Test(outage, tells_another_sqlstate_once, .init = begin)
{
    struct error refused = {0};
    error_set(&refused, ERROR_USAGE, "password authentication failed");
    strcpy(refused.sqlstate, "28P01");
    for (int64_t at = 100 * S; at < 130 * S; at += S)
        outage_note(&outage, at % (2 * S) == 0 || at < 110 * S ? &why : &refused, at);
    outage_over(&outage, 130 * S);
    cr_expect_eq(lines("it is away"), 2);
    cr_expect_eq(lines("for_s=11 error=\"password authentication failed\""), 1);
    cr_expect_eq(lines("it is back"), 1);
}
