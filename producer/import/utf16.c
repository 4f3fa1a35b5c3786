/* utf16.c - see utf16.h. */
#include "producer/import/utf16.h"

/* Also of a surrogate alone, which UTF-8 has no form for. */
static char *put(char *to, uint32_t character)
{
    if (character < 0x80) {
        *to++ = (char)character;
        return to;
    }
    int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (char)(first[more] | character >> (6 * more));
    while (more-- > 0)
        *to++ = (char)(0x80 | (character >> (6 * more) & 0x3f));
    return to;
}

size_t utf16_decode(struct utf16 *utf16, const uint8_t *bytes, size_t length, char *room, size_t *got)
{
    char *to = room;
    size_t at = 0;
    for (; at + 1 < length; at += 2) {
        uint16_t unit = (uint16_t)(bytes[at + !utf16->is_big] << 8 | bytes[at + utf16->is_big]);
        bool is_low = unit >= 0xdc00 && unit <= 0xdfff;
        if (utf16->high != 0 && is_low) {
            to = put(to, 0x10000 + ((uint32_t)(utf16->high - 0xd800) << 10) + (unit - 0xdc00U));
            utf16->high = 0;
            continue;
        }
        if (utf16->high != 0)
            to = put(to, utf16->high);
        utf16->high = unit >= 0xd800 && unit <= 0xdbff ? unit : 0;
        if (utf16->high == 0)
            to = put(to, unit);
    }
    *got = (size_t)(to - room);
    return at;
}
