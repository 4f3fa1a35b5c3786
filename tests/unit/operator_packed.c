/* packed.c: bytes that no worker took, shown as far as they can be read. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operator/packed.h"

#define SHOWS(bytes, expected) shows((const uint8_t *)(bytes), sizeof(bytes) - 1, expected)

static void shows(const uint8_t *bytes, size_t length, const char *expected)
{
    char *shown = NULL;
    size_t size = 0;
    uint8_t *exact = malloc(length + 1); /* a sanitizer sees each byte too far */
    memcpy(exact, bytes, length);
    exact = realloc(exact, length > 0 ? length : 1);
    FILE *out = open_memstream(&shown, &size);
    packed_print(out, exact, length);
    fclose(out);
    cr_expect_str_eq(shown, expected);
    free(exact);
    free(shown);
}

Test(packed, shows_an_item_a_line_with_its_place)
{
    SHOWS("\x83\xa2id\xc4\x02\xab\xcd\xa1n\xa5login\xa1""d\x82\xa1""a\x93\x01\xff\xc3\xa1""b\x80",
          "  000000  map of 3\n"
          "  000001    \"id\" = bin of 2 bytes: abcd\n"
          "  000008    \"n\" = \"login\"\n"
          "  000010    \"d\" = map of 2\n"
          "  000013      \"a\" = array of 3\n"
          "  000016        1\n"
          "  000017        -1\n"
          "  000018        true\n"
          "  000019      \"b\" = map of 0\n");
    SHOWS("\x95\xc0\xca\x3d\xcc\xcc\xcd\xcb\x7f\xf0\0\0\0\0\0\0\xd6\xff\x69\x68\xb4\xe8\xd4\x05x",
          "  000000  array of 5\n"
          "  000001    nil\n"
          "  000002    0.1\n"
          "  000007    inf\n"
          "  000010    timestamp 2026-01-15T09:35:36Z\n"
          "  000016    extension 5 of 1 bytes: 78\n");
}

Test(packed, shows_what_is_wrong_instead_of_refusing_it)
{
    SHOWS("\x83\xa1k\x01\xa1k\x02\x07\xa2\xc3\x28",
          "  000000  map of 3\n"
          "  000001    \"k\" = 1\n"
          "  000004    \"k\" = 2\n"
          "  000007    7 = \"\\xc3(\"\n");
    SHOWS("\xa5\x1b[2J\0", "  000000  \"\\x1b[2J\\x00\"\n");
    SHOWS("\x81\x91\x01\x02",
          "  000000  map of 1\n"
          "  000001    array of 1\n"
          "  000002      1\n"
          "  000003    2\n");
}

Test(packed, says_where_it_cannot_be_read_on)
{
    SHOWS("\xc1 and", "  000000  no msgpack: byte c1\n");
    SHOWS("\x81\xa1k\xd9\x20x",
          "  000000  map of 1\n"
          "  000001    \"k\" = \n"
          "  000003    the bytes end inside this item\n");
    SHOWS("\xdf\xff\xff\xff\xff", "  000000  more items are declared than bytes are left\n");
    SHOWS("\x01\x02",
          "  000000  1\n"
          "  000001  bytes stand behind the value\n");
}

Test(packed, every_cut_of_an_event_and_any_depth_come_to_an_end)
{
    static const char event[] = "\x83\xa2id\xc4\x02\xab\xcd\xa1n\xa5login\xa1""d\x82\xa1""a\x93\x01\xff\xc3\xa1""b\x80";
    static uint8_t deep[100000];
    memset(deep, '\x91', sizeof deep);
    FILE *out = fopen("/dev/null", "w");
    for (size_t length = 0; length < sizeof event; length++)
        packed_print(out, (const uint8_t *)event, length);
    packed_print(out, deep, sizeof deep);
    fclose(out);
}

static void has_text(const char *bytes, size_t length, bool is_there, const char *expected)
{
    char text[8];
    cr_expect_eq(packed_text_of((const uint8_t *)bytes, length, "session_id", text, sizeof text), is_there);
    cr_expect_str_eq(text, expected);
}

Test(packed, finds_a_text_by_its_key_as_far_as_the_bytes_can_be_read)
{
    has_text("\x82\xa1n\x92\x01\x02\xaasession_id\xa3s-1", 21, true, "s-1");
    has_text("\x82\xaasession_id\xa3s-1\xa1n\xc1", 19, true, "s-1"); /* broken behind it */
    has_text("\x82\xa1n\xc1\xaasession_id\xa3s-1", 19, false, "");    /* broken before it */
    has_text("\x81\xaasession_id\xa9" "123456789", 22, true, "1234567");
    has_text("\x81\xaasession_id\xa8" "\x67\x72\xc3\xb6\xc3\x9f\xc3\xa4", 21, true, "grö\xc3\x9f"); /* no half character */
    has_text("\x81\xaasession_id\x07", 13, false, "");
    has_text("\xc1", 1, false, "");
    has_text("", 0, false, "");
}
