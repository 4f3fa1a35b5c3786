/* msgpack_json.h - a msgpack object as a JSON value, the way the workers would store it: bin as base64 text, a timestamp as RFC
 * 3339 text, a float32 as the shortest decimal that reads back as it. */
#ifndef TALLYMILL_MSGPACK_JSON_H
#define TALLYMILL_MSGPACK_JSON_H

#include <stddef.h>

#include <jansson.h>

struct error;

/* NULL: ERROR_REJECT with the reason (no msgpack, a key that is no text or stands twice, NUL, no UTF-8, NaN, another extension,
 * more than 32 levels, an integer above 2^63 - 1, which JSON values here do not hold, bytes behind the object). */
json_t *msgpack_json(const void *bytes, size_t length, struct error *err);

#endif
