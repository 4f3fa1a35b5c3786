/* Tables on a terminal. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "operator/table.h"

static const char *const heads[] = {"topic", "lag"};

static char *printed(const struct table *table)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    cr_expect(table_print(table, "  ", out));
    fclose(out);
    return text;
}

Test(table, makes_columns_as_wide_as_their_widest_cell)
{
    struct table *table = table_new("lr", heads);
    table_add(table, (const char *const[]){"a", "12,345"});
    table_add(table, (const char *const[]){"events-größe", "0"});
    char *text = printed(table);
    cr_expect_str_eq(text, "  topic            lag\n"
                           "  a             12,345\n"
                           "  events-größe       0\n");
    free(text);
    table_free(table);
}

Test(table, keeps_a_cell_with_a_line_break_on_its_line)
{
    struct table *table = table_new("lr", heads);
    table_add(table, (const char *const[]){"a\nb", NULL});
    char *text = printed(table);
    cr_expect_str_eq(text, "  topic   lag\n"
                           "  a\\x0ab     \n");
    free(text);
    table_free(table);
}

Test(table, holds_many_rows)
{
    struct table *table = table_new("lr", heads);
    for (int i = 0; i < 10000; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        table_add(table, (const char *const[]){"topic", number});
    }
    char *text = printed(table);
    int lines = 0;
    for (const char *at = text; *at; at++) {
        lines += *at == '\n';
    }
    cr_expect_eq(lines, 10001);
    free(text);
    table_free(table);
}

Test(table, says_so_when_it_could_not_be_made)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    table_add(NULL, (const char *const[]){"a", "b"});
    cr_expect_not(table_print(NULL, "", out));
    fclose(out);
    cr_expect_str_eq(text, "(not all rows are shown: out of memory)\n");
    free(text);
}
