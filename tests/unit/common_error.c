/* Errors: the decision and one line of text. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/error.h"

Test(error, is_set_with_kind_and_text_and_returns_false)
{
    struct error err;
    cr_expect_not(error_set(&err, ERROR_USAGE, "topic %s has %d", "a", 3));
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect_str_eq(err.text, "topic a has 3");
    cr_expect_str_eq(err.sqlstate, "");
}

Test(error, keeps_its_kind_and_sqlstate_when_wrapped)
{
    struct error err;
    error_set(&err, ERROR_RETRY, "refused");
    strcpy(err.sqlstate, "57P03");
    cr_expect_not(error_wrap(&err, "cannot connect to %s", "db"));
    cr_expect_eq(err.kind, ERROR_RETRY);
    cr_expect_str_eq(err.sqlstate, "57P03");
    cr_expect_str_eq(err.text, "cannot connect to db: refused");
}

Test(error, may_quote_itself)
{
    struct error err;
    error_set(&err, ERROR_RETRY, "inner");
    error_set(&err, ERROR_FATAL, "outer: %s", err.text);
    cr_expect_str_eq(err.text, "outer: inner");
    error_wrap(&err, "%s", err.text);
    cr_expect_str_eq(err.text, "outer: inner: outer: inner");
}

Test(error, is_one_line_whatever_a_library_said)
{
    struct error err;
    error_set(&err, ERROR_RETRY, "%s", "\n connection failed\n\tIs it running?\r\n\x1b[31mred\x7f end \n");
    cr_expect_str_eq(err.text, "connection failed Is it running? [31mred end");
}

Test(error, is_cut_at_a_whole_character_when_too_long)
{
    char text[2 * ERROR_TEXT_BYTES];
    memset(text, 'x', sizeof text);
    strcpy(text + ERROR_TEXT_BYTES - 2, "\xC3\xA9\xC3\xA9"); /* its first byte is the last that would fit */
    struct error err;
    error_set(&err, ERROR_RETRY, "%s", text);
    cr_expect_eq(strlen(err.text), (size_t)ERROR_TEXT_BYTES - 2);
    cr_expect_eq(err.text[strlen(err.text) - 1], 'x');
}

Test(error, keeps_the_prefix_when_the_text_fills_the_line)
{
    char text[ERROR_TEXT_BYTES];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct error err;
    error_set(&err, ERROR_RETRY, "%s", text);
    error_wrap(&err, "prefix");
    cr_expect_eq(strlen(err.text), (size_t)ERROR_TEXT_BYTES - 1);
    cr_expect_eq(strncmp(err.text, "prefix: xxx", 11), 0);
}

Test(error, asks_for_the_exit_code_of_its_kind)
{
    struct error err;
    error_clear(&err);
    cr_expect_eq(error_exit_code(&err), 0);
    static const int codes[] = {[ERROR_NONE] = 0, [ERROR_RETRY] = 1, [ERROR_REJECT] = 1, [ERROR_USAGE] = 2, [ERROR_FATAL] = 3};
    for (int kind = ERROR_RETRY; kind <= ERROR_FATAL; kind++) {
        error_set(&err, (enum error_kind)kind, "x");
        cr_expect_eq(error_exit_code(&err), codes[kind]);
    }
}

Test(error, is_empty_after_it_was_cleared)
{
    struct error err;
    error_set(&err, ERROR_FATAL, "x");
    strcpy(err.sqlstate, "XX000");
    error_clear(&err);
    cr_expect_eq(err.kind, ERROR_NONE);
    cr_expect_str_eq(err.text, "");
    cr_expect_str_eq(err.sqlstate, "");
}
