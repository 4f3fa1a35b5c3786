/* csv.h - cells of CSV (RFC 4180), also such that a spreadsheet takes none of them for a formula.
 *
 * A spreadsheet computes a cell that begins with = + - @, a tab or a CR, and texts of events come from outside: "=HYPERLINK(...)"
 * as somebody's session runs on the desk of whoever opens the file. csv_put_guarded() puts a ' before such a text, which
 * spreadsheets show as the text it was. It is for texts only: a number that begins with - is a number, and would become a text.
 * NULL is an empty cell, which no call here writes; an empty text is "". Pure, no allocation. Any thread.
 */
#ifndef TALLYMILL_COMMON_CSV_H
#define TALLYMILL_COMMON_CSV_H

#include <stdbool.h>
#include <stddef.h>

/* The room that a cell of so many bytes needs at most: each a quote that is doubled, two around them, and the guard. */
static inline size_t csv_room(size_t length)
{
    return 2 * length + 3;
}

/* Whether a spreadsheet would take the text for a formula. */
bool csv_is_formula(const char *text, size_t length);

/* Writes a cell, in quotes where another reader could take it for something else. Returns the place behind it. */
char *csv_put(char *at, const char *text, size_t length);

/* The same, behind a ' where csv_is_formula(). */
char *csv_put_guarded(char *at, const char *text, size_t length);

#endif
