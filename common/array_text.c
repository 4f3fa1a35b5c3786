/* array_text.c - see array_text.h.
 *
 * Invariant: bytes[0..used) begins with '{' and ends with an element or '{'; room for the closing "}" is always kept.
 *
 * Rejected: one INSERT a row (a round trip each), and binary arrays (the same bytes to send, twice the code to build).
 */
#include "common/array_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

enum { CLOSING_BYTES = 2, NUMBER_BYTES = 24 };

static bool has_room(struct array_text *array, size_t bytes)
{
    if (array->has_failed)
        return false;
    size_t needed = array->used + bytes + CLOSING_BYTES;
    if (needed <= array->capacity)
        return true;
    size_t capacity = needed * 2 + 128;
    char *wider = realloc(array->bytes, capacity);
    array->has_failed = wider == NULL;
    if (!wider)
        return false;
    array->bytes = wider;
    array->capacity = capacity;
    return true;
}

static void put(struct array_text *array, char byte)
{
    array->bytes[array->used++] = byte;
}

void array_text_begin(struct array_text *array)
{
    array->used = 0;
    array->has_failed = false;
    if (has_room(array, 1))
        put(array, '{');
}

static void put_comma(struct array_text *array)
{
    if (array->used > 1)
        put(array, ',');
}

void array_text_add_int64(struct array_text *array, int64_t value)
{
    if (!has_room(array, NUMBER_BYTES))
        return;
    put_comma(array);
    array->used += (size_t)snprintf(array->bytes + array->used, NUMBER_BYTES - 1, "%" PRId64, value);
}

void array_text_add_date(struct array_text *array, int32_t day)
{
    if (!has_room(array, 1 + CLOCK_DAY_BYTES))
        return;
    put_comma(array);
    char text[CLOCK_DAY_BYTES];
    size_t length = clock_format_day(text, day);
    memcpy(array->bytes + array->used, text, length);
    array->used += length;
}

void array_text_add(struct array_text *array, const char *text, size_t length)
{
    if (!has_room(array, 3 + 2 * length))
        return;
    put_comma(array);
    put(array, '"');
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' || text[i] == '\\')
            put(array, '\\');
        put(array, text[i]);
    }
    put(array, '"');
}

const char *array_text_end(struct array_text *array)
{
    if (array->has_failed)
        return NULL;
    array->bytes[array->used] = '}';
    array->bytes[array->used + 1] = '\0';
    return array->bytes;
}

void array_text_free(struct array_text *array)
{
    free(array->bytes);
    *array = (struct array_text){0};
}
