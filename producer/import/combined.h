/* combined.h - a line of a web server's log in the combined (or common) format of Apache and nginx, as an object. No I/O. */
#ifndef TALLYMILL_PRODUCER_IMPORT_COMBINED_H
#define TALLYMILL_PRODUCER_IMPORT_COMBINED_H

#include <stddef.h>

#include "common/error.h"

struct value;
struct value_pool;

/* client, ident, user, time, method, path, protocol (or request, where it is not these three), status, bytes, referrer, agent; host
 * where a name and port come first; extra: what stands behind. What is "-" is absent. The values are the pool's. NULL:
 * ERROR_REJECT, ERROR_RETRY. */
MUST_CHECK struct value *combined_object(struct value_pool *pool, const char *line, size_t length, struct error *err);

#endif
