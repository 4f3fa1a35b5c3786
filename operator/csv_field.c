/* csv_field.c - see csv_field.h. */
#include "operator/csv_field.h"

#include <string.h>

/* The place behind the field that begins at `at`: at its comma, or at the line's end. */
static const char *read_field(const char *at, const char *end, struct csv_field *field)
{
    *field = (struct csv_field){.bytes = at, .is_quoted = at < end && *at == '"'};
    if (!field->is_quoted) {
        while (at < end && *at != ',' && *at != '\n' && *at != '\r')
            at++;
        field->length = (size_t)(at - field->bytes);
        return at;
    }
    field->bytes = ++at;
    while (at < end && (*at != '"' || (at + 1 < end && at[1] == '"'))) /* ends: each turn goes on */
        at += *at == '"' ? 2 : 1;
    field->length = (size_t)(at - field->bytes);
    return at < end ? at + 1 : end;
}

bool csv_field_find(const char *row, size_t length, int index, struct csv_field *field)
{
    const char *at = row, *end = row + length;
    for (int i = 0; index >= 0; i++) { /* ends: each turn passes a field */
        at = read_field(at, end, field);
        if (i == index)
            return true;
        if (at >= end || *at != ',')
            return false;
        at++;
    }
    return false;
}

bool csv_field_is(const struct csv_field *field, const char *text, size_t length)
{
    const char *end = field->bytes + field->length;
    size_t used = 0;
    if (!field->is_quoted)
        return length > 0 && field->length == length && memcmp(field->bytes, text, length) == 0;
    for (const char *at = field->bytes; at < end; at += *at == '"' ? 2 : 1) { /* ends: each turn goes on */
        if (used == length || *at != text[used++])
            return false;
    }
    return used == length;
}
