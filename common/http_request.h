/* http_request.h - what was asked of an HTTP server (http.h). Texts are valid until the request's answer was sent.
 *
 * In the thread that the request is handed to, but http_resume() and http_resume_all(), which any thread may call.
 */
#ifndef TALLYMILL_COMMON_HTTP_REQUEST_H
#define TALLYMILL_COMMON_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

struct MHD_Connection;
struct http_deadlines;
struct http_link;
struct http_request;
struct http_server;

const char *http_method(const struct http_request *request);
const char *http_path(const struct http_request *request); /* decoded, without the query: "/api/v1/page/overview" */

/* A value of the query, decoded, or NULL: the first of that name. "" where it has none. */
const char *http_query(const struct http_request *request, const char *name);

/* Calls `each` for every pair of the query, in its order. */
void http_each_query(struct http_request *request, void (*each)(void *context, const char *name, const char *value), void *context);

const char *http_header(const struct http_request *request, const char *name); /* NULL: not there */
/* The last of that name, where several may stand: what the proxy that is nearest to us has added behind those of others. */
const char *http_last_header(const struct http_request *request, const char *name);
const char *http_cookie(const struct http_request *request, const char *name);

/* The body as it came; *length 0 and "" where there is none. NUL-terminated behind its end. */
const char *http_body(const struct http_request *request, size_t *length);

enum { HTTP_CLIENT_BYTES = 64 };
/* The client's address as text without its port, "?" where it is not known. */
const char *http_client(const struct http_request *request, char text[HTTP_CLIENT_BYTES]);

/* A longer deadline than http_options.request_ms, from now on: for an answer that streams. */
void http_allow(struct http_request *request, unsigned seconds);

/* Instead of an answer: the request waits, and its thread goes on with others. False: it cannot (the server is closing, or it is
 * late), so answer now. Whoever keeps the request to resume it forgets it when the function is called for it again. */
bool http_suspend(struct http_request *request);

/* The function of http_options is called for it again, in its thread. One that is not suspended stays as it is. */
void http_resume(struct http_request *request);
void http_resume_all(struct http_server *server);

/* Its deadline came, or the server is closing: answer now. */
bool http_is_late(const struct http_request *request);

/* Its client has closed the connection, or its own half of it: nobody waits for the answer. */
bool http_is_left(const struct http_request *request);

/* For http.c: a request as its header was read; method and path are the library's. NULL without memory. */
struct http_request *http_request_new(struct http_deadlines *deadlines, struct http_link *link, struct MHD_Connection *connection,
                                      const char *method, const char *path);
void http_request_free(struct http_request *request);

/* Adds bytes of the body; what is longer than `most` is left out and noted. False: no memory. */
bool http_request_add(struct http_request *request, const char *bytes, size_t length, size_t most);
bool http_request_is_too_long(const struct http_request *request);

/* Whether it was suspended since it was last handed over. */
bool http_request_take_suspended(struct http_request *request);

#endif
