/* http_socket.c - see http_socket.h.
 *
 * The socket is made here and not by the library, because whether a port is taken, and by what right, is the one error that
 * operators meet, and must come with its reason.
 */
#include "common/http_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/error.h"
#include "common/utf8.h"

enum { BACKLOG = 1024, HOST_BYTES = 256, PORT_BYTES = 6, PORT_MAX = 65535 };

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
    const char *shown = strchr(address, '@') ? "..." : address; /* a login belongs into no log */
    if (shown != address || !colon || end <= begin || end - begin >= HOST_BYTES ||
        (!has_brackets && memchr(begin, ':', (size_t)(end - begin))))
        return error_set(err, ERROR_USAGE, "\"%.*s\" is no address such as 127.0.0.1:9464 or [::1]:9464", UTF8_CUT(shown, 60));
    int number;
    if (!read_port(colon + 1, &number))
        return error_set(err, ERROR_USAGE, "\"%.*s\" does not end with a port of 0 to 65535 (PORT, or PORT+N: their sum)",
                         UTF8_CUT(shown, 60));
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    snprintf(port, PORT_BYTES, "%hu", (unsigned short)number);
    return true;
}

bool http_socket_check(const char *address, struct error *err)
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

int http_socket_listen(const char *address, struct error *err)
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

void http_socket_name(int fd, char *text, size_t size)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    char host[HOST_BYTES] = "?", port[PORT_BYTES] = "?";
    if (getsockname(fd, (struct sockaddr *)&bound, &length) == 0)
        getnameinfo((struct sockaddr *)&bound, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(text, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}
