/* http.c - see http.h.
 *
 * A server written by hand was rejected: half requests, pipelining and slow readers are where those go wrong. What is refused
 * before it is read whole (a method, a body that says that it is too long) is refused with the header, so that a stranger's
 * gigabyte is not waited for.
 */
#include "common/http.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "common/error.h"
#include "common/http_answer.h"
#include "common/http_deadline.h"
#include "common/http_request.h"
#include "common/http_socket.h"

enum { ADDRESS_BYTES = 300 };

struct http_server {
    struct http_options options;
    struct http_deadlines *deadlines;
    struct MHD_Daemon *daemon;
    char address[ADDRESS_BYTES];
};

/* ---- a request, as the library tells of it ---- */

static struct http_link *link_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static enum MHD_Result refuse(const struct http_server *server, struct MHD_Connection *connection, unsigned status,
                              const char *text)
{
    struct http_answer *answer = http_answer_new();
    if (!answer)
        return MHD_NO;
    http_answer_text(answer, status, text);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        http_answer_header(answer, MHD_HTTP_HEADER_ALLOW, server->options.methods);
    return http_answer_send(answer, connection, server->options.headers) ? MHD_YES : MHD_NO;
}

/* Whether the method is one of the list, as a whole word. */
static bool is_taken(const char *methods, const char *method)
{
    const size_t length = strlen(method);
    for (const char *at = methods; (at = strstr(at, method)) != NULL; at += length)
        if ((at == methods || at[-1] == ' ') && (at[length] == '\0' || at[length] == ','))
            return true;
    return false;
}

static enum MHD_Result begin(struct http_server *server, struct MHD_Connection *connection, const char *path, const char *method,
                             struct http_request **begun)
{
    if (!is_taken(server->options.methods, method)) {
        char text[64];
        snprintf(text, sizeof text, "only %s\n",
                 strcmp(server->options.methods, "GET, HEAD") == 0 ? "GET" : server->options.methods);
        return refuse(server, connection, MHD_HTTP_METHOD_NOT_ALLOWED, text);
    }
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length && strtoull(length, NULL, 10) > server->options.body_bytes)
        return refuse(server, connection, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too long\n");
    struct http_link *link = link_of(connection);
    *begun = link ? http_request_new(server->deadlines, link, connection, method, path) : NULL;
    if (*begun)
        http_deadlines_begin(server->deadlines, link);
    return *begun ? MHD_YES : MHD_NO;
}

static enum MHD_Result finish(struct http_server *server, struct MHD_Connection *connection, struct http_request *request)
{
    if (http_request_is_too_long(request))
        return refuse(server, connection, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too long\n");
    struct http_answer *made = http_answer_new();
    if (!made)
        return MHD_NO;
    server->options.answer(server->options.context, request, made);
    if (http_request_take_suspended(request)) {
        http_answer_free(made);
        return MHD_YES; /* and it is asked for again */
    }
    return http_answer_send(made, connection, server->options.headers) ? MHD_YES : MHD_NO;
}

/* The library calls with the header, then with each piece of the body, then once more when the request is complete (and again, when
 * it was resumed). */
static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_bytes, void **seen)
{
    struct http_server *server = context;
    struct http_request *request = *seen;
    (void)version;
    if (!request)
        return begin(server, connection, url, method, (struct http_request **)seen);
    if (*upload_bytes != 0) {
        const bool is_added = http_request_add(request, upload, *upload_bytes, server->options.body_bytes);
        *upload_bytes = 0;
        return is_added ? MHD_YES : MHD_NO;
    }
    return finish(server, connection, request);
}

static void complete(void *context, struct MHD_Connection *connection, void **seen, enum MHD_RequestTerminationCode how)
{
    struct http_server *server = context;
    struct http_request *request = *seen;
    (void)how;
    struct http_link *link = link_of(connection);
    if (link)
        http_deadlines_move(server->deadlines, link, 0);
    if (request)
        http_request_free(request);
    *seen = NULL;
}

static void note_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                            enum MHD_ConnectionNotificationCode what)
{
    struct http_server *server = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = http_deadlines_add(server->deadlines, info->connect_fd);
    } else if (*socket_context) {
        http_deadlines_remove(server->deadlines, *socket_context);
        *socket_context = NULL;
    }
}

/* ---- open and close ---- */

static struct MHD_Daemon *start(struct http_server *server, int fd)
{
    const struct http_options *options = &server->options;
    struct MHD_OptionItem pool[] = {
        {options->threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)options->threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, answer, server,
                            MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, options->connections,
                            MHD_OPTION_CONNECTION_TIMEOUT, options->idle_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            options->connection_bytes, MHD_OPTION_NOTIFY_COMPLETED, complete, server, MHD_OPTION_NOTIFY_CONNECTION,
                            note_connection, server, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
}

struct http_server *http_open(const struct http_options *options, struct error *err)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (!server) {
        error_set(err, ERROR_RETRY, "no memory for the HTTP server");
        return NULL;
    }
    server->options = *options;
    const int fd = http_socket_listen(options->address, err);
    if (fd < 0)
        goto out;
    http_socket_name(fd, server->address, sizeof server->address);
    server->deadlines = http_deadlines_start(options->request_ms, err);
    if (!server->deadlines)
        goto close_socket;
    server->daemon = start(server, fd);
    if (server->daemon)
        return server;
    error_set(err, ERROR_RETRY, "cannot start the HTTP server at %s: %s", options->address, strerror(errno));
    http_deadlines_stop(server->deadlines);
close_socket:
    close(fd);
out:
    free(server);
    return NULL;
}

void http_close(struct http_server *server)
{
    if (!server)
        return;
    http_deadlines_end(server->deadlines);
    MHD_stop_daemon(server->daemon);
    http_deadlines_stop(server->deadlines);
    free(server);
}

void http_resume_all(struct http_server *server)
{
    http_deadlines_resume_all(server->deadlines);
}

const char *http_address(const struct http_server *server)
{
    return server->address;
}
