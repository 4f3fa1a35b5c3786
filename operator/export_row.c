/* export_row.c - see export_row.h.
 *
 * Read from COPY's text format: its fields end at a tab and its rows are messages, whatever an event holds. Invariant: what --raw
 * and NDJSON say comes back through tallymill-produce as the same event. The one value that needs care is a whole number beyond 64
 * bits inside event_data: it was a double when it came, JSONB prints all of its digits, and no reader of whole numbers takes them;
 * it is written with an exponent, 1e300, where that says the same.
 *
 * Rejected: COPY (FORMAT csv), with expressions of ours around each text for the guard. It costs the server more than all this
 * costs us, and says no JSON.
 */
#include "operator/export_row.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/csv.h"
#include "common/json_text.h"

enum { DOUBLE_DIGITS = 17 };

void export_row_init(struct export_row *row, const struct export_columns *columns, enum export_form form)
{
    row->columns = columns;
    row->form = form;
    row->line = NULL;
    row->length = row->room = row->guarded_count = 0;
}

void export_row_reset(struct export_row *row)
{
    free(row->line);
    row->line = NULL;
}

/* Where to write so many bytes more; NULL without memory. */
static char *reserve(struct export_row *row, size_t bytes, struct error *err)
{
    if (row->room - row->length < bytes) {
        const size_t room = (row->length + bytes) * 2;
        char *line = realloc(row->line, room);
        if (!line) {
            error_set(err, ERROR_RETRY, "no memory for a row of %zu bytes", room);
            return NULL;
        }
        row->line = line;
        row->room = room;
    }
    return row->line + row->length;
}

static void put_end(struct export_row *row, const char *end)
{
    row->length = (size_t)(end - row->line);
}

static bool put_byte(struct export_row *row, char byte, struct error *err)
{
    char *at = reserve(row, 1, err);
    if (at) {
        *at = byte;
        row->length++;
    }
    return at != NULL;
}

static bool put_bytes(struct export_row *row, const char *bytes, size_t length, struct error *err)
{
    char *at = reserve(row, length, err);
    if (at) {
        memcpy(at, bytes, length);
        row->length += length;
    }
    return at != NULL;
}

static bool put_cell(struct export_row *row, size_t column, const char *text, size_t length, bool may_guard, struct error *err)
{
    char *at = reserve(row, csv_room(length), err);
    if (!at) {
        return false;
    }
    const bool is_guarded = may_guard && row->form == EXPORT_CSV && csv_is_formula(text, length);
    put_end(row, is_guarded ? csv_put_guarded(at, text, length) : csv_put(at, text, length));
    if (is_guarded) {
        row->guarded[row->guarded_count++] = column;
    }
    return true;
}

static bool put_json_text(struct export_row *row, const char *text, size_t length, struct error *err)
{
    uint8_t *at = (uint8_t *)reserve(row, 6 * length + 2, err);
    if (at && json_write_text(&at, (const uint8_t *)text, length) != REASON_NONE) {
        return error_set(err, ERROR_FATAL, "the server sent a text that is no UTF-8, though it was asked for that");
    }
    if (at) {
        put_end(row, (const char *)at);
    }
    return at != NULL;
}

/* Undoes COPY's backslashes in place; returns the length. */
static size_t unescape_copy(char *text, size_t length)
{
    static const char names[] = "bfnrtv", bytes[] = "\b\f\n\r\t\v";
    char *to = memchr(text, '\\', length);
    if (!to) {
        return length;
    }
    for (const char *at = to, *const end = text + length; at < end; at++) {
        if (*at != '\\' || at + 1 == end) {
            *to++ = *at;
            continue;
        }
        const char *name = memchr(names, *++at, sizeof names - 1);
        *to++ = name ? bytes[name - names] : *at;
    }
    return (size_t)(to - text);
}

/* Undoes JSON's backslashes in place, as JSONB writes them: \uXXXX for control characters alone. `text` is behind the first quote,
 * `length` without the last. */
static size_t unescape_json(char *text, size_t length)
{
    static const char names[] = "bfnrt", bytes[] = "\b\f\n\r\t";
    char *to = memchr(text, '\\', length);
    if (!to) {
        return length;
    }
    for (const char *at = to, *const end = text + length; at < end; at++) {
        if (*at != '\\' || at + 1 == end) {
            *to++ = *at;
        } else if (at[1] == 'u' && end - at >= 6) {
            const char digits[] = {at[4], at[5], '\0'};
            *to++ = (char)strtol(digits, NULL, 16);
            at += 5;
        } else {
            const char *name = memchr(names, *++at, sizeof names - 1);
            *to++ = name ? bytes[name - names] : *at;
        }
    }
    return (size_t)(to - text);
}

/* Whether a whole number of so many digits is none of 64 bits. */
static bool is_beyond(const char *digits, size_t count, bool is_negative)
{
    const char *const limit = is_negative ? "9223372036854775808" : "18446744073709551615";
    const size_t limit_count = is_negative ? 19 : 20;
    return count > limit_count || (count == limit_count && memcmp(digits, limit, count) > 0);
}

/* Writes a run of digits that are a whole number; with an exponent where no 64 bits hold it and a double may. Returns the place
 * behind it. */
static char *put_whole(char *to, const char *digits, size_t count, bool is_negative)
{
    size_t kept = count;
    while (kept > 1 && digits[kept - 1] == '0') {
        kept--;
    }
    char exponent[24];
    const int length = snprintf(exponent, sizeof exponent, "e%zu", count - kept);
    const bool is_shorter = is_beyond(digits, count, is_negative) && kept <= DOUBLE_DIGITS && (size_t)length <= count - kept;
    memmove(to, digits, is_shorter ? kept : count);
    if (is_shorter) {
        memcpy(to + kept, exponent, (size_t)length);
    }
    return to + (is_shorter ? kept + (size_t)length : count);
}

static const char *end_of_digits(const char *at, const char *end)
{
    while (at < end && isdigit((unsigned char)*at)) {
        at++;
    }
    return at;
}

/* Rewrites the numbers of JSON text in place, which never makes it longer; returns the length. */
static size_t rewrite_numbers(char *text, size_t length)
{
    const char *at = text, *const end = text + length;
    char *to = text;
    while (at < end) { /* from token to token */
        const char *const start = at;
        if (*at == '"') {
            for (at++; at < end && *at != '"'; at++) {
                at += *at == '\\';
            }
            at = at < end ? at + 1 : end;
        } else if (isdigit((unsigned char)*at)) {
            at = end_of_digits(at, end);
            if (at - start >= 19 && (at == end || (*at != '.' && *at != 'e' && *at != 'E'))) {
                to = put_whole(to, start, (size_t)(at - start), start > text && start[-1] == '-');
                continue;
            }
            while (at < end && (isdigit((unsigned char)*at) || memchr(".eE+-", *at, 5))) {
                at++;
            }
        } else {
            at++;
        }
        memmove(to, start, (size_t)(at - start));
        to += at - start;
    }
    return (size_t)(to - text);
}

/* "2026-01-15 09:30:00.25+00" to RFC 3339, in place; returns the length. What is no such time stays. */
static size_t rewrite_time(char *text, size_t length)
{
    char *blank = memchr(text, ' ', length);
    if (!blank || length < 4 || memcmp(text + length - 3, "+00", 3) != 0) {
        return length;
    }
    *blank = 'T';
    text[length - 3] = 'Z';
    return length - 2;
}

static bool put_null(struct export_row *row, struct error *err)
{
    if (row->form == EXPORT_NDJSON) {
        return put_bytes(row, "null", 4, err);
    }
    /* An empty line would be no record at all. */
    return row->columns->count > 1 || put_bytes(row, "\"\"", 2, err);
}

static bool put_attribute(struct export_row *row, size_t column, char *text, size_t length, struct error *err)
{
    if (row->form == EXPORT_NDJSON) {
        return put_bytes(row, text, rewrite_numbers(text, length), err);
    }
    if (length == 4 && memcmp(text, "null", 4) == 0) {
        return put_null(row, err);
    }
    if (length >= 2 && text[0] == '"') {
        return put_cell(row, column, text + 1, unescape_json(text + 1, length - 2), true, err);
    }
    return put_cell(row, column, text, rewrite_numbers(text, length), false, err);
}

/* A number that JSON can say begins with a digit. */
static bool is_json_number(const char *text, size_t length)
{
    const size_t sign = length > 0 && text[0] == '-';
    return length > sign && isdigit((unsigned char)text[sign]);
}

/* A field that is not NULL; it is changed in place. */
static bool put_value(struct export_row *row, size_t column, char *text, size_t length, struct error *err)
{
    const bool is_json = row->form == EXPORT_NDJSON;
    length = unescape_copy(text, length);
    switch (row->columns->items[column].kind) {
    case EXPORT_BOOLEAN: return text[0] == 't' ? put_bytes(row, "true", 4, err) : put_bytes(row, "false", 5, err);
    case EXPORT_NUMBER:
        return is_json && !is_json_number(text, length) ? put_json_text(row, text, length, err) : put_bytes(row, text, length, err);
    case EXPORT_TIME:
        length = rewrite_time(text, length);
        return is_json ? put_json_text(row, text, length, err) : put_cell(row, column, text, length, false, err);
    case EXPORT_JSON:
        length = rewrite_numbers(text, length);
        return is_json ? put_bytes(row, text, length, err) : put_cell(row, column, text, length, false, err);
    case EXPORT_ATTRIBUTE: return put_attribute(row, column, text, length, err);
    case EXPORT_TEXT: break;
    }
    return is_json ? put_json_text(row, text, length, err) : put_cell(row, column, text, length, true, err);
}

/* What stands before a field: a comma, a name. */
static bool put_lead(struct export_row *row, size_t column, struct error *err)
{
    if (row->form != EXPORT_NDJSON) {
        return column == 0 || put_byte(row, ',', err);
    }
    const char *name = row->columns->items[column].name;
    return put_byte(row, column == 0 ? '{' : ',', err) && put_json_text(row, name, strlen(name), err) && put_byte(row, ':', err);
}

bool export_row_head(struct export_row *row, struct error *err)
{
    row->length = row->guarded_count = 0;
    for (size_t column = 0; row->form != EXPORT_NDJSON && column < row->columns->count; column++) {
        const char *name = row->columns->items[column].name;
        if (!put_lead(row, column, err) || !put_cell(row, column, name, strlen(name), true, err)) {
            return false;
        }
    }
    return row->form == EXPORT_NDJSON || put_byte(row, '\n', err);
}

bool export_row_make(struct export_row *row, char *message, size_t length, struct error *err)
{
    char *at = message, *const end = message + length - (length > 0 && message[length - 1] == '\n');
    row->length = row->guarded_count = 0;
    for (size_t column = 0; column < row->columns->count; column++) {
        char *tab = at <= end ? memchr(at, '\t', (size_t)(end - at)) : NULL, *const stop = tab ? tab : end;
        if (at > end || (!tab) != (column + 1 == row->columns->count)) {
            return error_set(err, ERROR_FATAL, "Postgres sent a row that has not %zu fields", row->columns->count);
        }
        const bool is_null = stop - at == 2 && at[0] == '\\' && at[1] == 'N';
        if (!put_lead(row, column, err) || !(is_null ? put_null(row, err) : put_value(row, column, at, (size_t)(stop - at), err))) {
            return false;
        }
        at = stop + 1;
    }
    return row->form == EXPORT_NDJSON ? put_bytes(row, "}\n", 2, err) : put_byte(row, '\n', err);
}
