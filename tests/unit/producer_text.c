/* producer_text.c - text.c: what is UTF-8 without NUL, against every kind of fault and every place it may stand in. */
#include <criterion/criterion.h>

#include <string.h>

#include "producer/library/text.h"

static bool is_good(const char *text)
{
    return text_fault(text, strlen(text)) == NULL;
}

Test(text, takes_ascii_and_every_length_of_code_point_at_its_limits)
{
    cr_assert(is_good(""));
    cr_assert(is_good("plain\t\n\r\x01\x7f text that is longer than eight bytes"));
    cr_assert(is_good("\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"));
    cr_assert(text_fault(NULL, 0) == NULL);
}

Test(text, refuses_every_kind_of_bad_sequence_at_every_position)
{
    static const char *const faults[] = {"\x80",
                                         "\xbf",
                                         "\xc0\x80",
                                         "\xc1\xbf",
                                         "\xc3(",
                                         "\xc3",
                                         "\xe0\x80\x80",
                                         "\xe0\x9f\xbf",
                                         "\xe2\x82",
                                         "\xe2(\x82",
                                         "\xed\xa0\x80",
                                         "\xed\xbf\xbf",
                                         "\xf0\x80\x80\x80",
                                         "\xf0\x8f\xbf\xbf",
                                         "\xf0\x9f\x98",
                                         "\xf4\x90\x80\x80",
                                         "\xf5\x80\x80\x80",
                                         "\xfe",
                                         "\xff"};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        for (size_t before = 0; before < 20; before++) {
            char text[64];
            memset(text, 'a', sizeof text);
            memcpy(text + before, faults[i], strlen(faults[i]));
            size_t whole = before + strlen(faults[i]);
            cr_assert_str_eq(text_fault(text, whole), "is not UTF-8", "fault %zu at %zu, at the end", i, before);
            cr_assert_str_eq(text_fault(text, whole + 20), "is not UTF-8", "fault %zu at %zu, with text behind it", i, before);
        }
}

Test(text, refuses_a_nul_at_every_position)
{
    for (size_t at = 0; at < 24; at++) {
        char text[24];
        memset(text, '\x7f', sizeof text);
        text[at] = '\0';
        cr_assert_str_eq(text_fault(text, sizeof text), "holds a NUL", "at %zu", at);
    }
}
