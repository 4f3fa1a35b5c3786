/* Binary COPY data, as the server sends it and damaged in every way. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/copy_reader.h"
#include "common/error.h"

#define HEADER "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"
/* bigint 5, null, text "ab" */
#define TUPLE   "\0\3\0\0\0\10\0\0\0\0\0\0\0\5\377\377\377\377\0\0\0\2ab"
#define TRAILER "\377\377"

static struct copy_reader reader;
static struct copy_tuple tuple;
static struct error err;

/* In a block of its very size, so that the sanitizer sees a byte too far. */
static enum copy_outcome take(const char *message, size_t length)
{
    char *copy = malloc(length ? length : 1);
    memcpy(copy, message, length);
    enum copy_outcome outcome = copy_reader_take(&reader, copy, length, &tuple, &err);
    if (outcome == COPY_TUPLE && tuple.fields[0].bytes) /* the values are read while the message lives */
        cr_expect_eq(copy_field_int64(&tuple.fields[0]), 5);
    free(copy);
    return outcome;
}

static void init(void)
{
    copy_reader_init(&reader);
}

TestSuite(copy_reader, .init = init);

#define TAKE(bytes) take(bytes, sizeof(bytes) - 1)

Test(copy_reader, reads_a_header_with_the_first_tuple)
{
    cr_expect_eq(TAKE(HEADER TUPLE), COPY_TUPLE);
    cr_expect_eq(tuple.count, 3);
    cr_expect(copy_field_has(&tuple.fields[0], 8) && !tuple.fields[1].bytes && copy_field_has(&tuple.fields[2], 2));
    cr_expect_eq(TAKE(TUPLE), COPY_TUPLE);
    cr_expect_eq(TAKE(TRAILER), COPY_NOTHING);
    cr_expect(reader.is_ended);
}

Test(copy_reader, reads_a_header_by_itself_and_one_with_an_extension)
{
    cr_expect_eq(TAKE(HEADER), COPY_NOTHING);
    cr_expect_eq(TAKE(TUPLE), COPY_TUPLE);
    copy_reader_init(&reader);
    cr_expect_eq(TAKE("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\2xy" TUPLE), COPY_TUPLE);
    copy_reader_init(&reader);
    cr_expect_eq(TAKE(HEADER TRAILER), COPY_NOTHING);
    cr_expect(reader.is_ended);
}

Test(copy_reader, calls_every_cut_and_every_excess_damage)
{
    for (size_t length = 0; length < sizeof TUPLE - 1; length++) {
        reader.has_header = true;
        enum copy_outcome expected = length == 0 ? COPY_NOTHING : COPY_DAMAGED;
        cr_expect_eq(take(TUPLE, length), expected, "cut at %zu", length);
    }
    cr_expect_eq(TAKE(TUPLE "x"), COPY_DAMAGED);
    cr_expect_eq(TAKE("\0\1\177\377\377\377"), COPY_DAMAGED);
    cr_expect_eq(TAKE("\0\1\377\377\377\376"), COPY_DAMAGED);
    cr_expect_eq(TAKE("\0\11"), COPY_DAMAGED, "more fields than any query of ours asks for");
    copy_reader_init(&reader);
    cr_expect_eq(TAKE(TUPLE), COPY_DAMAGED, "no header");
    copy_reader_init(&reader);
    cr_expect_eq(TAKE("PGCOPY\n\377\r\n\0\0\0\0\0\177\377\377\377" TUPLE), COPY_DAMAGED);
}

Test(copy_reader, takes_nothing_behind_the_trailer)
{
    cr_expect_eq(TAKE(HEADER TRAILER), COPY_NOTHING);
    cr_expect_eq(TAKE(TUPLE), COPY_DAMAGED);
}

#define ARRAY(text) ((struct copy_field){.bytes = (text), .length = sizeof(text) - 1})
#define TWO_DAYS    "\0\0\0\1\0\0\0\0\0\0\4\72\0\0\0\2\0\0\0\1\0\0\0\4\0\0\44\1\0\0\0\4\377\377\377\377"

Test(copy_reader, reads_arrays_of_days)
{
    int32_t days[2];
    struct copy_field field = ARRAY(TWO_DAYS);
    cr_expect_eq(copy_field_int32_array(&field, days, 2), 2);
    cr_expect(days[0] == 0x2401 && days[1] == -1);
    cr_expect_eq(copy_field_int32_array(&field, days, 1), 2);
    struct copy_field empty = ARRAY("\0\0\0\0\0\0\0\0\0\0\4\72");
    cr_expect_eq(copy_field_int32_array(&empty, days, 2), 0);
    struct copy_field null = {0};
    cr_expect_eq(copy_field_int32_array(&null, days, 2), -1);
}

Test(copy_reader, refuses_arrays_that_are_cut_or_of_another_shape)
{
    int32_t days[2];
    for (size_t length = 0; length < sizeof TWO_DAYS - 1; length++) {
        char *copy = malloc(length ? length : 1);
        memcpy(copy, TWO_DAYS, length);
        struct copy_field field = {.bytes = copy, .length = (uint32_t)length};
        cr_expect_eq(copy_field_int32_array(&field, days, 2), -1, "cut at %zu", length);
        free(copy);
    }
    struct copy_field with_nulls = ARRAY("\0\0\0\1\0\0\0\1\0\0\4\72\0\0\0\1\0\0\0\1\377\377\377\377");
    cr_expect_eq(copy_field_int32_array(&with_nulls, days, 2), -1);
    struct copy_field wide = ARRAY("\0\0\0\2\0\0\0\0\0\0\4\72\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\1");
    cr_expect_eq(copy_field_int32_array(&wide, days, 2), -1);
    struct copy_field endless = ARRAY("\0\0\0\1\0\0\0\0\0\0\4\72\177\377\377\377\0\0\0\1");
    cr_expect_eq(copy_field_int32_array(&endless, days, 2), -1);
}
