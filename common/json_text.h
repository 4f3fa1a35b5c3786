/* json_text.h - writes values as JSON text straight into a buffer that is known to be large enough. No allocation, no locale.
 *
 * Every function takes where to write and returns the first byte behind. Room needed: JSON_TEXT_ROOM bytes for a number or time; 6
 * bytes a byte of input plus 2 for text; 4 bytes per 3 of input plus 6 for binary.
 */
#ifndef TALLYMILL_COMMON_JSON_TEXT_H
#define TALLYMILL_COMMON_JSON_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "common/reason.h"

enum { JSON_TEXT_ROOM = 40 };

/* A quoted string. UTF8 or NUL where the input is not good text; *out is advanced only on REASON_NONE. */
enum reason json_write_text(uint8_t **out, const uint8_t *text, size_t length);

uint8_t *json_write_uint(uint8_t *out, uint64_t value);
uint8_t *json_write_int(uint8_t *out, int64_t value);

/* The shortest decimal that reads back as the same double (float). Whole numbers keep a ".0", so that they stay floating point to a
 * reader. */
enum reason json_write_float64(uint8_t **out, double value); /* NONFINITE */
enum reason json_write_float32(uint8_t **out, float value);

uint8_t *json_write_base64(uint8_t *out, const uint8_t *bytes, size_t length); /* RFC 4648 section 4, padded, quoted */

/* Quoted RFC 3339 in UTC; TS_RANGE beyond the years 0001 to 9999, which that format cannot say. */
enum reason json_write_time(uint8_t **out, int64_t wall_us);

/* Good UTF-8 (RFC 3629) without NUL: REASON_NONE, UTF8 or NUL. */
enum reason text_check(const uint8_t *text, size_t length);

#endif
