/* json_match.c - reads JSON text along a msgpack tree, without a JSON parser's own ideas of numbers.
 *
 * Integers must be the digits of printf, exactly; doubles must read back bit for bit, and one digit less must not. A JSON library
 * was rejected: none keeps 2^64 - 1 and -0.0 apart from their neighbours.
 */
#include "json_match.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oracle.h"

static const char *match_word(const char *at, const char *end, const char *word)
{
    const size_t length = strlen(word);
    return (size_t)(end - at) >= length && memcmp(at, word, length) == 0 ? at + length : NULL;
}

/* One character of JSON text as the bytes it means (all that is escaped is ASCII). 0: not JSON. */
static const char *unescape(const char *at, const char *end, char *byte)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (at == end || (uint8_t)*at < 0x20 || *at == '"')
        return NULL;
    if (*at != '\\') {
        *byte = *at;
        return at + 1;
    }
    if (end - at < 2)
        return NULL;
    const char *letter = strchr(letters, at[1]);
    if (letter && *letter) {
        *byte = meanings[letter - letters];
        return at + 2;
    }
    unsigned code;
    int used = 0;
    if (end - at < 6 || at[1] != 'u' || sscanf(at + 2, "%4x%n", &code, &used) != 1 || used != 4 || code == 0 || code > 0x1f)
        return NULL;
    *byte = (char)code;
    return at + 6;
}

static const char *match_text(const char *at, const char *end, const char *text, uint32_t length)
{
    at = match_word(at, end, "\"");
    for (uint32_t i = 0; at && i < length; i++) {
        char byte = 0;
        at = unescape(at, end, &byte);
        if (at && byte != text[i])
            return NULL;
    }
    return at ? match_word(at, end, "\"") : NULL;
}

static const char *match_base64(const char *at, const char *end, const char *bytes, uint32_t length)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    at = match_word(at, end, "\"");
    for (uint64_t bit = 0; at && bit < (uint64_t)length * 8; bit += 6) {
        unsigned group = 0;
        for (uint64_t i = bit; i < bit + 6; i++)
            group = group * 2 + (i / 8 < length ? (unsigned)((uint8_t)bytes[i / 8] >> (7 - i % 8)) & 1 : 0);
        if (at == end || *at++ != alphabet[group])
            return NULL;
    }
    for (uint32_t pad = (3 - length % 3) % 3; at && pad > 0; pad--)
        at = match_word(at, end, "=");
    return at ? match_word(at, end, "\"") : NULL;
}

static const char *match_time(const char *at, const char *end, const msgpack_object *value)
{
    int64_t wall_us;
    if (oracle_time(value, &wall_us) != REASON_NONE)
        return NULL;
    int64_t micros = wall_us % 1000000;
    if (micros < 0)
        micros += 1000000;
    const time_t seconds = (time_t)((wall_us - micros) / 1000000);
    struct tm date;
    char text[64];
    gmtime_r(&seconds, &date);
    size_t length = (size_t)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06" PRId64, date.tm_year + 1900,
                                     date.tm_mon + 1, date.tm_mday, date.tm_hour, date.tm_min, date.tm_sec, micros);
    while (text[length - 1] == '0')
        length--;
    if (text[length - 1] == '.')
        length--;
    text[length++] = 'Z';
    return match_text(at, end, text, (uint32_t)length);
}

/* The significant digits of a decimal: without zeros at its begin and end. */
static int digits_of(const char *at, const char *end)
{
    int digits = 0, zeros = 0;
    for (; at < end && *at != 'e'; at++) {
        if (*at < '0' || *at > '9' || (digits == 0 && *at == '0'))
            continue;
        zeros = *at == '0' ? zeros + 1 : 0;
        digits++;
    }
    return digits - zeros;
}

static bool reads_back(const char *text, double value, bool is_single)
{
    const double have = is_single ? (double)strtof(text, NULL) : strtod(text, NULL);
    return memcmp(&have, &value, sizeof value) == 0;
}

static const char *match_double(const char *at, const char *end, double value, bool is_single)
{
    const size_t length = strspn(at, "+-.0123456789eE");
    if (length > (size_t)(end - at) || !strpbrk(at, ".e") || strpbrk(at, ".e") >= at + length || !reads_back(at, value, is_single))
        return NULL;
    const int digits = digits_of(at, at + length);
    char shorter[64];
    snprintf(shorter, sizeof shorter, "%.*e", digits - 2 < 0 ? 0 : digits - 2, value);
    if (digits > 1 && reads_back(shorter, value, is_single))
        return NULL; /* a shorter decimal would do */
    return at + length;
}

static const char *match_integer(const char *at, const char *end, const msgpack_object *value)
{
    char digits[32];
    if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        snprintf(digits, sizeof digits, "%" PRIu64, value->via.u64);
    else
        snprintf(digits, sizeof digits, "%" PRId64, value->via.i64);
    at = match_word(at, end, digits);
    return at && at < end && strchr(".eE0123456789", *at) ? NULL : at;
}

const char *json_match_pair(const char *at, const char *end, const msgpack_object_kv *pair)
{
    at = match_text(at, end, pair->key.via.str.ptr, pair->key.via.str.size);
    at = at ? match_word(at, end, ":") : NULL;
    return at ? json_match(at, end, &pair->val) : NULL;
}

static const char *match_items(const char *at, const char *end, const msgpack_object *value)
{
    const bool is_map = value->type == MSGPACK_OBJECT_MAP;
    const uint32_t count = is_map ? value->via.map.size : value->via.array.size;
    at = match_word(at, end, is_map ? "{" : "[");
    for (uint32_t i = 0; at && i < count; i++) {
        if (i > 0)
            at = match_word(at, end, ",");
        if (at)
            at = is_map ? json_match_pair(at, end, &value->via.map.ptr[i]) : json_match(at, end, &value->via.array.ptr[i]);
    }
    return at ? match_word(at, end, is_map ? "}" : "]") : NULL;
}

const char *json_match(const char *at, const char *end, const msgpack_object *value)
{
    switch (value->type) {
    case MSGPACK_OBJECT_NIL: return match_word(at, end, "null");
    case MSGPACK_OBJECT_BOOLEAN: return match_word(at, end, value->via.boolean ? "true" : "false");
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: return match_integer(at, end, value);
    case MSGPACK_OBJECT_FLOAT32: return match_double(at, end, value->via.f64, true);
    case MSGPACK_OBJECT_FLOAT64: return match_double(at, end, value->via.f64, false);
    case MSGPACK_OBJECT_STR: return match_text(at, end, value->via.str.ptr, value->via.str.size);
    case MSGPACK_OBJECT_BIN: return match_base64(at, end, value->via.bin.ptr, value->via.bin.size);
    case MSGPACK_OBJECT_EXT: return match_time(at, end, value);
    case MSGPACK_OBJECT_ARRAY:
    case MSGPACK_OBJECT_MAP: return match_items(at, end, value);
    }
    return NULL;
}
