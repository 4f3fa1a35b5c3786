/* producer_input.c - input.c: lines of plain and gzip files, whatever they hold. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "error.h"
#include "input.h"

static char path[64];

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
    struct input *input = input_open(path, &err);
    cr_assert_not_null(input, "%s", err.text);
    return input;
}

static void expect_line(struct input *input, const char *expected)
{
    struct error err;
    const char *line;
    size_t length;
    cr_assert_eq(input_next(input, &line, &length, &err), INPUT_LINE, "'%s' was expected", expected);
    cr_assert_str_eq(line, expected);
    cr_assert_eq(length, strlen(expected));
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
    enum input_answer answer = INPUT_LINE;
    int lines = 0;
    while ((answer = input_next(input, &line, &length, &err)) == INPUT_LINE)
        lines++;
    cr_assert_eq(answer, INPUT_FAILED);
    cr_assert_gt(lines, 1000);
    cr_assert_not_null(strstr(err.text, "ends too early"), "%s", err.text);
    input_close(input);
}

Test(input, a_line_of_exactly_the_limit_is_given_and_one_byte_more_is_skipped)
{
    char *text = malloc(2 * INPUT_LINE_BYTES + 64);
    memset(text, 'x', 2 * INPUT_LINE_BYTES + 64);
    text[INPUT_LINE_BYTES] = '\n';
    text[2 * INPUT_LINE_BYTES + 2] = '\n';
    memcpy(text + 2 * INPUT_LINE_BYTES + 3, "after\n", 6);
    write_plain(text, 2 * INPUT_LINE_BYTES + 9);
    free(text);
    struct input *input = open_path();
    struct error err;
    const char *line;
    size_t length;
    cr_assert_eq(input_next(input, &line, &length, &err), INPUT_LINE);
    cr_assert_eq(length, INPUT_LINE_BYTES);
    expect(input, INPUT_LONG);
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
    expect(input, INPUT_LONG);
    expect(input, INPUT_END);
    cr_assert_eq(input_line(input), 2);
    input_close(input);
}

Test(input, a_missing_file_and_a_directory_are_usage_errors)
{
    struct error err;
    cr_assert_null(input_open("/nonexistent/file", &err));
    cr_assert_eq(err.kind, ERROR_USAGE);
    cr_assert_null(input_open("/tmp", &err));
    cr_assert_eq(err.kind, ERROR_USAGE);
}
