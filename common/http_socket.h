/* http_socket.h - the socket at which an HTTP server listens: made from "HOST:PORT". */
#ifndef TALLYMILL_COMMON_HTTP_SOCKET_H
#define TALLYMILL_COMMON_HTTP_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

/* Whether the text is an address: "127.0.0.1:9464", "[::1]:9464", "name:9464". Only looks at the text. ERROR_USAGE. */
MUST_CHECK bool http_socket_check(const char *address, struct error *err);

/* A listening socket, the caller's to close. -1: ERROR_USAGE (no address, taken, not ours), ERROR_RETRY (out of descriptors). */
MUST_CHECK int http_socket_listen(const char *address, struct error *err);

/* Where it listens, "127.0.0.1:9464", NUL-terminated and cut at `size`. */
void http_socket_name(int fd, char *text, size_t size);

#endif
