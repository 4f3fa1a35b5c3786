/* csv.c: cells, quotes, and texts that a spreadsheet would compute. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/csv.h"

static void is_written(const char *text, const char *plain, const char *guarded)
{
    char room[256];
    cr_assert_leq(csv_room(strlen(text)), sizeof room);
    char *end = csv_put(room, text, strlen(text));
    cr_expect_leq((size_t)(end - room), csv_room(strlen(text)));
    *end = '\0';
    cr_expect_str_eq(room, plain, "%s: %s", text, room);
    end = csv_put_guarded(room, text, strlen(text));
    cr_expect_leq((size_t)(end - room), csv_room(strlen(text)));
    *end = '\0';
    cr_expect_str_eq(room, guarded, "guarded %s: %s", text, room);
}

Test(csv, leaves_what_cannot_be_misread_without_quotes)
{
    is_written("doc_export", "doc_export", "doc_export");
    is_written("t\303\244glich 5", "t\303\244glich 5", "t\303\244glich 5");
    is_written("1=2", "1=2", "1=2");
    is_written("a-b+c@d", "a-b+c@d", "a-b+c@d");
}

Test(csv, puts_quotes_around_what_a_reader_could_take_for_something_else)
{
    is_written("", "\"\"", "\"\"");
    is_written("a,b", "\"a,b\"", "\"a,b\"");
    is_written("say \"so\"", "\"say \"\"so\"\"\"", "\"say \"\"so\"\"\"");
    is_written("two\nlines", "\"two\nlines\"", "\"two\nlines\"");
    is_written("a;b", "\"a;b\"", "\"a;b\"");
    is_written("\\N", "\"\\N\"", "\"\\N\"");
    is_written("\\.", "\"\\.\"", "\"\\.\"");
    is_written(" a", "\" a\"", "\" a\"");
    is_written("a ", "\"a \"", "\"a \"");
    is_written("\"", "\"\"\"\"", "\"\"\"\"");
}

Test(csv, puts_an_apostrophe_before_what_a_spreadsheet_would_compute)
{
    is_written("=1+1", "=1+1", "'=1+1");
    is_written("+49 30", "+49 30", "'+49 30");
    is_written("-5", "-5", "'-5");
    is_written("@SUM(A1)", "@SUM(A1)", "'@SUM(A1)");
    is_written("\tx", "\"\tx\"", "\"'\tx\"");
    is_written("\rx", "\"\rx\"", "\"'\rx\"");
    is_written("=HYPERLINK(\"http://x\",\"y\")", "\"=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"",
               "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
    is_written("=", "=", "'=");
    is_written("'=1", "'=1", "'=1");
}

Test(csv, knows_a_formula_by_its_first_byte)
{
    cr_expect_not(csv_is_formula("", 0));
    cr_expect_not(csv_is_formula("=", 0));
    cr_expect(csv_is_formula("=", 1));
    cr_expect_not(csv_is_formula("\0=", 2));
}
