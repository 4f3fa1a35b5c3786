/* http.h - a small HTTP server: one function is asked for every answer, in one thread or a few of the server's own.
 *
 * On GNU libmicrohttpd (gnu.org/software/libmicrohttpd). What strangers can take is bounded: connections, bytes of header and body,
 * seconds without a byte, and, since the library's time-out counts silence only (a byte a second would hold a connection for ever),
 * deadlines for a request's header, and for all behind it. More connections wait in the kernel's queue. No TLS: that is a proxy's.
 *
 * http_request.h says what was asked, http_answer.h how it is answered.
 */
#ifndef TALLYMILL_COMMON_HTTP_H
#define TALLYMILL_COMMON_HTTP_H

#include <stddef.h>

#include "common/error.h"

struct http_answer;
struct http_header;
struct http_request;
struct http_server;

/* All borrowed, and outlive the server. */
struct http_options {
    const char *address; /* "127.0.0.1:9464", "[::1]:9464", "name:9464"; port 0: any that is free */
    /* Fills the answer. Called in one of the server's threads once the request is there with its body, and again when it was
     * resumed; what it waits for keeps the other connections of that thread waiting, too. */
    void (*answer)(void *context, struct http_request *request, struct http_answer *answer);
    void *context;
    const struct http_header *headers; /* of every answer, the server's own refusals included; a NULL name ends them. NULL: none */
    const char *methods;               /* "GET, HEAD": all others are refused before their body */
    unsigned threads;                  /* at least 1 */
    unsigned connections;              /* at once, of all threads */
    size_t connection_bytes;           /* what a connection may hold, the request's header included */
    size_t body_bytes;                 /* the longest body that is taken */
    unsigned idle_seconds;             /* without a byte: closed */
    unsigned request_ms; /* from its connection's begin, or the answer before, to the end of a request's header; and from there to
                            the last byte of its answer: closed */
};

/* Listens and answers from now on. ERROR_USAGE: the address is none, or taken, or not ours. */
MUST_CHECK struct http_server *http_open(const struct http_options *options, struct error *err);

/* Suspended requests are resumed (http_is_late), the others end. NULL is allowed. */
void http_close(struct http_server *server);

/* "127.0.0.1:9464": where it listens, with the port that was found. */
const char *http_address(const struct http_server *server);

#endif
