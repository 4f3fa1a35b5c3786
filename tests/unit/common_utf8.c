/* A text that is too long is cut between two characters. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/error.h"
#include "common/utf8.h"

static const char *const texts[] = {"plain", "gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac\xe2\x82\xac", "a\xf0\x9f\x98\x80\xf0\x9f\x98\x80"};

static bool is_whole(const char *text, size_t length)
{
    for (size_t at = 0, bytes; at < length; at += bytes)
        if ((bytes = utf8_character((const unsigned char *)text + at, length - at)) == 0)
            return false;
    return true;
}

Test(utf8, is_cut_at_a_character_wherever_the_room_ends)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const size_t length = strlen(texts[i]);
        for (size_t room = 0; room <= length + 2; room++) {
            char copy[32], text[32];
            const size_t whole = utf8_whole(texts[i], length, room);
            cr_expect(is_whole(texts[i], whole) && whole <= room && (whole == length || whole + 4 > room), "%s in %zu", texts[i],
                      room);
            utf8_copy(copy, room + 1, texts[i]);
            cr_expect(strlen(copy) == whole && memcmp(copy, texts[i], whole) == 0);
            snprintf(text, room + 1 > sizeof text ? sizeof text : room + 1, "%s", texts[i]);
            cr_expect_eq(utf8_trim(text), whole);
            snprintf(text, sizeof text, "%.*s|", UTF8_CUT(texts[i], room));
            cr_expect(is_whole(text, strlen(text)));
        }
    }
}

Test(utf8, leaves_what_is_no_character_as_it_stands)
{
    char text[] = "\x80\xbf\xff";
    cr_expect_eq(utf8_trim(text), 3);
    cr_expect_eq(utf8_whole("\xff\xff\xff\xff", 4, 2), 2);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_expect(utf8_is_text(texts[i]) && utf8_is_text(""));
    cr_expect(!utf8_is_text("a\xff") && !utf8_is_text("\xe2\x82") && !utf8_is_text("\xed\xa0\x80"));
    char copy[1];
    cr_expect_str_eq(utf8_copy(copy, 1, "abc"), "");
}

Test(utf8, error_texts_stay_whole_through_every_prefix)
{
    char prefix[1200];
    for (size_t length = 500; length < 520; length++) {
        struct error err;
        memset(prefix, 'x', length);
        strcpy(prefix + length, "\xf0\x9f\x98\x80 and more");
        error_set(&err, ERROR_RETRY, "%s", prefix);
        cr_expect(is_whole(err.text, strlen(err.text)));
        error_set(&err, ERROR_RETRY, "because");
        error_wrap(&err, "%s", prefix);
        cr_expect(is_whole(err.text, strlen(err.text)), "%zu", length);
    }
}
