/* http.h - a small HTTP server for answers that are made at once: GET and HEAD of a few fixed paths, in a thread of its own.
 *
 * On GNU libmicrohttpd (gnu.org/software/libmicrohttpd). Meant for a monitoring system in the same network: no TLS, no login. At
 * most 256 connections of 4 KiB, each closed after 5 s without a byte; more wait in the kernel's queue. So what strangers can take
 * is bounded, and none of it is the main thread's.
 */
#ifndef TALLYMILL_COMMON_HTTP_H
#define TALLYMILL_COMMON_HTTP_H

#include <stdbool.h>
#include <stdio.h>

struct error;
struct http_server;

struct http_route {
    const char *path; /* NULL ends the table */
    const char *content_type;
    /* Writes the body and returns the status. Called in the server's thread; must not wait. */
    unsigned (*answer)(void *context, FILE *out);
};

/* "127.0.0.1:9464", "[::1]:9464", "name:9464"; port 0: any that is free. Listens and answers from now on. routes and context are
 * borrowed. ERROR_USAGE: the address is none, or taken, or not ours. */
struct http_server *http_open(const char *address, const struct http_route *routes, void *context, struct error *err);
void http_close(struct http_server *server);

/* "127.0.0.1:9464": where it listens, with the port that was found. */
const char *http_address(const struct http_server *server);

/* Only looks at the text. */
bool http_check_address(const char *address, struct error *err);

#endif
