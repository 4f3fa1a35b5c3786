/* json_text.c - JSON text of strings, numbers, binary and times.
 *
 * Strings are copied as they stand while nothing in them needs a look (plain_text.h). Doubles first try to be a whole number
 * of thousandths or millionths, which nearly all measured values are (12.5, 0.034): when n / 10^k gives the value back, with n
 * below 2^53 and k <= 22, the decimal n * 10^-k reads back as it (both are exact, one division rounds once: Clinger 1990). Other
 * values from 0.001 to a billion are rounded to 15, 16, 17 digits in exact 128-bit arithmetic, until the decimal lies in the
 * interval that reads back. What is left prints with rising precision; a table of Ryu would be faster there and 10 kB larger, and
 * that is rare.
 */
#include "common/json_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/clock.h"
#include "common/plain_text.h"
#include "common/utf8.h"

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

/* Text that holds something to escape or to check: byte by byte, plain stretches of sixteen at once. */
static enum reason write_with_care(uint8_t **out, const uint8_t *text, size_t length)
{
    uint8_t *to = *out;
    for (size_t at = 0; at < length;) {
        const uint8_t byte = text[at];
        if (byte >= 0x80) {
            const size_t sequence = utf8_sequence(text + at, length - at);
            if (sequence == 0)
                return REASON_UTF8;
            memcpy(to, text + at, sequence);
            to += sequence;
            at += sequence;
        } else if (byte == 0) {
            return REASON_NUL;
        } else if (byte < 0x20 || byte == '"' || byte == '\\') {
            to = write_escape(to, byte);
            at++;
        } else if (length - at >= 16 && copy_plain(to, text + at, 16)) {
            to += 16;
            at += 16;
        } else {
            *to++ = byte;
            at++;
        }
    }
    *out = to;
    return REASON_NONE;
}

enum reason json_write_text(uint8_t **out, const uint8_t *text, size_t length)
{
    uint8_t *to = *out;
    *to++ = '"';
    if (copy_plain(to, text, length)) {
        to += length;
    } else {
        const enum reason reason = write_with_care(&to, text, length);
        if (reason != REASON_NONE)
            return reason;
    }
    *to++ = '"';
    *out = to;
    return REASON_NONE;
}

enum reason text_check(const uint8_t *text, size_t length)
{
    if (is_plain(text, length))
        return REASON_NONE;
    for (size_t at = 0; at < length;) {
        if (text[at] == 0)
            return REASON_NUL;
        const size_t sequence = text[at] < 0x80 ? 1 : utf8_sequence(text + at, length - at);
        if (sequence == 0)
            return REASON_UTF8;
        at += sequence;
    }
    return REASON_NONE;
}

static const char pairs[] = "000102030405060708091011121314151617181920212223242526272829303132333435363738394041424344454647484950"
                            "51525354555657585960616263646566676869"
                            "707172737475767778798081828384858687888990919293949596979899";

static unsigned digits_of(uint64_t value)
{
    unsigned digits = 1;
    for (; value >= 10000; value /= 10000)
        digits += 4;
    return digits + (value >= 10) + (value >= 100) + (value >= 1000);
}

uint8_t *json_write_uint(uint8_t *out, uint64_t value)
{
    uint8_t *const end = out + digits_of(value);
    uint8_t *at = end;
    for (; value >= 100; value /= 100)
        memcpy(at -= 2, pairs + 2 * (value % 100), 2);
    if (value >= 10)
        memcpy(at - 2, pairs + 2 * value, 2);
    else
        at[-1] = (uint8_t)('0' + value);
    return end;
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

static void put_three(uint8_t *out, uint32_t thousandths)
{
    out[0] = (uint8_t)('0' + thousandths / 100);
    memcpy(out + 1, pairs + 2 * (thousandths % 100), 2);
}

/* How many of three digits are left when the zeros that end them are cut; one at least. */
static unsigned digits_without_zeros(uint32_t thousandths)
{
    return 1 + (thousandths % 100 != 0) + (thousandths % 10 != 0);
}

/* A size below 1e9 that is a whole number of thousandths (or millionths). Doubles there lie closer than that, so there is only one
 * such number, and cutting its zeros gives the shortest. */
static bool write_thousandths(uint8_t **out, double size)
{
    const int64_t n = (int64_t)(size * 1e3 + 0.5);
    if ((double)n / 1e3 != size)
        return false;
    const uint32_t fraction = (uint32_t)((uint64_t)n % 1000);
    uint8_t *to = json_write_uint(*out, (uint64_t)n / 1000);
    *to++ = '.';
    put_three(to, fraction);
    *out = to + digits_without_zeros(fraction);
    return true;
}

/* Only for what is no whole number of thousandths: the last three digits are not all zeros. */
static bool write_millionths(uint8_t **out, double size)
{
    const int64_t n = (int64_t)(size * 1e6 + 0.5);
    if ((double)n / 1e6 != size)
        return false;
    const uint32_t fraction = (uint32_t)((uint64_t)n % 1000000);
    uint8_t *to = json_write_uint(*out, (uint64_t)n / 1000000);
    *to++ = '.';
    put_three(to, fraction / 1000);
    put_three(to + 3, fraction % 1000);
    *out = to + 3 + digits_without_zeros(fraction % 1000);
    return true;
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

/* The shortest decimal of a size from 0.001 to below 1e9, which is mantissa * 2^-shift. Bounds: mantissa < 2^53, 10^k < 2^64 (k <=
 * 19), the decimal's digits < 2^57, shift <= 62: every product stays below 2^120. A decimal n * 10^-k reads back when it is nearer
 * than half the distance of two doubles: |n * 2^shift - mantissa * 10^k| * 2 < 10^k (half of that below a power of two, where
 * doubles lie closer). Seventeen digits always do. */
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
        const unsigned __int128 half = (unsigned __int128)1 << (shift - 1);
        n = (uint64_t)((scaled + half) >> shift);
        const unsigned __int128 back = (unsigned __int128)n << shift;
        const unsigned __int128 off = back > scaled ? back - scaled : scaled - back;
        n -= off == half ? n & 1 : 0; /* the one below is as near: the even one of the two */
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

/* The next decimal of as many digits, away from zero; false where it would be a power of ten, which has fewer digits. `printed` is
 * of "%e". */
static bool print_above(char *printed)
{
    char *at = strchr(printed, 'e') - 1;
    for (; at >= printed && (*at == '9' || *at == '.'); at--)
        if (*at == '9')
            *at = '0';
    if (at < printed || *at == '-')
        return false;
    ++*at;
    return true;
}

static bool is_double(const char *printed, double value)
{
    return strtod(printed, NULL) == value;
}

static bool is_float(const char *printed, double value)
{
    return strtof(printed, NULL) == (float)value;
}

/* With as few digits, from `digits` on, as read back, with an exponent, or without where %g would print none. Below a power of two
 * values lie twice as close as above it, so there the nearest decimal may not read back while the next one above does; anywhere
 * else the nearest of so many digits does, or none. */
static uint8_t *write_shortest(uint8_t *out, double value, bool may_be_plain, bool (*reads_back)(const char *, double), int digits,
                               int most)
{
    char printed[JSON_TEXT_ROOM];
    int exponent;
    const bool is_power_of_two = fabs(frexp(value, &exponent)) == 0.5;
    for (; digits <= most; digits++) {
        snprintf(printed, sizeof printed, "%.*e", digits - 1, value);
        if (reads_back(printed, value)) {
            if (may_be_plain)
                snprintf(printed, sizeof printed, "%.*g", digits, value);
            break;
        }
        if (is_power_of_two && print_above(printed) && reads_back(printed, value))
            break;
    }
    return write_printed(out, printed);
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
        if (write_thousandths(&to, size) || write_millionths(&to, size)) {
            *out = to;
            return REASON_NONE;
        }
        *out = write_exact(to, size);
        return REASON_NONE;
    }
    /* Fifteen digits always survive a normal double; below that range fewer may do. */
    *out = write_shortest(to, value, false, is_double, size < 2.3e-308 ? 1 : 15, 17);
    return REASON_NONE;
}

enum reason json_write_float32(uint8_t **out, float value)
{
    if (!isfinite(value))
        return REASON_NONFINITE;
    *out = write_shortest(*out, (double)value, true, is_float, fabsf(value) < 1.2e-38f ? 1 : 6, 9);
    return REASON_NONE;
}

uint8_t *json_write_base64(uint8_t *out, const uint8_t *bytes, size_t length)
{
    *out++ = '"';
    out += base64_encode((char *)out, bytes, length);
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
