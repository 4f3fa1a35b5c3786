/* consumer_json_text.c - numbers and text as JSON: shortest, exact, and nothing else. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_text.h"

static const char *print_double(double value)
{
    static uint8_t text[JSON_TEXT_ROOM + 1];
    uint8_t *end = text;
    cr_assert_eq(json_write_float64(&end, value), REASON_NONE);
    cr_assert_leq((size_t)(end - text), (size_t)JSON_TEXT_ROOM);
    *end = 0;
    return (const char *)text;
}

/* Two decimals of sixteen digits are as near: the even one, as in JavaScript and Python. */
Test(json_text, takes_the_even_one_of_two_shortest_decimals)
{
    cr_assert_str_eq(print_double(-732128995.55078125), "-732128995.5507812");
    cr_assert_str_eq(print_double(732128995.55078125), "732128995.5507812");
    cr_assert_str_eq(print_double(732128995.55859375), "732128995.5585938");
}

Test(json_text, prints_doubles_as_the_shortest_decimal)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.0, "0.0"},
                 {-0.0, "-0.0"},
                 {0.1, "0.1"},
                 {0.3, "0.3"},
                 {12.5, "12.5"},
                 {-3.0, "-3.0"},
                 {1e9, "1e+09"},
                 {5e-324, "5e-324"},
                 {1.7e308, "1.7e+308"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1.0 / 3, "0.3333333333333333"},
                 {812.034567, "812.034567"},
                 {0.001234567891, "0.001234567891"},
                 {0.25 + 0x1p-54, "0.25000000000000006"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = print_double(cases[i].value);
        cr_assert_eq(strtod(text, NULL), cases[i].value, "%s", text);
        if (i != 6)
            cr_assert_str_eq(text, cases[i].text);
    }
}

/* Digits of a mantissa without leading and trailing zeros. */
static int significant_digits(const char *text)
{
    int count = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (*text == '0' && count == 0))
            continue;
        count++;
        zeros = *text == '0' ? zeros + 1 : 0;
    }
    return count - zeros;
}

Test(json_text, random_doubles_read_back_and_have_no_digit_too_many)
{
    srandom(20260115);
    for (int i = 0; i < 300000; i++) {
        double value;
        const uint64_t bits = (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
        memcpy(&value, &bits, sizeof value);
        if (i % 3 == 0)
            value = (double)(random() % 100000000) / pow(10, (double)(random() % 8));
        else if (i % 3 == 1) /* any mantissa, sizes from 0.0005 to 2^30 */
            value = ldexp(1 + (double)(bits >> 12) / 0x1p52, (int)(random() % 41) - 11);
        if (i % 300 == 1)
            value = ldexp(1, (int)(random() % 41) - 11) +
                    (i % 600 == 1 ? 0 : ldexp(1, -60)); /* powers of two: doubles lie unevenly there */
        if (!isfinite(value))
            continue;
        const char *text = print_double(value);
        cr_assert_eq(strtod(text, NULL), value, "%s", text);
        char fewer[64];
        const int digits = significant_digits(text);
        if (digits > 1) {
            snprintf(fewer, sizeof fewer, "%.*e", digits - 2, value);
            cr_assert_neq(strtod(fewer, NULL), value, "%s could be %s", text, fewer);
        }
    }
}

Test(json_text, random_floats_read_back_as_the_same_float)
{
    srandom(7);
    for (int i = 0; i < 200000; i++) {
        const uint32_t bits = (uint32_t)random() << 1 ^ (uint32_t)random();
        float value;
        uint8_t text[JSON_TEXT_ROOM + 1], *end = text;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        cr_assert_eq(json_write_float32(&end, value), REASON_NONE);
        *end = 0;
        cr_assert_eq(strtof((const char *)text, NULL), value, "%s", (const char *)text);
    }
    uint8_t text[JSON_TEXT_ROOM + 1], *end = text;
    json_write_float32(&end, 0.1f);
    *end = 0;
    cr_assert_str_eq((const char *)text, "0.1");
}

Test(json_text, refuses_what_json_cannot_say)
{
    uint8_t text[JSON_TEXT_ROOM], *end = text;
    cr_assert_eq(json_write_float64(&end, NAN), REASON_NONFINITE);
    cr_assert_eq(json_write_float64(&end, -INFINITY), REASON_NONFINITE);
    cr_assert_eq(json_write_float32(&end, INFINITY), REASON_NONFINITE);
    cr_assert_eq(json_write_time(&end, INT64_MAX), REASON_TS_RANGE);
    cr_assert_eq(end, text);
}

Test(json_text, escapes_each_byte_at_each_place_of_a_word)
{
    for (int byte = 1; byte < 128; byte++) {
        for (size_t at = 0; at < 24; at++) {
            uint8_t in[24], got[24 * 6 + 2], wanted[64], *end = got;
            memset(in, 'x', sizeof in);
            in[at] = (uint8_t)byte;
            cr_assert_eq(json_write_text(&end, in, sizeof in), REASON_NONE);
            char escape[8];
            const char *named = strchr("\"\\\b\f\n\r\t", byte);
            if (named)
                snprintf(escape, sizeof escape, "\\%c", "\"\\bfnrt"[named - "\"\\\b\f\n\r\t"]);
            else if (byte < 0x20)
                snprintf(escape, sizeof escape, "\\u%04x", byte);
            else
                snprintf(escape, sizeof escape, "%c", byte);
            const int length = snprintf((char *)wanted, sizeof wanted, "\"%.*s%s%.*s\"", (int)at, "xxxxxxxxxxxxxxxxxxxxxxxx",
                                        escape, (int)(23 - at), "xxxxxxxxxxxxxxxxxxxxxxxx");
            cr_assert_eq((size_t)(end - got), (size_t)length, "byte %d at %zu", byte, at);
            cr_assert_eq(memcmp(got, wanted, (size_t)length), 0, "byte %d at %zu", byte, at);
        }
    }
}

Test(json_text, finds_bad_text_at_each_place_of_a_word)
{
    static const char *const bad[] = {"\xc3\x28", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "\xe2\x82", "\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (size_t at = 0; at < 16; at++) {
            uint8_t in[32], got[256], *end = got;
            memset(in, 'x', sizeof in);
            memcpy(in + at, bad[i], strlen(bad[i]));
            cr_assert_eq(text_check(in, sizeof in), REASON_UTF8, "%zu at %zu", i, at);
            cr_assert_eq(json_write_text(&end, in, sizeof in), REASON_UTF8, "%zu at %zu", i, at);
            memset(in, 'x', sizeof in);
            in[at] = 0;
            cr_assert_eq(text_check(in, sizeof in), REASON_NUL);
            cr_assert_eq(json_write_text(&end, in, sizeof in), REASON_NUL);
        }
    }
}

Test(json_text, base64_pads_each_length)
{
    static const char *const wanted[] = {"\"\"", "\"Zg==\"", "\"Zm8=\"", "\"Zm9v\"", "\"Zm9vYg==\""};
    for (size_t length = 0; length < 5; length++) {
        uint8_t text[32];
        uint8_t *end = json_write_base64(text, (const uint8_t *)"foobar", length);
        *end = 0;
        cr_assert_str_eq((const char *)text, wanted[length]);
    }
}
