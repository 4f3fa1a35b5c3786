/* packed.h - msgpack as a person reads it: an item a line, each with the byte at which it begins, as far as it can be read.
 *
 * For bytes that no worker took: what is wrong in them is shown, not refused (a key twice, a text that is not UTF-8). Any thread.
 */
#ifndef TALLYMILL_OPERATOR_PACKED_H
#define TALLYMILL_OPERATOR_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Nothing of the texts can move the cursor. Ends with a line that says where and why, if the bytes do not end with the first value.
 */
void packed_print(FILE *out, const uint8_t *bytes, size_t length);

/* The text of a key of the outermost map, NUL-terminated and cut at `size` bytes, up to its first NUL. False (and ""): the bytes
 * are no map, cannot be read so far, or the value is no text. */
bool packed_text_of(const uint8_t *bytes, size_t length, const char *key, char *text, size_t size);

#endif
