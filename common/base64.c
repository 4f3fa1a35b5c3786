/* base64.c - see base64.h. */
#include "common/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(char *text, const uint8_t *bytes, size_t length)
{
    char *to = text;
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[group & 63] : '=';
    }
    return (size_t)(to - text);
}

bool base64_decode(const char *text, size_t text_length, uint8_t *bytes, size_t length)
{
    if (text_length != BASE64_LENGTH(length))
        return false;
    for (size_t i = 0; i < text_length; i += 4) {
        size_t left = length - i / 4 * 3, count = left < 3 ? left : 3;
        uint32_t group = 0;
        for (size_t j = 0; j < 4; j++) {
            const char *digit = text[i + j] == '\0' ? NULL : strchr(digits, text[i + j]);
            if (j <= count ? digit == NULL : text[i + j] != '=')
                return false;
            group = group << 6 | (j <= count ? (uint32_t)(digit - digits) : 0);
        }
        for (size_t j = 0; j < count; j++)
            bytes[i / 4 * 3 + j] = (uint8_t)(group >> (16 - 8 * j));
        if ((group & ((UINT32_C(1) << (8 * (3 - count))) - 1)) != 0)
            return false;
    }
    return true;
}
