/* extra.h - what travels beside an event's value: the caller's tag and headers. In ring and spool it lies behind the value, as
 * bytes:
 *
 *     tag 8 · for each header: name's length 2 · value's length 2 · name · NUL · value
 *
 * in the machine's own order, for neither travels. Any thread.
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_EXTRA_H
#define TALLYMILL_PRODUCER_LIBRARY_EXTRA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { EXTRA_TAG_BYTES = 8, EXTRA_HEADER_BYTES = 4, EXTRA_MAX = 4096, EXTRA_NAME_MAX = 255 };

static inline uint64_t extra_tag(const uint8_t *extra, size_t length)
{
    uint64_t tag = 0;
    if (length >= EXTRA_TAG_BYTES)
        memcpy(&tag, extra, sizeof tag);
    return tag;
}

struct extra_header {
    const char *name; /* NUL-terminated */
    const void *value;
    size_t value_length;
};

/* The header at *at (EXTRA_TAG_BYTES at first), which moves behind it. False: there is none. */
static inline bool extra_next(const uint8_t *extra, size_t length, size_t *at, struct extra_header *header)
{
    uint16_t lengths[2];
    if (*at + sizeof lengths > length)
        return false;
    memcpy(lengths, extra + *at, sizeof lengths);
    size_t size = sizeof lengths + lengths[0] + 1U + lengths[1];
    if (*at + size > length)
        return false;
    header->name = (const char *)extra + *at + sizeof lengths;
    header->value = extra + *at + sizeof lengths + lengths[0] + 1;
    header->value_length = lengths[1];
    *at += size;
    return true;
}

#endif
