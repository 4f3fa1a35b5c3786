/* export_row.c and export_path_array(): what COPY sends, as lines of CSV and NDJSON. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "operator/export_columns.h"
#include "operator/export_row.h"

#define COLUMN(name, kind)                                                                                                         \
    {                                                                                                                              \
        (char[]){name}, NULL, kind                                                                                                 \
    }

static struct export_column items[] = {COLUMN("session_id", EXPORT_TEXT),     COLUMN("user_id", EXPORT_NUMBER),
                                       COLUMN("is_internal", EXPORT_BOOLEAN), COLUMN("created_at", EXPORT_TIME),
                                       COLUMN("event_data", EXPORT_JSON),     COLUMN("tier", EXPORT_ATTRIBUTE)};
static const struct export_columns all = {items, 6, NULL}, texts = {items, 1, NULL}, jsons = {&items[4], 1, NULL},
                                   attributes = {&items[5], 1, NULL}, numbers = {&items[1], 1, NULL}, times = {&items[3], 1, NULL};

static struct export_row row; /* large */

static void is_line(const struct export_columns *columns, enum export_form form, const char *message, const char *line)
{
    struct error err = {0};
    char *copy = strdup(message);
    export_row_init(&row, columns, form);
    cr_assert(export_row_make(&row, copy, strlen(copy), &err), "%s: %s", message, err.text);
    cr_expect(row.length == strlen(line) && memcmp(row.line, line, row.length) == 0, "%s became %.*s", message, (int)row.length,
              row.line);
    export_row_reset(&row);
    free(copy);
}

static const char whole[] = "s-1\t-5\tt\t2026-01-15 09:30:00.25+00\t{\"a\": 1}\t\"pro\"\n";

Test(export_row, is_csv_or_ndjson)
{
    is_line(&all, EXPORT_CSV, whole, "s-1,-5,true,2026-01-15T09:30:00.25Z,\"{\"\"a\"\": 1}\",pro\n");
    is_line(&all, EXPORT_NDJSON, whole,
            "{\"session_id\":\"s-1\",\"user_id\":-5,\"is_internal\":true,\"created_at\":\"2026-01-15T09:30:00.25Z\",\"event_data\":"
            "{\"a\": 1},\"tier\":\"pro\"}\n");
    is_line(&all, EXPORT_CSV, "\\N\t\\N\tf\t\\N\t\\N\t\\N\n", ",,false,,,\n");
    is_line(&all, EXPORT_NDJSON, "\\N\t\\N\tf\t\\N\t\\N\t\\N\n",
            "{\"session_id\":null,\"user_id\":null,\"is_internal\":false,\"created_at\":null,\"event_data\":null,\"tier\":null}\n");
}

Test(export_row, tells_null_from_an_empty_text_and_a_line_from_none)
{
    is_line(&all, EXPORT_CSV, "\t1\tf\t\\N\t{}\t\"\"\n", "\"\",1,false,,{},\"\"\n");
    is_line(&texts, EXPORT_CSV, "\\N\n", "\"\"\n");
    is_line(&texts, EXPORT_CSV_RAW, "\\\\N\n", "\"\\N\"\n");
    is_line(&texts, EXPORT_NDJSON, "a\\tb\\nc\\\\d\n", "{\"session_id\":\"a\\tb\\nc\\\\d\"}\n");
}

Test(export_row, guards_texts_and_never_numbers)
{
    is_line(&texts, EXPORT_CSV, "=1+1\n", "'=1+1\n");
    is_line(&texts, EXPORT_CSV_RAW, "=1+1\n", "=1+1\n");
    is_line(&texts, EXPORT_NDJSON, "=1+1\n", "{\"session_id\":\"=1+1\"}\n");
    is_line(&texts, EXPORT_CSV, "\\t=1\n", "\"'\t=1\"\n");
    is_line(&texts, EXPORT_CSV, "-5\n", "'-5\n");
    is_line(&numbers, EXPORT_CSV, "-5\n", "-5\n");
    is_line(&attributes, EXPORT_CSV, "-5\n", "-5\n");
    is_line(&attributes, EXPORT_CSV, "\"-5\"\n", "'-5\n");
    is_line(&attributes, EXPORT_CSV, "\"\\\\u0009=1\"\n", "\"'\t=1\"\n");
    is_line(&attributes, EXPORT_CSV, "null\n", "\"\"\n");
    is_line(&attributes, EXPORT_CSV, "\"null\"\n", "null\n");
    is_line(&attributes, EXPORT_CSV, "[1, \"=2\"]\n", "\"[1, \"\"=2\"\"]\"\n");
}

Test(export_row, names_the_guarded_cells)
{
    struct error err = {0};
    char message[] = "@x\t-5\tt\t\\N\t{}\t\"+1\"\n";
    export_row_init(&row, &all, EXPORT_CSV);
    cr_assert(export_row_make(&row, message, strlen(message), &err));
    cr_assert_eq(row.guarded_count, 2);
    cr_expect_eq(row.guarded[0], 0);
    cr_expect_eq(row.guarded[1], 5);
    export_row_reset(&row);
}

Test(export_row, writes_what_was_a_double_beyond_64_bits_with_an_exponent)
{
    is_line(&jsons, EXPORT_NDJSON, "{\"x\": 100000000000000000000}\n", "{\"event_data\":{\"x\": 1e20}}\n");
    is_line(&jsons, EXPORT_NDJSON, "[-18446744073709552000, 18446744073709551615, 18446744073709552000]\n",
            "{\"event_data\":[-18446744073709552e3, 18446744073709551615, 18446744073709552e3]}\n");
    is_line(&jsons, EXPORT_NDJSON, "[-9223372036854775808, -9223372036854778000, 0.00000000000000000000001]\n",
            "{\"event_data\":[-9223372036854775808, -9223372036854778e3, 0.00000000000000000000001]}\n");
    is_line(&jsons, EXPORT_NDJSON, "{\"100000000000000000000\": \"100000000000000000000 \\\\\" 100000000000000000000\"}\n",
            "{\"event_data\":{\"100000000000000000000\": \"100000000000000000000 \\\" 100000000000000000000\"}}\n");
    is_line(&jsons, EXPORT_NDJSON, "123456789012345678901234567890\n", "{\"event_data\":123456789012345678901234567890}\n");
    is_line(&jsons, EXPORT_NDJSON, "100000000000000000000.5\n", "{\"event_data\":100000000000000000000.5}\n");
}

Test(export_row, leaves_times_that_rfc_3339_cannot_say)
{
    is_line(&times, EXPORT_CSV, "infinity\n", "infinity\n");
    is_line(&times, EXPORT_NDJSON, "0044-03-15 00:00:00+00 BC\n", "{\"created_at\":\"0044-03-15 00:00:00+00 BC\"}\n");
}

Test(export_row, refuses_another_number_of_fields)
{
    struct error err = {0};
    char one[] = "a\n", two[] = "a\tb\n";
    export_row_init(&row, &all, EXPORT_CSV);
    cr_expect_not(export_row_make(&row, one, strlen(one), &err));
    export_row_reset(&row);
    export_row_init(&row, &texts, EXPORT_CSV);
    cr_expect_not(export_row_make(&row, two, strlen(two), &err));
    cr_expect_eq(err.kind, ERROR_FATAL);
    export_row_reset(&row);
}

static void is_path(const char *path, const char *array)
{
    struct error err = {0};
    char *made = export_path_array(path, &err);
    cr_assert((made == NULL) == (array == NULL), "%s: %s", path, err.text);
    if (made)
        cr_expect_str_eq(made, array);
    free(made);
}

Test(export_path, is_keys_with_dots_between_them)
{
    is_path("tier", "{\"tier\"}");
    is_path("llm.latency.ttft", "{\"llm\",\"latency\",\"ttft\"}");
    is_path("event_data.tier", "{\"tier\"}");
    is_path("\"a.b\".c", "{\"a.b\",\"c\"}");
    is_path("\"say \"\"so\"\"\"", "{\"say \\\"so\\\"\"}");
    is_path("back\\slash", "{\"back\\\\slash\"}");
    is_path("\"\"", "{\"\"}");
    is_path("", NULL);
    is_path("a..b", NULL);
    is_path("a.", NULL);
    is_path("\"a", NULL);
    is_path("\"a\"b", NULL);
}
