/* array_text.h - an array literal of Postgres, built up: {1,2,3} or {"a","b \"quoted\""}.
 *
 * How many rows go to the server as one parameter each column (unnest). PostgreSQL manual, "Array Input and Output Syntax". Running
 * out of memory is remembered and reported once, by array_text_end(). One thread.
 */
#ifndef TALLYMILL_COMMON_ARRAY_TEXT_H
#define TALLYMILL_COMMON_ARRAY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct array_text {
    char *bytes;
    size_t used, capacity;
    bool has_failed;
};

/* An empty array; a zeroed struct is one that was never begun. */
void array_text_begin(struct array_text *array);
void array_text_add_int64(struct array_text *array, int64_t value);
void array_text_add_date(struct array_text *array, int32_t day);                /* days since 1970 */
void array_text_add(struct array_text *array, const char *text, size_t length); /* without NUL; quoted here */

/* The literal, NUL-terminated, valid until the next call; NULL: there was no memory. */
const char *array_text_end(struct array_text *array);
void array_text_free(struct array_text *array);

#endif
