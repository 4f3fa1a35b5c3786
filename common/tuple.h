/* tuple.h - the layout of an event's tuple in Postgres's binary COPY, of its columns, and of what is around them, in COPY
 * (postgresql.org/docs/current/sql-copy.html, "Binary Format") and in an array. transcode() writes a tuple, the worker's batch
 * reads it; nobody else knows where what lies.
 *
 * The columns of fixed width come first, so that they lie at fixed places; then event_data, which so can be written the moment it
 * is met, whatever the order of keys; last the short texts, which are only pointed at until the walk over the event is over.
 */
#ifndef TALLYMILL_COMMON_TUPLE_H
#define TALLYMILL_COMMON_TUPLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/bytes.h"
#include "common/plain_text.h"

/* In the order of the tuple: what the COPY statement and the INSERT name. */
#define TUPLE_COLUMN_NAMES "batch_id, id, created_at, is_internal, event_data, event_name, event_category, session_id, user_id"

/* Where the fixed columns' data lie in a tuple, in bytes from its begin. */
enum {
    TUPLE_COLUMNS = 9,
    TUPLE_FIRST_COLUMN = 2, /* its length word, behind the number of columns */
    TUPLE_BATCH_ID = 6,
    TUPLE_ID = 18,
    TUPLE_CREATED_AT = 38,
    TUPLE_IS_INTERNAL = 50,
    TUPLE_EVENT_DATA = 51, /* its length word; all columns from here on carry theirs */
};

/* Before the first tuple (signature, flags, no extension) and behind the last one. */
#define COPY_HEADER  "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"
#define COPY_TRAILER "\377\377"
enum { COPY_HEADER_BYTES = sizeof COPY_HEADER - 1, COPY_TRAILER_BYTES = sizeof COPY_TRAILER - 1 };

/* A column: its length word and its bytes; NULL bytes: SQL's NULL. */
static inline uint8_t *put_column(uint8_t *out, const void *bytes, uint32_t length)
{
    if (!bytes)
        return put_32(out, UINT32_MAX);
    out = put_32(out, length);
    if (length > 0 && length < 16)
        copy_short(out, bytes, length);
    else if (length > 0)
        memcpy(out, bytes, length);
    return out + length;
}

/* What is before the elements of an array of one dimension, which are columns as above. */
enum { ARRAY_HEAD_BYTES = 20 };

static inline uint8_t *put_array_head(uint8_t *out, uint32_t element_type, int count)
{
    out = put_32(out, 1); /* dimensions */
    out = put_32(out, 1); /* may hold NULLs */
    out = put_32(out, element_type);
    out = put_32(out, (uint32_t)count);
    return put_32(out, 1); /* first index */
}

struct tuple_column {
    const uint8_t *bytes; /* NULL: SQL's NULL */
    uint32_t length;
};

/* The column whose length word is at *next, which moves behind it. */
static inline struct tuple_column tuple_next_column(const uint8_t **next)
{
    const uint32_t length = get_32(*next);
    *next += 4;
    if (length == UINT32_MAX)
        return (struct tuple_column){0};
    const struct tuple_column column = {*next, length};
    *next += length;
    return column;
}

/* Bytes of the column whose length word is at `column`, the word included. */
static inline size_t tuple_column_bytes(const uint8_t *column)
{
    const uint32_t length = get_32(column);
    return 4 + (length == UINT32_MAX ? 0 : (size_t)length);
}

#endif
