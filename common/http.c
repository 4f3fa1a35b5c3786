/* http.c - see http.h.
 *
 * The socket is made here and not by the library, because whether a port is taken, and by what right, is the one error that
 * operators meet, and must come with its reason. A server written by hand was rejected: half requests, pipelining and slow readers
 * are where those go wrong.
 */
#include "common/http.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "common/error.h"
#include "common/utf8.h"

enum {
    CONNECTIONS = 256,
    BACKLOG = 1024,
    IDLE_SECONDS = 5,
    CONNECTION_BYTES = 4096,
    HOST_BYTES = 256,
    PORT_BYTES = 6,
    PORT_MAX = 65535,
    ADDRESS_BYTES = 300
};

struct http_server {
    const struct http_route *routes;
    void *context;
    struct MHD_Daemon *daemon;
    char address[ADDRESS_BYTES];
};

/* ---- the address ---- */

/* PORT, or PORT+N: a unit of systemd can put the number of its instance there, and cannot add. */
static bool read_port(const char *text, int *port)
{
    *port = 0;
    for (int i = 0; i < 2; i++) {
        const size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits >= PORT_BYTES)
            return false;
        *port += atoi(text);
        text += digits;
        if (*text != '+')
            break;
        text++;
        if (i == 1)
            return false;
    }
    return *text == '\0' && *port <= PORT_MAX;
}

static bool split(const char *address, char host[HOST_BYTES], char port[PORT_BYTES], struct error *err)
{
    const char *colon = strrchr(address, ':');
    const bool has_brackets = address[0] == '[' && colon && colon[-1] == ']';
    const char *begin = has_brackets ? address + 1 : address, *end = has_brackets ? colon - 1 : colon;
    if (!colon || end <= begin || end - begin >= HOST_BYTES || (!has_brackets && memchr(begin, ':', (size_t)(end - begin))))
        return error_set(err, ERROR_USAGE, "\"%.*s\" is no address such as 127.0.0.1:9464 or [::1]:9464", UTF8_CUT(address, 60));
    int number;
    if (!read_port(colon + 1, &number))
        return error_set(err, ERROR_USAGE, "\"%.*s\" does not end with a port of 0 to 65535 (PORT, or PORT+N: their sum)", UTF8_CUT(address, 60));
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    snprintf(port, PORT_BYTES, "%hu", (unsigned short)number);
    return true;
}

bool http_check_address(const char *address, struct error *err)
{
    char host[HOST_BYTES], port[PORT_BYTES];
    return split(address, host, port, err);
}

static bool cannot_listen(const char *address, int code, struct error *err)
{
    const char *advice = code == EADDRINUSE      ? ": another program listens there; each process needs a port of its own"
                         : code == EADDRNOTAVAIL ? ": this machine has no such address"
                         : code == EACCES        ? ": ports below 1024 need more rights"
                                                 : "";
    const bool may_pass = code == EMFILE || code == ENFILE || code == ENOMEM || code == ENOBUFS;
    return error_set(err, may_pass ? ERROR_RETRY : ERROR_USAGE, "cannot listen at %s: %s%s", address, strerror(code), advice);
}

/* -1: err. */
static int listen_at(const char *address, struct error *err)
{
    char host[HOST_BYTES], port[PORT_BYTES];
    if (!split(address, host, port, err))
        return -1;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0) {
        error_set(err, ERROR_USAGE, "cannot listen at %s: %s", address, gai_strerror(code));
        return -1;
    }
    static const int yes = 1;
    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const bool is_listening = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
                              bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    const int why = errno;
    freeaddrinfo(found);
    if (is_listening)
        return fd;
    if (fd >= 0)
        close(fd);
    cannot_listen(address, why, err);
    return -1;
}

static void note_address(struct http_server *server, int fd)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    char host[HOST_BYTES] = "?", port[PORT_BYTES] = "?";
    if (getsockname(fd, (struct sockaddr *)&bound, &length) == 0)
        getnameinfo((struct sockaddr *)&bound, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(server->address, sizeof server->address, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* ---- answers ---- */

/* Takes `body` over (from malloc). */
static enum MHD_Result send_body(struct MHD_Connection *connection, unsigned status, const char *type, char *body, size_t length)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(length, body, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(body);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    const enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text)
{
    char *body = strdup(text);
    return body ? send_body(connection, status, "text/plain; charset=utf-8", body, strlen(body)) : MHD_NO;
}

static enum MHD_Result answer_route(struct http_server *server, const struct http_route *route, struct MHD_Connection *connection)
{
    char *body = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&body, &length);
    if (!out)
        return MHD_NO;
    const unsigned status = route->answer(server->context, out);
    if (fclose(out) == 0)
        return send_body(connection, status, route->content_type, body, length);
    free(body);
    return MHD_NO;
}

/* The library calls once with the header, then once more when the request is complete. */
static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_bytes, void **seen)
{
    struct http_server *server = context;
    (void)version;
    (void)upload;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return *seen ? MHD_NO : refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
    if (!*seen) {
        *seen = server;
        return MHD_YES;
    }
    if (*upload_bytes != 0)
        return MHD_NO; /* nobody asks with a body */
    for (const struct http_route *route = server->routes; route->path; route++)
        if (strcmp(route->path, url) == 0)
            return answer_route(server, route, connection);
    return refuse(connection, MHD_HTTP_NOT_FOUND, "nothing here: /metrics and /health\n");
}

/* ---- open and close ---- */

struct http_server *http_open(const char *address, const struct http_route *routes, void *context, struct error *err)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (!server) {
        error_set(err, ERROR_RETRY, "no memory for the HTTP server");
        return NULL;
    }
    server->routes = routes;
    server->context = context;
    const int fd = listen_at(address, err);
    if (fd < 0)
        goto out;
    note_address(server, fd);
    server->daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, server, MHD_OPTION_LISTEN_SOCKET, fd,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
    if (server->daemon)
        return server;
    close(fd);
    error_set(err, ERROR_RETRY, "cannot start the HTTP server at %s: %s", address, strerror(errno));
out:
    free(server);
    return NULL;
}

void http_close(struct http_server *server)
{
    if (!server)
        return;
    MHD_stop_daemon(server->daemon);
    free(server);
}

const char *http_address(const struct http_server *server)
{
    return server->address;
}
