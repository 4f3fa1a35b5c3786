/* msgpack_value.h - a msgpack object as a value, the way the workers would store it: bin as base64 text, a timestamp as RFC 3339
 * text, a float32 as the shortest decimal that reads back as it. */
#ifndef TALLYMILL_PRODUCER_IMPORT_MSGPACK_VALUE_H
#define TALLYMILL_PRODUCER_IMPORT_MSGPACK_VALUE_H

#include <stddef.h>

#include "common/error.h"

struct value;
struct value_pool;

/* The values are the pool's. NULL: ERROR_REJECT with the reason (no msgpack, a key that is no text or stands twice, NUL, no UTF-8,
 * NaN, another extension, more than 32 levels, bytes behind the object); ERROR_RETRY, no memory. */
MUST_CHECK struct value *msgpack_value(struct value_pool *pool, const void *bytes, size_t length, struct error *err);

#endif
