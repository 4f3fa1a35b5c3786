/* json_text.c - JSON text of strings, numbers, binary and times.
 *
 * Strings go eight bytes at a time while none of them needs a look: most text of events is plain ASCII. Doubles first try to be a whole number
 * over a small power of ten, which nearly all measured values are (12.5, 0.034): when n / 10^k gives the value back, with n below 2^53 and
 * k <= 22, the decimal n * 10^-k reads back as it (both are exact, one division rounds once: Clinger 1990), and the smallest such k is the
 * shortest. Other values from 0.001 to a billion are rounded to 15, 16, 17 digits in exact 128-bit arithmetic, until the decimal lies in the
 * interval that reads back. What is left prints with rising precision; a table of Ryu would be faster there and 10 kB larger, and that is rare.
 */
#include "json_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "clock.h"

/* The length of the good UTF-8 sequence at `at`, 0 where it is none. The first byte is >= 0x80. Table 3-7 of the Unicode standard. */
static size_t sequence_length(const uint8_t *at, size_t left)
{
    const uint8_t first = at[0];
    if (first < 0xc2 || first > 0xf4)
        return 0;
    const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (left < length)
        return 0;
    const uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)
#define FILL  UINT64_C(0x6161616161616161) /* plain letters, where a word has bytes to spare */

/* Is any byte below 0x20, a quote, a backslash, or not ASCII? (Bit tricks: Anderson, "Determine if a word has a byte less than n".) */
static bool needs_a_look(uint64_t word)
{
    const uint64_t control = (word - ONES * 0x20) & ~word;
    const uint64_t quote = ((word ^ ONES * 0x22) - ONES) & ~(word ^ ONES * 0x22);
    const uint64_t slash = ((word ^ ONES * 0x5c) - ONES) & ~(word ^ ONES * 0x5c);
    return ((word | control | quote | slash) & HIGHS) != 0;
}

/* The last `left` bytes (1 to 7) of a text as a word with zeros behind them, read without reading past either end. */
static uint64_t last_word(const uint8_t *text, size_t length, size_t left)
{
    if (length >= 8)
        return load_8(text + length - 8) >> 8 * (8 - left);
    const uint8_t *at = text + length - left;
    if (left >= 4)
        return load_4(at) | (uint64_t)load_4(at + left - 4) << 8 * (left - 4);
    uint64_t word = at[0];
    if (left >= 2)
        word |= (uint64_t)at[left - 1] << 8 * (left - 1) | (uint64_t)at[1] << 8;
    return word;
}

static uint8_t *write_escape(uint8_t *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    *out++ = '\\';
    switch (byte) {
    case '"': *out++ = '"'; break;
    case '\\': *out++ = '\\'; break;
    case '\b': *out++ = 'b'; break;
    case '\f': *out++ = 'f'; break;
    case '\n': *out++ = 'n'; break;
    case '\r': *out++ = 'r'; break;
    case '\t': *out++ = 't'; break;
    default:
        memcpy(out, "u00", 3);
        out[3] = (uint8_t)digits[byte >> 4];
        out[4] = (uint8_t)digits[byte & 15];
        out += 5;
    }
    return out;
}

enum reason json_write_text(uint8_t **out, const uint8_t *text, size_t length)
{
    uint8_t *to = *out;
    *to++ = '"';
    size_t at = 0;
    while (at < length) {
        uint64_t word;
        while (length - at >= sizeof word) {
            memcpy(&word, text + at, sizeof word);
            if (needs_a_look(word))
                break;
            memcpy(to, &word, sizeof word);
            to += sizeof word;
            at += sizeof word;
        }
        if (at == length)
            break;
        const size_t left = length - at;
        if (left < sizeof word) {
            word = last_word(text, length, left);
            if (!needs_a_look(word | FILL << 8 * left)) {
                memcpy(to, &word, sizeof word);
                to += left;
                break;
            }
        }
        const uint8_t byte = text[at];
        if (byte >= 0x80) {
            const size_t sequence = sequence_length(text + at, length - at);
            if (sequence == 0)
                return REASON_UTF8;
            memcpy(to, text + at, sequence);
            to += sequence;
            at += sequence;
        } else if (byte == 0) {
            return REASON_NUL;
        } else {
            if (byte < 0x20 || byte == '"' || byte == '\\')
                to = write_escape(to, byte);
            else
                *to++ = byte;
            at++;
        }
    }
    *to++ = '"';
    *out = to;
    return REASON_NONE;
}

enum reason text_check(const uint8_t *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint64_t word;
        if (length - at >= sizeof word) {
            memcpy(&word, text + at, sizeof word);
            if (((word | ((word - ONES) & ~word)) & HIGHS) == 0) {
                at += sizeof word;
                continue;
            }
        }
        if (text[at] == 0)
            return REASON_NUL;
        const size_t sequence = text[at] < 0x80 ? 1 : sequence_length(text + at, length - at);
        if (sequence == 0)
            return REASON_UTF8;
        at += sequence;
    }
    return REASON_NONE;
}

uint8_t *json_write_uint(uint8_t *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    memcpy(out, digits + at, sizeof digits - at);
    return out + sizeof digits - at;
}

uint8_t *json_write_int(uint8_t *out, int64_t value)
{
    if (value >= 0)
        return json_write_uint(out, (uint64_t)value);
    *out++ = '-';
    return json_write_uint(out, 0 - (uint64_t)value);
}

static const uint64_t powers_of_ten[20] = {UINT64_C(1),
                                           UINT64_C(10),
                                           UINT64_C(100),
                                           UINT64_C(1000),
                                           UINT64_C(10000),
                                           UINT64_C(100000),
                                           UINT64_C(1000000),
                                           UINT64_C(10000000),
                                           UINT64_C(100000000),
                                           UINT64_C(1000000000),
                                           UINT64_C(10000000000),
                                           UINT64_C(100000000000),
                                           UINT64_C(1000000000000),
                                           UINT64_C(10000000000000),
                                           UINT64_C(100000000000000),
                                           UINT64_C(1000000000000000),
                                           UINT64_C(10000000000000000),
                                           UINT64_C(100000000000000000),
                                           UINT64_C(1000000000000000000),
                                           UINT64_C(10000000000000000000)};

/* Writes n * 10^-decimals, with at least one decimal. */
static uint8_t *write_decimal(uint8_t *out, uint64_t n, unsigned decimals)
{
    const uint64_t scale = powers_of_ten[decimals];
    out = json_write_uint(out, n / scale);
    *out++ = '.';
    uint64_t fraction = n % scale;
    if (decimals == 0) {
        *out++ = '0';
        return out;
    }
    for (unsigned i = decimals; i-- > 0; fraction /= 10)
        out[i] = (uint8_t)('0' + fraction % 10);
    return out + decimals;
}

/* Digits before the point of a size from 0.001 up; 0, -1, -2 where zeros stand behind it. */
static int whole_digits(double size)
{
    if (size < 1)
        return size >= 0.1 ? 0 : size >= 0.01 ? -1 : -2;
    int digits = 1;
    for (uint64_t whole = (uint64_t)size; whole >= 10; whole /= 10)
        digits++;
    return digits;
}

/* The shortest decimal of a size from 0.001 to below 1e9, which is mantissa * 2^-shift. Bounds: mantissa < 2^53, 10^k < 2^64 (k <= 19), the decimal's digits < 2^57,
 * shift <= 62: every product stays below 2^120. A decimal n * 10^-k reads back when it is nearer than half the distance of two doubles: |n * 2^shift -
 * mantissa * 10^k| * 2 < 10^k (half of that below a power of two, where doubles lie closer). Seventeen digits always do. */
static uint8_t *write_exact(uint8_t *out, double size)
{
    int exponent;
    const uint64_t mantissa = (uint64_t)ldexp(frexp(size, &exponent), 53);
    const unsigned shift = (unsigned)(53 - exponent);
    const unsigned nearness = mantissa == UINT64_C(1) << 52 ? 4 : 2;
    uint64_t n = 0;
    unsigned decimals = 0;
    for (int digits = 15; digits <= 17; digits++) {
        decimals = (unsigned)(digits - whole_digits(size));
        const unsigned __int128 scaled = (unsigned __int128)mantissa * powers_of_ten[decimals];
        n = (uint64_t)((scaled + ((unsigned __int128)1 << (shift - 1))) >> shift);
        const unsigned __int128 back = (unsigned __int128)n << shift;
        const unsigned __int128 off = back > scaled ? back - scaled : scaled - back;
        if (off * nearness < powers_of_ten[decimals])
            break;
    }
    for (; n % 10 == 0 && decimals > 1; decimals--)
        n /= 10;
    return write_decimal(out, n, decimals);
}

/* Puts ".0" behind a printed number that has neither point nor exponent, strips zeros that end a mantissa, and copies it out. */
static uint8_t *write_printed(uint8_t *out, const char *printed)
{
    const char *exponent = strchr(printed, 'e');
    const char *point = strchr(printed, '.');
    size_t mantissa = exponent ? (size_t)(exponent - printed) : strlen(printed);
    if (point) {
        while (printed[mantissa - 1] == '0')
            mantissa--;
        if (printed[mantissa - 1] == '.')
            mantissa--;
    }
    memcpy(out, printed, mantissa);
    out += mantissa;
    if (exponent) {
        const size_t rest = strlen(exponent);
        memcpy(out, exponent, rest);
        out += rest;
    } else if (!point || mantissa <= (size_t)(point - printed)) {
        memcpy(out, ".0", 2);
        out += 2;
    }
    return out;
}

enum reason json_write_float64(uint8_t **out, double value)
{
    if (!isfinite(value))
        return REASON_NONFINITE;
    uint8_t *to = *out;
    const double size = fabs(value);
    if (size < 1e9 && (size >= 1e-3 || size == 0)) {
        if (signbit(value))
            *to++ = '-';
        for (unsigned decimals = 0; decimals <= 6; decimals++) {
            const double scale = (double)powers_of_ten[decimals];
            const uint64_t n = (uint64_t)(size * scale + 0.5);
            if ((double)n / scale == size) {
                *out = write_decimal(to, n, decimals);
                return REASON_NONE;
            }
        }
        *out = write_exact(to, size);
        return REASON_NONE;
    }
    char printed[JSON_TEXT_ROOM];
    /* Fifteen digits always survive a normal double; below that range fewer may do. */
    for (int digits = size < 2.3e-308 ? 1 : 15; digits <= 17; digits++) {
        snprintf(printed, sizeof printed, "%.*e", digits - 1, value);
        if (strtod(printed, NULL) == value)
            break;
    }
    *out = write_printed(to, printed);
    return REASON_NONE;
}

enum reason json_write_float32(uint8_t **out, float value)
{
    if (!isfinite(value))
        return REASON_NONFINITE;
    char printed[JSON_TEXT_ROOM];
    for (int digits = fabsf(value) < 1.2e-38f ? 1 : 6; digits <= 9; digits++) {
        snprintf(printed, sizeof printed, "%.*g", digits, (double)value);
        if (strtof(printed, NULL) == value)
            break;
    }
    *out = write_printed(*out, printed);
    return REASON_NONE;
}

uint8_t *json_write_base64(uint8_t *out, const uint8_t *bytes, size_t length)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    *out++ = '"';
    for (size_t at = 0; at < length; at += 3) {
        const size_t left = length - at;
        const uint32_t group = (uint32_t)bytes[at] << 16 | (left > 1 ? (uint32_t)bytes[at + 1] << 8 : 0) | (left > 2 ? bytes[at + 2] : 0);
        *out++ = (uint8_t)alphabet[group >> 18];
        *out++ = (uint8_t)alphabet[group >> 12 & 63];
        *out++ = left > 1 ? (uint8_t)alphabet[group >> 6 & 63] : '=';
        *out++ = left > 2 ? (uint8_t)alphabet[group & 63] : '=';
    }
    *out++ = '"';
    return out;
}

enum reason json_write_time(uint8_t **out, int64_t wall_us)
{
    const int64_t year_1 = INT64_C(-62135596800000000), year_10000 = INT64_C(253402300800000000);
    if (wall_us < year_1 || wall_us >= year_10000)
        return REASON_TS_RANGE;
    char text[CLOCK_TIME_BYTES];
    const size_t length = clock_format_time(text, wall_us);
    uint8_t *to = *out;
    *to++ = '"';
    memcpy(to, text, length);
    to += length;
    *to++ = '"';
    *out = to;
    return REASON_NONE;
}
