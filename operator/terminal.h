/* terminal.h - text and ages as a person reads them: nothing from a server can move the cursor.
 *
 * Event names, client names and error texts come from outside and may hold escape sequences. Any thread.
 */
#ifndef TALLYMILL_OPERATOR_TERMINAL_H
#define TALLYMILL_OPERATOR_TERMINAL_H

#include <stdint.h>
#include <stdio.h>

/* Writes `text` with control characters (C0, DEL, C1), the characters that turn the direction of writing, and bytes that are not
 * UTF-8 as \xNN. Returns the columns written, counting one for each code point; with `out` NULL it only counts. */
int terminal_text(FILE *out, const char *text);

enum { TERMINAL_AGE_BYTES = 32 };

/* An age in one unit that keeps two digits: "350 ms", "12 s", "3 min", "5 h", "4 days". Returns `buffer`. */
const char *terminal_age(char buffer[TERMINAL_AGE_BYTES], int64_t age_us);

#endif
