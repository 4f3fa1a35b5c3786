/* number_text.c - see number_text.h. By hand, because printf's ' groups only in a locale that says so, and ours is C. */
#include "common/number_text.h"

#include <inttypes.h>
#include <stdio.h>

const char *number_text(char buffer[NUMBER_TEXT_BYTES], int64_t number)
{
    char digits[NUMBER_TEXT_BYTES];
    int length = snprintf(digits, sizeof digits, "%" PRId64, number);
    int first = number < 0 ? 1 : 0;
    char *to = buffer;
    for (int i = 0; i < length; i++) {
        if (i > first && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return buffer;
}
