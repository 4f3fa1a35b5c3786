/* json.h - a text of JSON (RFC 8259) as a value, and back. By yyjson; common/ keeps jansson, which reads settings and catalogues.
 *
 * One thread.
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_JSON_H
#define TALLYMILL_PRODUCER_LIBRARY_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/error.h"

struct json;
struct value;
struct value_pool;

/* Memory for texts of up to short_bytes is kept and used again (twelve times as much). NULL: no memory. */
enum { JSON_LINE_BYTES = 32 * 1024 };
struct json *json_new(size_t short_bytes);
void json_free(struct json *json);
/* From now on NaN, which Python and others write, is null; an Infinity is refused by its name. Else both are no JSON. */
void json_take_nan(struct json *json);

/* The value that the whole text is. It holds until the next call, or until the pool is reset. NULL: ERROR_REJECT, with the byte but
 * without the text, which does not belong into anybody's log; ERROR_RETRY, no memory. */
MUST_CHECK struct value *json_read(struct json *json, struct value_pool *pool, const char *text, size_t length, struct error *err);

/* The number that the whole text is; NULL when it is none, or without memory. */
struct value *json_number(struct value_pool *pool, const char *text, size_t length);

/* Whole numbers exactly, reals by their shortest text, in one line; what is_taken is left out. False: ERROR_RETRY. */
MUST_CHECK bool json_write(const struct value *value, FILE *file, struct error *err);

#endif
