/* The parts of an archive: rows cut from CSV, packed and unpacked, hashed whatever their order, and a month's name. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "operator/csv_field.h"
#include "operator/csv_rows.h"
#include "operator/month_name.h"
#include "operator/packing.h"
#include "operator/row_hash.h"

struct taken {
    char text[4096];
    size_t length;
    int rows;
};

static bool take(void *context, const char *row, size_t length, struct error *err)
{
    struct taken *taken = context;
    (void)err;
    memcpy(taken->text + taken->length, row, length);
    taken->length += length;
    taken->text[taken->length++] = '|';
    taken->rows++;
    return true;
}

Test(csv_rows, are_cut_where_no_quote_is_open_however_the_stream_is_cut)
{
    static const char csv[] = "id,name\n1,\"a\nb\"\n2,\"say \"\"\n\"\"\"\n3,\n\"\",\"\\.\n\"\n",
                      rows[] = "id,name\n|1,\"a\nb\"\n|2,\"say \"\"\n\"\"\"\n|3,\n|\"\",\"\\.\n\"\n|";
    for (size_t piece = 1; piece < sizeof csv; piece++) {
        struct csv_rows reader = {0};
        struct taken taken = {.rows = 0};
        struct error err = {0};
        for (size_t at = 0; at < sizeof csv - 1; at += piece)
            cr_assert(
                csv_rows_feed(&reader, csv + at, at + piece < sizeof csv - 1 ? piece : sizeof csv - 1 - at, take, &taken, &err));
        cr_expect(csv_rows_is_whole(&reader));
        cr_expect_eq(taken.rows, 5);
        cr_expect_eq(taken.length, sizeof rows - 1);
        cr_expect_arr_eq(taken.text, rows, sizeof rows - 1);
        csv_rows_reset(&reader);
    }
}

static bool is_field(const char *row, int index, const char *text)
{
    struct csv_field field;
    return csv_field_find(row, strlen(row), index, &field) && csv_field_is(&field, text, strlen(text));
}

Test(csv_field, is_compared_as_the_value_that_it_was)
{
    static const char row[] = "7,,\"\",\"say \"\"a,b\"\"\nand\",77,\"\"\"\"\n";
    struct csv_field field;
    cr_expect(is_field(row, 0, "7"));
    cr_expect_not(is_field(row, 0, "77"));
    cr_expect_not(is_field(row, 1, ""), "a NULL is no text");
    cr_expect(is_field(row, 2, ""));
    cr_expect(is_field(row, 3, "say \"a,b\"\nand"));
    cr_expect_not(is_field(row, 3, "say \"a,b\"\nan"));
    cr_expect_not(is_field(row, 3, "say \"a,b\"\nand more"));
    cr_expect_not(is_field(row, 3, "say \"\"a,b\"\"\nand"));
    cr_expect(is_field(row, 4, "77"));
    cr_expect(is_field(row, 5, "\""));
    cr_expect_not(csv_field_find(row, strlen(row), 6, &field));
    cr_expect_not(csv_field_find(row, strlen(row), -1, &field));
    for (size_t length = 0; length < strlen(row); length++) /* cut anywhere, nothing behind is read */
        for (int index = 0; index < 7; index++) {
            char *cut = strndup(row, length);
            if (csv_field_find(cut, length, index, &field))
                cr_expect(field.bytes >= cut && field.bytes + field.length <= cut + length);
            free(cut);
        }
}

Test(csv_rows, without_an_end_are_not_whole)
{
    struct csv_rows reader = {0};
    struct taken taken = {.rows = 0};
    struct error err = {0};
    cr_assert(csv_rows_feed(&reader, "1,\"\n\n", 5, take, &taken, &err));
    cr_expect_eq(taken.rows, 0);
    cr_expect_not(csv_rows_is_whole(&reader));
    csv_rows_reset(&reader);
}

Test(row_hash, knows_no_order_but_every_row)
{
    struct row_hash one = {0, 0}, other = {0, 0}, twice = {0, 0};
    char first[ROW_HASH_BYTES], second[ROW_HASH_BYTES];
    row_hash_add(&one, "a\n", 2);
    row_hash_add(&one, "b\n", 2);
    row_hash_add(&other, "b\n", 2);
    row_hash_add(&other, "a\n", 2);
    row_hash_add(&twice, "a\n", 2);
    row_hash_add(&twice, "a\n", 2);
    cr_expect_str_eq(row_hash_text(first, &one), row_hash_text(second, &other));
    cr_expect_str_neq(row_hash_text(first, &one), row_hash_text(second, &twice));
    cr_expect_str_eq(row_hash_text(first, &(struct row_hash){.low = 1, .high = 2}), "00000000000000020000000000000001");
}

static bool collect(void *context, const char *piece, size_t length, struct error *err)
{
    struct taken *taken = context;
    (void)err;
    taken->length += length;
    taken->rows += memchr(piece, 'x', length) != NULL;
    return true;
}

static void packs_again(enum packing_kind kind)
{
    struct error err = {0};
    struct packing *packing = packing_new(kind, &err);
    cr_assert_not_null(packing);
    for (int round = 0; round < 2; round++) {
        const char *bytes;
        size_t length;
        struct taken taken = {.rows = 0};
        for (int row = 0; row < 20000; row++)
            cr_assert(packing_add(packing, "0123456789 a row\n", 17, &err));
        cr_assert(packing_end(packing, &bytes, &length, &err));
        cr_assert(packing_unpack(kind, bytes, length, collect, &taken, &err), "%s", err.text);
        cr_expect_eq(taken.length, 340000u);
        cr_expect_eq(taken.rows, 0);
        for (size_t cut = 1; cut < length; cut += length / 7 + 1)
            cr_expect_not(packing_unpack(kind, bytes, cut, collect, &taken, &err), "cut at %zu of %zu", cut, length);
        char *more = malloc(length + 1);
        memcpy(more, bytes, length);
        more[length] = 'x';
        cr_expect_not(packing_unpack(kind, more, length + 1, collect, &taken, &err));
        more[length / 2] ^= 1;
        cr_expect_not(packing_unpack(kind, more, length, collect, &taken, &err));
        cr_expect_eq(err.kind, ERROR_REJECT);
        free(more);
    }
    packing_free(packing);
}

Test(packing, by_zstd_comes_back_whole_or_is_refused)
{
    packs_again(PACKING_ZSTD);
}

Test(packing, by_gzip_comes_back_whole_or_is_refused)
{
    packs_again(PACKING_GZIP);
}

Test(month_name, is_a_year_and_a_month)
{
    struct month_name month;
    struct error err = {0};
    cr_assert(month_name_parse("2024-02", &month, &err));
    cr_expect_str_eq(month.first, "2024-02-01");
    cr_expect_str_eq(month.days.last, "2024-02-29");
    static const char *const wrong[] = {"",        "2024",       "2024-2",   "2024-13",  "2024-00",
                                        "1969-12", "2024-02-01", "2024-02 ", "jan 2024", "-024-02"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_not(month_name_parse(wrong[i], &month, &err), "%s", wrong[i]);
}
