/* http_deadline.h - connections, each with the moment at which it is closed whatever it does; and those that wait for their answer.
 *
 * A thread looks about once a second and shuts down the sockets that are too late; the library then sees an end of file. One that
 * is suspended is polled by nobody: it is resumed, and its answer says so. Any thread. Private to http*.c.
 */
#ifndef TALLYMILL_COMMON_HTTP_DEADLINE_H
#define TALLYMILL_COMMON_HTTP_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct MHD_Connection;
struct http_deadlines;
struct http_link;

/* NULL: ERROR_RETRY. */
MUST_CHECK struct http_deadlines *http_deadlines_start(unsigned request_ms, struct error *err);

/* No request can be suspended any more, and those that are are resumed as late. Then, once no connection is left, stop. */
void http_deadlines_end(struct http_deadlines *deadlines);
void http_deadlines_stop(struct http_deadlines *deadlines);

/* A connection; owned by the deadlines until removed. NULL without memory. */
struct http_link *http_deadlines_add(struct http_deadlines *deadlines, int fd);
void http_deadlines_remove(struct http_deadlines *deadlines, struct http_link *link);

/* `ms` from now. 0: as long as a request has. */
void http_deadlines_move(struct http_deadlines *deadlines, struct http_link *link, unsigned ms);

/* A request begins: it has its whole time from now on, unless the connection is late already. */
void http_deadlines_begin(struct http_deadlines *deadlines, struct http_link *link);

bool http_deadlines_suspend(struct http_deadlines *deadlines, struct http_link *link, struct MHD_Connection *connection);
void http_deadlines_resume(struct http_deadlines *deadlines, struct http_link *link);
void http_deadlines_resume_all(struct http_deadlines *deadlines);
bool http_deadlines_is_late(struct http_deadlines *deadlines, const struct http_link *link);

#endif
