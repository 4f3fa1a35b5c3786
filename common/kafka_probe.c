/* kafka_probe.c - see kafka_probe.h.
 *
 * A listener with TLS and one without close a connection of the other kind without a word, and so does a proxy whose broker is
 * down. What a port answers to a question of its own kind tells them apart. The hello of TLS is a fixed one, without any extension:
 * a server that likes none of it answers with an alert, which is TLS all the same. The other question is ApiVersions, which every
 * broker answers before a login.
 */
#include "common/kafka_probe.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_MS = 1000, ANSWER_BYTES = 8 };

/* RFC 5246, 7.4.1.2: record, handshake, version 1.2, 32 bytes of random, no session, two suites, no compression. */
static const uint8_t hello[] = {
    0x16, 3,   1,   0,   47,  1,   0,   0,   43,  3,   3,    't',  'a',  'l',  'l', 'y', 'm', 'i',
    'l',  'l', ' ', 'a', 's', 'k', 's', ' ', 'w', 'h', 'a',  't',  ' ',  'i',  's', ' ', 's', 'p',
    'o',  'k', 'e', 'n', '!', '!', '!', 0,   0,   4,   0xc0, 0x2f, 0xc0, 0x2b, 1,   0,
};
static_assert(sizeof hello == 5 + 47, "the lengths in the record are its own");

/* ApiVersions, version 0, correlation id 0x5441, client id "probe". */
static const uint8_t question[] = {0, 0, 0, 15, 0, 18, 0, 0, 0, 0, 0x54, 0x41, 0, 5, 'p', 'r', 'o', 'b', 'e'};

static bool wait_for(int fd, short events)
{
    struct pollfd entry = {.fd = fd, .events = events};
    return poll(&entry, 1, WAIT_MS) == 1;
}

static int connect_to(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
    if (fd < 0)
        return -1;
    int failure = 0;
    socklen_t length = sizeof failure;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0 ||
        (errno == EINPROGRESS && wait_for(fd, POLLOUT) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) == 0 &&
         failure == 0))
        return fd;
    close(fd);
    return -1;
}

/* How many bytes of the answer came; 0 for none. */
static size_t ask(const struct addrinfo *address, const void *words, size_t count, uint8_t answer[ANSWER_BYTES])
{
    int fd = connect_to(address);
    ssize_t got = -1;
    if (fd >= 0 && send(fd, words, count, MSG_NOSIGNAL) == (ssize_t)count && wait_for(fd, POLLIN))
        got = recv(fd, answer, ANSWER_BYTES, 0);
    if (fd >= 0)
        close(fd);
    return got > 0 ? (size_t)got : 0;
}

static enum kafka_probe probe(const struct addrinfo *address)
{
    uint8_t answer[ANSWER_BYTES];
    size_t got = ask(address, question, sizeof question, answer);
    if (got == ANSWER_BYTES && answer[4] == 0 && answer[5] == 0 && answer[6] == 0x54 && answer[7] == 0x41)
        return KAFKA_PROBE_PLAIN;
    got = ask(address, hello, sizeof hello, answer);
    bool is_record = got >= 3 && (answer[0] == 0x15 || answer[0] == 0x16) && answer[1] == 3;
    return is_record ? KAFKA_PROBE_TLS : KAFKA_PROBE_SILENT;
}

enum kafka_probe kafka_probe(const char *server)
{
    char host[256];
    const char *colon = strrchr(server, ':');
    size_t length = colon != NULL ? (size_t)(colon - server) : 0;
    if (length == 0 || length >= sizeof host)
        return KAFKA_PROBE_SILENT;
    const bool is_bracketed = server[0] == '[' && server[length - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(length - (is_bracketed ? 2U : 0U)), server + (is_bracketed ? 1 : 0));
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses;
    if (getaddrinfo(host, colon + 1, &hints, &addresses) != 0)
        return KAFKA_PROBE_SILENT;
    enum kafka_probe found = KAFKA_PROBE_SILENT;
    for (const struct addrinfo *address = addresses; address != NULL && found == KAFKA_PROBE_SILENT; address = address->ai_next)
        found = probe(address);
    freeaddrinfo(addresses);
    return found;
}
