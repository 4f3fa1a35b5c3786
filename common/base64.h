/* base64.h - bytes as text (RFC 4648, section 4, with padding). */
#ifndef TALLYMILL_COMMON_BASE64_H
#define TALLYMILL_COMMON_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many characters `length` bytes become; without the NUL. */
#define BASE64_LENGTH(length) (((length) + 2) / 3 * 4)

/* Writes them, without a NUL. Returns how many. */
size_t base64_encode(char *text, const uint8_t *bytes, size_t length);

/* Reads exactly `length` bytes from text of exactly BASE64_LENGTH(length) characters. */
bool base64_decode(const char *text, size_t text_length, uint8_t *bytes, size_t length);

#endif
