/* serve.c - a web server whose requests are events: eight threads, each with an epoll loop of its own, share one producer.
 *
 *     serve SETTINGS.INI [PORT]        Build: cc -pthread serve.c $(pkg-config --cflags --libs tallymill)
 *
 *     POST /export/SESSION             202 and the event's id: it will be in Kafka. 503: not now (Kafka is away and the queue is
 * full). 400: never GET /metrics                     what became of the events, for Prometheus
 *
 * What it shows: tally_open at the start, an event object a thread, tally_publish in the path of a request (it does not wait), the
 * producer's descriptor in one of the loops, so that hooks run there and no thread of the library ever runs our code, tally_count
 * at each scrape, and an end, at SIGTERM, that answers what it has begun and then waits for Kafka. As an HTTP server it is a
 * sketch: no bodies.
 */
#define _GNU_SOURCE 1 /* accept4, memmem */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tallymill/producer.h>

enum { LOOPS = 8, REQUEST_BYTES = 8192, ANSWER_BYTES = 1024, CLOSE_MS = 30000 };

struct connection {
    int socket;
    size_t in_bytes, out_bytes;
    char in[REQUEST_BYTES], out[8 * ANSWER_BYTES]; /* read and not understood yet; to be written */
    bool is_last;                                  /* closed once `out` is written */
    struct connection *next, *previous;
};

struct loop {
    pthread_t thread;
    int epoll;
    bool is_polling; /* the one that calls tally_poll */
    bool is_stopping;
    struct tally_event *event;
    struct connection *connections;
};

static struct tally_producer *producer;
static int listener, stop; /* stop: an eventfd, readable from SIGTERM on */

/* -- Hooks: called in tally_poll, so in the first loop's thread, and at the end in tally_close */

/* Given up (Kafka was away for five minutes, or refused it). A real service would keep value and key, and tally_publish_bytes them
 * later. */
static void on_delivered(void *context, const struct tally_delivery *delivery)
{
    (void)context;
    if (delivery->error != NULL)
        fprintf(stderr, "an event was given up: %s\n", delivery->error);
}

static void on_log(void *context, int level, const char *text)
{
    (void)context;
    if (level <= 5)
        fprintf(stderr, "analytics: %s\n", text);
}

/* -- Requests -- */

static void answer(struct connection *connection, const char *status, const char *more, const char *body)
{
    char *to = connection->out + connection->out_bytes;
    int bytes =
        snprintf(to, ANSWER_BYTES, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nContent-Type: text/plain; version=0.0.4\r\n%s\r\n%s",
                 status, strlen(body), more, body);
    connection->out_bytes += (size_t)bytes;
}

static void answer_export(struct loop *loop, struct connection *connection, const char *session)
{
    struct tally_error err = TALLY_ERROR_INIT;
    char body[TALLY_ERROR_BYTES + 2], id[TALLY_ID_TEXT_BYTES];
    tally_event_begin(loop->event, "doc_export");
    tally_event_session(loop->event, session);
    tally_event_text(loop->event, "action", "copy");
    switch (tally_publish(producer, loop->event, &err)) {
    case TALLY_OK:
        snprintf(body, sizeof body, "%s\n", tally_event_id_text(loop->event, id));
        answer(connection, "202 Accepted", "", body);
        return;
    case TALLY_INVALID:
        snprintf(body, sizeof body, "%s\n", err.text);
        answer(connection, "400 Bad Request", "", body);
        return;
    default:
        snprintf(body, sizeof body, "%s\n", err.text);
        answer(connection, "503 Service Unavailable", "Retry-After: 1\r\n", body);
    }
}

static void answer_metrics(struct connection *connection)
{
    struct tally_counts counts = TALLY_COUNTS_INIT;
    char body[512];
    tally_count(producer, &counts);
    snprintf(body, sizeof body,
             "events_accepted_total %llu\nevents_acknowledged_total %llu\nevents_failed_total %llu\nevents_waiting %llu\n",
             (unsigned long long)counts.accepted, (unsigned long long)counts.acknowledged, (unsigned long long)counts.failed,
             (unsigned long long)(counts.accepted + counts.recovered - counts.acknowledged - counts.failed));
    answer(connection, "200 OK", "", body);
}

/* Is there a body behind the request? We take none. */
static bool has_body(const char *headers)
{
    const char *length = strcasestr(headers, "\nContent-Length:");
    return strcasestr(headers, "\nTransfer-Encoding:") != NULL || (length != NULL && atoll(length + 16) != 0);
}

/* One request, from its first line to the empty one, NUL-terminated. */
static void answer_request(struct loop *loop, struct connection *connection, char *request)
{
    char *method = strtok_r(request, " ", &request), *path = strtok_r(NULL, " ", &request);
    if (method == NULL || path == NULL || has_body(request)) {
        answer(connection, "400 Bad Request", "Connection: close\r\n", "a request line and no body, please\n");
        connection->is_last = true;
    } else if (strcmp(method, "POST") == 0 && strncmp(path, "/export/", 8) == 0) {
        answer_export(loop, connection, path + 8);
    } else if (strcmp(method, "GET") == 0 && strcmp(path, "/metrics") == 0) {
        answer_metrics(connection);
    } else {
        answer(connection, "404 Not Found", "", "POST /export/SESSION, GET /metrics\n");
    }
}

static char *end_of_request(const struct connection *connection)
{
    return connection->is_last ? NULL : memmem(connection->in, connection->in_bytes, "\r\n\r\n", 4);
}

/* Whatever is complete in `in`, as long as there is room for answers. */
static void answer_requests(struct loop *loop, struct connection *connection)
{
    char *end;
    while (sizeof connection->out - connection->out_bytes >= ANSWER_BYTES && (end = end_of_request(connection)) != NULL) {
        size_t bytes = (size_t)(end - connection->in) + 4;
        *end = '\0';
        answer_request(loop, connection, connection->in);
        connection->in_bytes -= bytes;
        memmove(connection->in, connection->in + bytes, connection->in_bytes);
    }
    if (connection->in_bytes == sizeof connection->in && connection->out_bytes == 0 && !connection->is_last) {
        answer(connection, "431 Request Header Fields Too Large", "Connection: close\r\n", "");
        connection->is_last = true;
    }
}

/* -- Connections -- */

static void close_connection(struct loop *loop, struct connection *connection)
{
    *(connection->previous == NULL ? &loop->connections : &connection->previous->next) = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    close(connection->socket);
    free(connection);
}

static void accept_connection(struct loop *loop)
{
    int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct connection *connection = socket < 0 ? NULL : malloc(sizeof *connection);
    if (connection == NULL) { /* another loop was quicker, or there are too many */
        if (socket >= 0)
            close(socket);
        return;
    }
    connection->socket = socket;
    connection->in_bytes = connection->out_bytes = 0;
    connection->is_last = false;
    connection->previous = NULL;
    connection->next = loop->connections;
    if (connection->next != NULL)
        connection->next->previous = connection;
    loop->connections = connection;
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, socket, &wanted) != 0)
        close_connection(loop, connection);
}

/* False: the peer is gone. */
static bool write_answers(struct connection *connection)
{
    ssize_t wrote = connection->out_bytes == 0 ? 0 : send(connection->socket, connection->out, connection->out_bytes, MSG_NOSIGNAL);
    if (wrote < 0)
        return errno == EAGAIN || errno == EINTR;
    connection->out_bytes -= (size_t)wrote;
    memmove(connection->out, connection->out + wrote, connection->out_bytes);
    return true;
}

static void serve_connection(struct loop *loop, struct connection *connection, uint32_t events)
{
    bool is_alive = true;
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && connection->in_bytes < sizeof connection->in) {
        ssize_t got =
            recv(connection->socket, connection->in + connection->in_bytes, sizeof connection->in - connection->in_bytes, 0);
        if (got > 0)
            connection->in_bytes += (size_t)got;
        else
            is_alive = got < 0 && (errno == EAGAIN || errno == EINTR);
    }
    while (is_alive) {
        answer_requests(loop, connection);
        is_alive = write_answers(connection);
        if (connection->out_bytes > 0 || end_of_request(connection) == NULL)
            break;
    }
    if (!is_alive || (connection->out_bytes == 0 && (connection->is_last || loop->is_stopping))) {
        close_connection(loop, connection);
        return;
    }
    /* Who does not read our answers is not read from. */
    struct epoll_event wanted = {.events = connection->out_bytes > 0 ? EPOLLOUT : EPOLLIN, .data.ptr = connection};
    epoll_ctl(loop->epoll, EPOLL_CTL_MOD, connection->socket, &wanted);
}

/* -- The loops -- */

/* Whoever waits for an answer still gets it. */
static void begin_to_stop(struct loop *loop)
{
    loop->is_stopping = true;
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, listener, NULL);
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, stop, NULL);
    for (struct connection *connection = loop->connections, *next; connection != NULL; connection = next) {
        next = connection->next;
        serve_connection(loop, connection, 0);
    }
}

static void *run_loop(void *context)
{
    struct loop *loop = context;
    struct epoll_event ready[64];
    while (!loop->is_stopping || loop->connections != NULL) {
        int count = epoll_wait(loop->epoll, ready, 64, loop->is_stopping ? 5000 : -1);
        if (count == 0)
            break; /* a peer that does not read */
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr == &listener)
                accept_connection(loop);
            else if (ready[i].data.ptr == &producer)
                tally_poll(producer);
            else if (ready[i].data.ptr != &stop)
                serve_connection(loop, ready[i].data.ptr, ready[i].events);
        }
        for (int i = 0; i < count; i++) /* last: it closes connections, which may be among those that are ready */
            if (ready[i].data.ptr == &stop)
                begin_to_stop(loop);
    }
    while (loop->connections != NULL)
        close_connection(loop, loop->connections);
    return NULL;
}

static bool watch(struct loop *loop, int descriptor, uint32_t events, void *what)
{
    struct epoll_event wanted = {.events = events, .data.ptr = what};
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, descriptor, &wanted) == 0;
}

static bool start_loop(struct loop *loop, bool is_polling)
{
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->event = tally_event_new();
    return loop->epoll >= 0 && loop->event != NULL && watch(loop, listener, EPOLLIN | EPOLLEXCLUSIVE, &listener) &&
           watch(loop, stop, EPOLLIN, &stop) && (!is_polling || watch(loop, tally_poll_fd(producer), EPOLLIN, &producer)) &&
           pthread_create(&loop->thread, NULL, run_loop, loop) == 0;
}

static bool listen_at(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int on = 1;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, bytes) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &bytes) != 0)
        return false;
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    return fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    const struct tally_hooks hooks = {.size = sizeof hooks, .delivered = on_delivered, .log = on_log, .is_polled = true};
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_counts counts = TALLY_COUNTS_INIT;
    static struct loop loops[LOOPS];
    if (argc < 2) {
        fprintf(stderr, "usage: serve SETTINGS.INI [PORT]\n");
        return 2;
    }
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* in all threads: only sigwait below takes them */

    producer = tally_open_file(argv[1], NULL, &hooks, &err);
    if (producer == NULL) {
        fprintf(stderr, "%s\n", err.text);
        return err.code == TALLY_INVALID ? 2 : 1;
    }
    stop = eventfd(0, EFD_CLOEXEC);
    bool is_started = stop >= 0 && listen_at(argc > 2 ? atoi(argv[2]) : 8080);
    for (int i = 0; i < LOOPS && is_started; i++)
        is_started = start_loop(&loops[i], i == 0);
    if (!is_started) {
        perror("cannot start");
        return 1;
    }
    int number;
    sigwait(&ends, &number);
    eventfd_write(stop, 1); /* level triggered, and nobody reads it: every loop sees it */
    for (int i = 0; i < LOOPS; i++) {
        pthread_join(loops[i].thread, NULL);
        close(loops[i].epoll);
        tally_event_free(loops[i].event);
    }
    close(listener);
    bool is_delivered = tally_close(producer, CLOSE_MS, &counts); /* the last hooks run in here */
    printf("%llu accepted, %llu acknowledged, %llu failed\n", (unsigned long long)counts.accepted,
           (unsigned long long)counts.acknowledged, (unsigned long long)counts.failed);
    return is_delivered ? 0 : 1;
}
