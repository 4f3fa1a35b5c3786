/* producer_record.c - record.c: the same bytes give the same records, however they are cut. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "producer/import/record.h"

/* Where records end, with the bytes given in pieces of up to `step`. Returns how many. */
static size_t ends_of(enum record_format format, const char *bytes, size_t length, size_t step, size_t *ends, size_t max)
{
    struct record record = {.format = format, .delimiter = ',', .line_end = '\n'};
    size_t count = 0, begin = 0, known = 0;
    record_begin(&record);
    while (begin < length && count < max) {
        size_t until = known + step < length ? known + step : length;
        for (;;) {
            bool is_whole;
            size_t used = record_scan(&record, bytes + begin, until - begin, &is_whole);
            cr_assert_leq(used, until - begin);
            begin += used;
            if (is_whole) {
                ends[count++] = begin;
                record_begin(&record);
            }
            if (!is_whole || begin == until || count == max)
                break;
        }
        if (until == length || record.is_broken)
            break;
        known = until;
    }
    return count;
}

static void agree(enum record_format format, const char *bytes, size_t length, size_t expected)
{
    size_t whole[32], cut[32];
    size_t count = ends_of(format, bytes, length, length, whole, 32);
    cr_assert_eq(count, expected, "%zu records instead of %zu", count, expected);
    for (size_t step = 1; step < length; step++) {
        cr_assert_eq(ends_of(format, bytes, length, step, cut, 32), count);
        cr_assert_arr_eq(whole, cut, count * sizeof *whole);
    }
}

Test(record, lines_csv_and_msgpack_are_found_in_pieces_of_any_size)
{
    static const char lines[] = "{}\n\n{\"a\":\"b\"}\r\nhalf";
    agree(RECORD_NDJSON, lines, sizeof lines - 1, 3);
    static const char csv[] = "a,b\r\n\"x\n\"\"\ny\",2\n3,\"\"\n5\"\n6,\"7\"8\"\n";
    agree(RECORD_CSV, csv, sizeof csv - 1, 5);
    /* one of each type of value */
    static const char msgpack[] =
        "\x81\xa1z\x01\xc0\xc2\xc3\xff\xcc\1\xcd\1\1\xce\1\1\1\1\xcf\1\1\1\1\1\1\1\1\xd0\1\xd1\1\1\xd2\1\1\1\1\xd3\1\1\1\1\1\1\1\1"
        "\xca\1\1\1\1\xcb\1\1\1\1\1\1\1\1\xc4\1x\xc5\0\1x\xc6\0\0\0\1x\xd9\1x\xda\0\1x\xdb\0\0\0\1x"
        "\xc7\1\5x\xc8\0\1\5x\xc9\0\0\0\1\5x\xd4\5x\xd5\5xx\xd6\5xxxx\xd7\5xxxxxxxx\xd8\5xxxxxxxxxxxxxxxx"
        "\x92\1\2\xdc\0\2\1\2\xdd\0\0\0\2\1\2\xde\0\1\1\2\xdf\0\0\0\1\1\2";
    struct record record = {.format = RECORD_MSGPACK};
    size_t at = 0, count = 0;
    while (at < sizeof msgpack - 1) {
        bool is_whole;
        record_begin(&record);
        at += record_scan(&record, msgpack + at, sizeof msgpack - 1 - at, &is_whole);
        cr_assert(is_whole, "value %zu at %zu", count, at);
        count++;
    }
    cr_assert_eq(count, 34);
    agree(RECORD_MSGPACK, msgpack + 4, 40, 11);
}

Test(record, an_array_of_maps_is_its_maps_and_any_other_a_record)
{
    static const char maps[] = "\x92\x81\x01\x02\x81\x01\x02\x80\xdc\0\x01\xde\0\x01\x01\x02\xdd\0\0\0\x02\xdf\0\0\0\0\x05";
    agree(RECORD_MSGPACK, maps, sizeof maps - 1, 6);
    static const char others[] = "\x92\x01\x80\x91\x91\x80\x90\x92\x80\x91\x80\x80";
    agree(RECORD_MSGPACK, others, sizeof others - 1, 6);
    cr_assert_eq(record_skip_array(maps, sizeof maps - 1), 1);
    cr_assert_eq(record_skip_array(others, sizeof others - 1), 0);
    struct record record = {.format = RECORD_MSGPACK};
    bool is_whole;
    record_begin(&record);
    cr_assert_eq(record_scan(&record, maps, 4, &is_whole), 4);
    cr_assert(is_whole);
    cr_assert_eq(record.arrays, 1, "one is still to come");
}

Test(record, counts_of_billions_inside_each_other_do_not_overflow)
{
    struct record record = {.format = RECORD_MSGPACK};
    record_begin(&record);
    static char bytes[5 * 100000];
    for (size_t i = 0; i < sizeof bytes; i += 5)
        memcpy(bytes + i, "\xdf\xff\xff\xff\xff", 5);
    bool is_whole;
    for (int i = 0; i < 50; i++)
        cr_assert_eq(record_scan(&record, bytes, sizeof bytes, &is_whole), sizeof bytes);
    cr_assert(!is_whole && !record.is_broken);
}

static void expect_format(const char *path, enum record_format format, char delimiter)
{
    char told = 'x';
    cr_assert_eq(record_format_of(path, &told), format, "%s", path);
    cr_assert_eq(told, delimiter, "%s", path);
}

Test(record, the_format_and_the_delimiter_are_told_by_the_name)
{
    expect_format("a.csv", RECORD_CSV, 0);
    expect_format("/b/A.CSV.gz", RECORD_CSV, 0);
    expect_format("a.tsv", RECORD_CSV, '\t');
    expect_format("A.Tab.xz", RECORD_CSV, '\t');
    expect_format("a.psv.bz2", RECORD_CSV, '|');
    expect_format("a.msgpack.zst", RECORD_MSGPACK, 0);
    expect_format("a.ndjson.gz", RECORD_NDJSON, 0);
    expect_format("csv", RECORD_NDJSON, 0);
    expect_format("a.gz.csv.x", RECORD_NDJSON, 0);
    expect_format("-", RECORD_NDJSON, 0);
}
