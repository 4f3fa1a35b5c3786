/* utf16.h - UTF-16 as UTF-8, in pieces of any size. One thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_UTF16_H
#define TALLYMILL_PRODUCER_IMPORT_UTF16_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct utf16 {
    bool is_big;   /* endian */
    uint16_t high; /* the first half of a pair whose second is still to come, or 0 */
};

enum { UTF16_GROWTH = 3 }; /* room for so many bytes a byte, and 3 more, is always enough */

/* Writes what the bytes say, and *got, how much that was. Returns how many bytes were used: all, or all but an odd last one. A half
 * pair becomes three bytes that are no UTF-8, so that it is found where the text is looked at. */
size_t utf16_decode(struct utf16 *utf16, const uint8_t *bytes, size_t length, char *room, size_t *got);

#endif
