/* producer_input.c - input.c: lines of plain and gzip files, whatever they hold. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "common/error.h"
#include "producer/import/input.h"

static char path[64];
static struct input_kind kind; /* NDJSON */

static void make_path(void)
{
    strcpy(path, "/tmp/tallymill-input-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    close(fd);
}

static void remove_path(void)
{
    unlink(path);
}

TestSuite(input, .init = make_path, .fini = remove_path);

static void write_plain(const char *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");
    cr_assert_eq(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

/* Appends one gzip member. */
static void write_gzip(const char *bytes, size_t length)
{
    gzFile file = gzopen(path, "ab");
    cr_assert_eq(gzwrite(file, bytes, (unsigned)length), (int)length);
    gzclose(file);
}

static struct input *open_path(void)
{
    struct error err;
    struct input *input = input_open(path, &kind, &err);
    cr_assert_not_null(input, "%s", err.text);
    return input;
}

static void expect_line(struct input *input, const char *expected)
{
    struct error err;
    const char *line;
    size_t length;
    cr_assert_eq(input_next(input, &line, &length, &err), INPUT_RECORD, "'%s' was expected", expected);
    cr_assert_eq(length, strlen(expected), "'%.*s' instead of '%s'", (int)length, line, expected);
    cr_assert_arr_eq(line, expected, length);
}

static void expect(struct input *input, enum input_answer answer)
{
    struct error err;
    const char *line;
    size_t length;
    cr_assert_eq(input_next(input, &line, &length, &err), answer);
}

Test(input, gives_lines_without_ends_and_mark_and_counts_them)
{
    static const char bytes[] = "\xef\xbb\xbf{1}\r\n\n\r\n{4}\nhalf";
    write_plain(bytes, sizeof bytes - 1);
    struct input *input = open_path();
    expect_line(input, "{1}");
    expect_line(input, "");
    expect_line(input, "");
    expect_line(input, "{4}");
    expect_line(input, "half");
    cr_assert_eq(input_line(input), 5);
    expect(input, INPUT_END);
    expect(input, INPUT_END);
    cr_assert_eq(input_bytes(input), (int64_t)sizeof bytes - 1);
    input_close(input);
}

Test(input, an_empty_file_has_no_line)
{
    struct input *input = open_path();
    expect(input, INPUT_END);
    input_close(input);
}

Test(input, reads_gzip_of_several_members_by_its_bytes_not_its_name)
{
    write_gzip("one\ntw", 6);
    write_gzip("o\nthree\n", 8);
    struct input *input = open_path();
    expect_line(input, "one");
    expect_line(input, "two");
    expect_line(input, "three");
    expect(input, INPUT_END);
    input_close(input);
}

Test(input, a_damaged_or_cut_gzip_file_gives_its_lines_and_then_fails)
{
    enum { LINES = 20000 };
    char *text = malloc(LINES * 8 + 1);
    for (int i = 0; i < LINES; i++)
        sprintf(text + (size_t)i * 8, "%07d\n", i * 7919 % 1000000);
    write_gzip(text, LINES * 8);
    free(text);
    int64_t size = input_size(path);
    cr_assert_eq(truncate(path, size / 2), 0);
    struct input *input = open_path();
    struct error err;
    const char *line;
    size_t length;
    enum input_answer answer = INPUT_RECORD;
    int lines = 0;
    while ((answer = input_next(input, &line, &length, &err)) == INPUT_RECORD)
        lines++;
    cr_assert_eq(answer, INPUT_FAILED);
    cr_assert_gt(lines, 1000);
    cr_assert_not_null(strstr(err.text, "ends too early"), "%s", err.text);
    input_close(input);
}

Test(input, a_line_of_exactly_the_limit_is_given_and_one_byte_more_is_skipped)
{
    char *text = malloc(2 * INPUT_RECORD_BYTES + 64);
    memset(text, 'x', 2 * INPUT_RECORD_BYTES + 64);
    text[INPUT_RECORD_BYTES] = '\n';
    text[2 * INPUT_RECORD_BYTES + 2] = '\n';
    memcpy(text + 2 * INPUT_RECORD_BYTES + 3, "after\n", 6);
    write_plain(text, 2 * INPUT_RECORD_BYTES + 9);
    free(text);
    struct input *input = open_path();
    struct error err;
    const char *line;
    size_t length;
    cr_assert_eq(input_next(input, &line, &length, &err), INPUT_RECORD);
    cr_assert_eq(length, INPUT_RECORD_BYTES);
    expect(input, INPUT_BAD);
    expect_line(input, "after");
    cr_assert_eq(input_line(input), 3);
    expect(input, INPUT_END);
    input_close(input);
}

Test(input, a_hundred_megabytes_in_one_line_are_skipped_also_at_the_end)
{
    FILE *file = fopen(path, "wb");
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    fputs("before\n", file);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(fwrite(block, 1, sizeof block, file), sizeof block);
    fclose(file);
    struct input *input = open_path();
    expect_line(input, "before");
    expect(input, INPUT_BAD);
    expect(input, INPUT_END);
    cr_assert_eq(input_line(input), 2);
    input_close(input);
}

Test(input, a_missing_file_and_a_directory_are_usage_errors)
{
    struct error err;
    cr_assert_null(input_open("/nonexistent/file", &kind, &err));
    cr_assert_eq(err.kind, ERROR_USAGE);
    cr_assert_null(input_open("/tmp", &kind, &err));
    cr_assert_eq(err.kind, ERROR_USAGE);
}

/* Appends one zstd frame. */
static void write_zstd(const char *bytes, size_t length)
{
    static char packed[1 << 20];
    size_t size = ZSTD_compress(packed, sizeof packed, bytes, length, 3);
    cr_assert(!ZSTD_isError(size));
    FILE *file = fopen(path, "ab");
    cr_assert_eq(fwrite(packed, 1, size, file), size);
    fclose(file);
}

Test(input, reads_zstd_of_several_frames_and_of_frames_to_be_skipped)
{
    write_plain("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
    write_zstd("one\ntw", 6);
    write_zstd("o\nthree\n", 8);
    struct input *input = open_path();
    expect_line(input, "one");
    expect_line(input, "two");
    expect_line(input, "three");
    expect(input, INPUT_END);
    input_close(input);
}

Test(input, packed_files_cut_at_each_length_give_their_lines_and_then_fail)
{
    static const char bytes[] = "one\ntwo\nthree\nfour\n";
    for (int is_zstd = 0; is_zstd < 2; is_zstd++) {
        write_plain("", 0);
        is_zstd ? write_zstd(bytes, sizeof bytes - 1) : write_gzip(bytes, sizeof bytes - 1);
        for (int64_t size = input_size(path) - 1; size > 3; size--) {
            cr_assert_eq(truncate(path, size), 0);
            struct input *input = open_path();
            struct error err;
            const char *line;
            size_t length;
            enum input_answer answer;
            while ((answer = input_next(input, &line, &length, &err)) == INPUT_RECORD)
                ;
            cr_assert_eq(answer, INPUT_FAILED, "cut at %d", (int)size);
            input_close(input);
        }
    }
}

Test(input, a_text_that_begins_like_a_packed_one_is_a_text)
{
    write_plain("(1\n", 3);
    struct input *input = open_path();
    expect_line(input, "(1");
    expect(input, INPUT_END);
    input_close(input);
    write_plain("P", 1);
    input = open_path();
    expect_line(input, "P");
    expect(input, INPUT_END);
    input_close(input);
}

Test(input, finds_csv_records_with_line_ends_and_delimiters_in_quotes)
{
    kind = (struct input_kind){.format = RECORD_CSV, .delimiter = ','};
    static const char bytes[] = "\xef\xbb\xbf\"a\n\",b\r\n1,\"x\r\n\"\"y\"\"\"\n\"\",2\nhalf,\"q\"";
    write_plain(bytes, sizeof bytes - 1);
    struct input *input = open_path();
    expect_line(input, "\"a\n\",b");
    cr_assert_eq(input_line(input), 1);
    expect_line(input, "1,\"x\r\n\"\"y\"\"\"");
    cr_assert_eq(input_line(input), 3);
    expect_line(input, "\"\",2");
    cr_assert_eq(input_line(input), 5);
    expect_line(input, "half,\"q\"");
    expect(input, INPUT_END);
    input_close(input);
}

Test(input, a_quote_that_is_never_closed_costs_its_own_line)
{
    kind = (struct input_kind){.format = RECORD_CSV, .delimiter = ','};
    static const char bytes[] = "a,b\n1,\"open\n2,3\n4,5\n";
    write_plain(bytes, sizeof bytes - 1);
    struct input *input = open_path();
    expect_line(input, "a,b");
    expect(input, INPUT_BAD);
    cr_assert_eq(input_line(input), 2);
    expect_line(input, "2,3");
    expect_line(input, "4,5");
    cr_assert_eq(input_line(input), 4);
    expect(input, INPUT_END);
    input_close(input);
}

Test(input, a_file_full_of_open_quotes_is_given_up)
{
    kind = (struct input_kind){.format = RECORD_CSV, .delimiter = ','};
    FILE *file = fopen(path, "wb");
    for (int i = 0; i < 1000; i++)
        fputs("\"a\"\"\n", file);
    fputs("\n", file);
    fclose(file);
    struct input *input = open_path();
    struct error err;
    const char *line;
    size_t length;
    enum input_answer answer;
    int bad = 0;
    while ((answer = input_next(input, &line, &length, &err)) == INPUT_BAD || answer == INPUT_RECORD)
        bad += answer == INPUT_BAD;
    cr_assert(answer == INPUT_FAILED || answer == INPUT_END);
    cr_assert_leq(bad, 100);
    input_close(input);
}

Test(input, finds_msgpack_objects_and_stops_where_none_can_be_found)
{
    kind = (struct input_kind){.format = RECORD_MSGPACK};
    static const char bytes[] = "\x81\xa1z\xc0\x80\x82\xa1z\x92\x01\xcd\x01\x02\xa1y\xd6\xff\0\0\0\1\xc1";
    write_plain(bytes, sizeof bytes - 1);
    struct input *input = open_path();
    expect_line(input, "\x81\xa1z\xc0");
    expect_line(input, "\x80");
    struct error err;
    const char *record;
    size_t length;
    cr_assert_eq(input_next(input, &record, &length, &err), INPUT_RECORD);
    cr_assert_eq(length, 16);
    cr_assert_eq(input_line(input), 3);
    cr_assert_eq(input_next(input, &record, &length, &err), INPUT_FAILED);
    cr_assert_not_null(strstr(err.text, "record 4"), "%s", err.text);
    input_close(input);
    write_plain("\x81\xa1z\xdd\xff\xff\xff\xff\x01", 9); /* declares 4 G items */
    input = open_path();
    expect(input, INPUT_BAD);
    expect(input, INPUT_END);
    input_close(input);
}
