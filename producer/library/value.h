/* value.h - what a record of any format says: a tree of values, made anew for each record in memory that is used again.
 *
 * Whole numbers are exact from -2^63 to 2^64-1; a number beyond that is kept as its text (VALUE_BIG), to be refused only where
 * somebody wants it. Containers keep the order of what is in them. One thread.
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_VALUE_H
#define TALLYMILL_PRODUCER_LIBRARY_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum value_type {
    VALUE_NULL,
    VALUE_FALSE,
    VALUE_TRUE,
    VALUE_INTEGER,  /* an int64_t */
    VALUE_UNSIGNED, /* from 2^63 on */
    VALUE_REAL,     /* finite */
    VALUE_BIG,      /* a number that is none of these: its text */
    VALUE_TEXT,
    VALUE_ARRAY,
    VALUE_OBJECT,
};

struct value {
    const char *key;    /* in an object: UTF-8 with a NUL behind it; else NULL */
    struct value *next; /* in the same container */
    uint32_t key_length;
    uint8_t type;       /* enum value_type */
    bool is_taken;      /* serves a column already: not part of the rest */
    bool is_nan;        /* a field of CSV that is NaN or NULL, without quotes */
    bool is_number_nan; /* NaN, in a file whose fields have types */
    size_t length;      /* bytes of a text, entries of a container */
    union {
        int64_t integer;
        uint64_t whole;
        double real;
        const char *text; /* with a NUL behind it and none inside */
        struct {
            struct value *first, *last;
        } entries;
    };
};

enum { VALUE_COUNT_MAX = 256 * 1024, VALUE_DEPTH_MAX = 32 };

struct value_pool;

/* NULL: no memory. */
struct value_pool *value_pool_new(void);
void value_pool_free(struct value_pool *pool);
/* Forgets all values; keeps a little memory for the next. */
void value_pool_reset(struct value_pool *pool);

/* A value, valid until the pool is reset. NULL: ERROR_REJECT, more than VALUE_COUNT_MAX; ERROR_RETRY, no memory. */
MUST_CHECK struct value *value_new(struct value_pool *pool, enum value_type type, struct error *err);
/* Memory for a text, NUL not counted. NULL: ERROR_RETRY. */
MUST_CHECK char *value_room(struct value_pool *pool, size_t length, struct error *err);
/* A text of bytes that are copied. */
MUST_CHECK struct value *value_text(struct value_pool *pool, const char *text, size_t length, struct error *err);
/* The same value, to stand in another container; texts and entries are shared. */
MUST_CHECK struct value *value_share(struct value_pool *pool, const struct value *value, struct error *err);
/* All of it, into another pool. */
MUST_CHECK struct value *value_copy(struct value_pool *pool, const struct value *value, struct error *err);

/* Puts it behind what is there. The key is borrowed; NULL in an array. */
void value_add(struct value *container, const char *key, size_t key_length, struct value *value);
/* The entry of that name, or NULL; also NULL when it is no object. */
struct value *value_find(const struct value *object, const char *key, size_t key_length);
/* Some entry is not taken. */
bool value_has_rest(const struct value *object);
/* False: ERROR_REJECT, a key stands twice in the object (of its own entries, not of theirs). */
MUST_CHECK bool value_keys_are_unique(struct value_pool *pool, const struct value *object, struct error *err);

#endif
