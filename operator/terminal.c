/* terminal.c - see terminal.h.
 *
 * The text is decoded, not filtered byte by byte: U+009B (a whole CSI sequence for some terminals) is the two innocent looking
 * bytes c2 9b, and U+202E would show a name backwards. What is escaped stays recognisable, so that two names that differ in a
 * hidden character look different.
 */
#include "operator/terminal.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/clock.h"
#include "common/utf8.h"

/* The bytes of the character at `text`, which ends with a NUL, and its code point; 0 when it is none. */
static size_t character_at(const unsigned char *text, uint32_t *point)
{
    const size_t length = utf8_character(text, strnlen((const char *)text, 4));
    *point = length <= 1 ? text[0] : text[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        *point = *point << 6 | (text[i] & 0x3fu);
    }
    return length;
}

static bool is_printable(uint32_t point)
{
    bool is_control = point < 0x20 || (point >= 0x7f && point < 0xa0);
    bool turns_direction =
        (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) || point == 0x200e || point == 0x200f;
    bool ends_line = point == 0x2028 || point == 0x2029;
    return !is_control && !turns_direction && !ends_line;
}

int terminal_text(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    int columns = 0;
    while (*at != 0) {
        uint32_t point = 0;
        const size_t length = character_at(at, &point);
        if (length > 0 && is_printable(point)) {
            if (out) {
                fwrite(at, 1, length, out);
            }
            columns += 1;
            at += length;
            continue;
        }
        for (size_t left = length > 0 ? length : 1; left > 0; left--, at++) {
            if (out) {
                fprintf(out, "\\x%02x", *at);
            }
            columns += 4;
        }
    }
    return columns;
}

const char *terminal_age(char buffer[TERMINAL_AGE_BYTES], int64_t age_us)
{
    static const struct {
        int64_t below_us, unit_us;
        const char *name;
    } units[] = {
        {CLOCK_SECOND_US, 1000, "ms"},
        {100 * CLOCK_SECOND_US, CLOCK_SECOND_US, "s"},
        {100 * 60 * CLOCK_SECOND_US, 60 * CLOCK_SECOND_US, "min"},
        {2 * CLOCK_DAY_US, 3600 * CLOCK_SECOND_US, "h"},
        {INT64_MAX, CLOCK_DAY_US, "days"},
    };
    size_t i = 0;
    while (age_us >= units[i].below_us && units[i].below_us != INT64_MAX) {
        i++;
    }
    /* A clock that was set back makes an age negative: it is as good as none. */
    snprintf(buffer, TERMINAL_AGE_BYTES, "%" PRId64 " %s", age_us < 0 ? 0 : age_us / units[i].unit_us, units[i].name);
    return buffer;
}
