/* http_request.c - see http_request.h. */
#include "common/http_request.h"

#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <microhttpd.h>

#include "common/buffer.h"
#include "common/http_deadline.h"

struct http_request {
    struct http_deadlines *deadlines;
    struct http_link *link;
    struct MHD_Connection *connection;
    const char *method, *path;
    struct buffer body;
    bool is_too_long, is_suspended;
};

struct http_request *http_request_new(struct http_deadlines *deadlines, struct http_link *link, struct MHD_Connection *connection,
                                      const char *method, const char *path)
{
    struct http_request *request = calloc(1, sizeof *request);
    if (request)
        *request =
            (struct http_request){.deadlines = deadlines, .link = link, .connection = connection, .method = method, .path = path};
    return request;
}

const char *http_method(const struct http_request *request)
{
    return request->method;
}

const char *http_path(const struct http_request *request)
{
    return request->path;
}

static const char *value_of(const struct http_request *request, enum MHD_ValueKind kind, const char *name)
{
    return MHD_lookup_connection_value(request->connection, kind, name);
}

/* "?name" has no value: the library says NULL for it as for one that is not there, and only walking tells them apart. */
struct search {
    const char *name, *value;
};

static enum MHD_Result find(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct search *search = context;
    (void)kind;
    if (strcmp(name, search->name) != 0)
        return MHD_YES;
    search->value = value ? value : "";
    return MHD_NO;
}

const char *http_query(const struct http_request *request, const char *name)
{
    struct search search = {name, NULL};
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, find, &search);
    return search.value;
}

struct visit {
    void (*each)(void *context, const char *name, const char *value);
    void *context;
};

static enum MHD_Result tell(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    const struct visit *visit = context;
    (void)kind;
    visit->each(visit->context, name, value ? value : "");
    return MHD_YES;
}

void http_each_query(struct http_request *request, void (*each)(void *context, const char *name, const char *value), void *context)
{
    struct visit visit = {each, context};
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, tell, &visit);
}

const char *http_header(const struct http_request *request, const char *name)
{
    return value_of(request, MHD_HEADER_KIND, name);
}

static enum MHD_Result find_last(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct search *search = context;
    (void)kind;
    if (strcasecmp(name, search->name) == 0)
        search->value = value;
    return MHD_YES;
}

const char *http_last_header(const struct http_request *request, const char *name)
{
    struct search search = {name, NULL};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, find_last, &search);
    return search.value;
}

const char *http_cookie(const struct http_request *request, const char *name)
{
    return value_of(request, MHD_COOKIE_KIND, name);
}

const char *http_body(const struct http_request *request, size_t *length)
{
    *length = request->body.length;
    return request->body.bytes ? request->body.bytes : "";
}

const char *http_client(const struct http_request *request, char text[HTTP_CLIENT_BYTES])
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    const socklen_t length = address && address->sa_family == AF_INET6 ? sizeof(struct sockaddr_storage) : 16;
    if (!address || getnameinfo(address, length, text, HTTP_CLIENT_BYTES, NULL, 0, NI_NUMERICHOST) != 0)
        strcpy(text, "?");
    return text;
}

void http_allow(struct http_request *request, unsigned seconds)
{
    http_deadlines_move(request->deadlines, request->link, seconds * 1000);
}

bool http_suspend(struct http_request *request)
{
    request->is_suspended = true; /* before anybody can resume it */
    if (!http_deadlines_suspend(request->deadlines, request->link, request->connection))
        request->is_suspended = false;
    return request->is_suspended;
}

void http_resume(struct http_request *request)
{
    http_deadlines_resume(request->deadlines, request->link);
}

bool http_is_late(const struct http_request *request)
{
    return http_deadlines_is_late(request->deadlines, request->link);
}

bool http_is_left(const struct http_request *request)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd socket = {.fd = info ? info->connect_fd : -1, .events = POLLRDHUP};
    return poll(&socket, 1, 0) > 0;
}

bool http_request_add(struct http_request *request, const char *bytes, size_t length, size_t most)
{
    request->is_too_long = request->is_too_long || length > most - request->body.length;
    return request->is_too_long || buffer_add(&request->body, bytes, length);
}

bool http_request_is_too_long(const struct http_request *request)
{
    return request->is_too_long;
}

/* It may be resumed already: what counts is what was said in the thread that it was handed to. */
bool http_request_take_suspended(struct http_request *request)
{
    const bool was_suspended = request->is_suspended;
    request->is_suspended = false;
    return was_suspended;
}

void http_request_free(struct http_request *request)
{
    buffer_reset(&request->body);
    free(request);
}
