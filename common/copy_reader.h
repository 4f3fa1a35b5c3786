/* copy_reader.h - reads what COPY ... TO STDOUT (FORMAT binary) sends, one message at a time, without copying.
 *
 * PostgreSQL manual, "COPY", section "Binary Format". libpq hands over one message at a time; the file header comes with the first
 * tuple or by itself, depending on the server's release, so the reader takes both. Pure: no I/O, no allocation. One thread.
 */
#ifndef TALLYMILL_COMMON_COPY_READER_H
#define TALLYMILL_COMMON_COPY_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { COPY_FIELDS = 9 };

struct copy_field {
    const char *bytes; /* into the message; NULL: the value is null */
    uint32_t length;
};

struct copy_tuple {
    unsigned count;
    struct copy_field fields[COPY_FIELDS];
};

struct copy_reader {
    bool has_header; /* seen */
    bool is_ended;   /* the trailer was seen */
};

enum copy_outcome { COPY_TUPLE, COPY_NOTHING, COPY_DAMAGED };

void copy_reader_init(struct copy_reader *reader);

/* One message: a tuple, or nothing (only the header, or the trailer), or DAMAGED with ERROR_FATAL. The tuple is valid as long as
 * the message. */
MUST_CHECK enum copy_outcome copy_reader_take(struct copy_reader *reader, const char *message, size_t length,
                                              struct copy_tuple *tuple, struct error *err);

/* Values of a field that is not null and has the type's length; see copy_field_has(). */
int64_t copy_field_int64(const struct copy_field *field); /* bigint, and timestamptz as microseconds since 2000 */
int32_t copy_field_int32(const struct copy_field *field); /* integer, and date as days since 2000 */

/* Whether the field is not null and `length` bytes long. */
static inline bool copy_field_has(const struct copy_field *field, uint32_t length)
{
    return field->bytes && field->length == length;
}

/* Elements of a date[] or integer[] without nulls: their number, and the first `capacity` of them. -1: it is something else. */
int copy_field_int32_array(const struct copy_field *field, int32_t *elements, int capacity);

#endif
