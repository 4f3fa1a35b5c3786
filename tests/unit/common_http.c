/* The HTTP server, asked over real sockets of this process: what is asked comes through, what is too much is refused, and whoever
 * is too slow is cut off. */
#include <criterion/criterion.h>

#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/http.h"
#include "common/http_answer.h"
#include "common/http_request.h"
#include "common/http_socket.h"

enum { ANSWER_BYTES = 256 * 1024, BODY_BYTES = 1000, PATIENCE_SECONDS = 20 };

static struct http_server *server;
static _Atomic(struct http_request *) waiting;
static atomic_int answers, streams_closed;

static void tell_pair(void *context, const char *name, const char *value)
{
    fprintf(context, "[%s=%s]", name, value);
}

static void echo(struct http_request *request, struct http_answer *answer)
{
    size_t length;
    const char *body = http_body(request, &length), *cookie = http_cookie(request, "session"),
               *empty = http_query(request, "empty");
    char client[HTTP_CLIENT_BYTES];
    FILE *out = http_answer_body(answer);
    http_answer_status(answer, 201, "text/plain");
    http_answer_header(answer, "X-Own", http_header(request, "X-Asked") ? http_header(request, "X-Asked") : "-");
    http_answer_header(answer, "X-Last", http_last_header(request, "X-Asked") ? http_last_header(request, "X-Asked") : "-");
    fprintf(out, "%s %s empty:%s absent:%s cookie:%s client:%s ", http_method(request), http_path(request), empty ? empty : "NULL",
            http_query(request, "absent") ? "?" : "NULL", cookie ? cookie : "NULL", http_client(request, client));
    http_each_query(request, tell_pair, out);
    fprintf(out, " body:%zu:%s", length, body);
}

static ssize_t read_numbers(void *context, char *bytes, size_t size)
{
    int *left = context;
    if (*left == 0)
        return 0;
    if (*left < 0)
        return -1;
    return snprintf(bytes, size, "%d,", (*left)--);
}

static void close_numbers(void *context)
{
    free(context);
    atomic_fetch_add(&streams_closed, 1);
}

static void stream(struct http_answer *answer, int first)
{
    int *left = malloc(sizeof *left);
    *left = first;
    http_answer_status(answer, 200, "text/csv");
    http_answer_stream(answer, (struct http_stream){read_numbers, close_numbers, left});
}

static void answer_all(void *context, struct http_request *request, struct http_answer *answer)
{
    (void)context;
    const char *path = http_path(request);
    atomic_fetch_add(&answers, 1);
    if (strcmp(path, "/stream") == 0)
        stream(answer, 1000);
    else if (strcmp(path, "/broken") == 0)
        stream(answer, -1);
    else if (strcmp(path, "/constant") == 0)
        http_answer_constant(answer, "constant", 8);
    else if (strcmp(path, "/taken") == 0)
        http_answer_take(answer, strdup("taken"), 5);
    else if (strcmp(path, "/wait") != 0)
        echo(request, answer);
    else if (http_is_late(request))
        http_answer_text(answer, 503, "late\n");
    else if (!atomic_exchange(&waiting, request) && http_suspend(request))
        return;
    else
        http_answer_text(answer, 200, "resumed\n");
}

static const struct http_header headers[] = {{"X-Always", "yes"}, {NULL, NULL}};

static void open_server(unsigned request_ms)
{
    struct error err = {0};
    atomic_store(&waiting, NULL);
    server = http_open(&(struct http_options){.address = "127.0.0.1:0",
                                              .answer = answer_all,
                                              .headers = headers,
                                              .methods = "GET, HEAD, POST",
                                              .threads = 2,
                                              .connections = 16,
                                              .connection_bytes = 16384,
                                              .body_bytes = BODY_BYTES,
                                              .idle_seconds = PATIENCE_SECONDS,
                                              .request_ms = request_ms},
                       &err);
    cr_assert(server, "%s", err.text);
}

static int connect_to(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    address.sin_port = htons((uint16_t)atoi(strrchr(http_address(server), ':') + 1));
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    cr_assert(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

/* What comes until the server closes. */
static char *read_all(int fd)
{
    static char text[ANSWER_BYTES];
    size_t used = 0;
    for (ssize_t count; (count = recv(fd, text + used, sizeof text - 1 - used, 0)) != 0; used += (size_t)count)
        cr_assert(count > 0, "nothing came, and it was not closed");
    text[used] = '\0';
    close(fd);
    return text;
}

static char *ask(const char *head, const char *more)
{
    char request[BODY_BYTES * 4];
    const int fd = connect_to();
    const int length = snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s", head, more);
    cr_assert(send(fd, request, (size_t)length, 0) == length);
    return read_all(fd);
}

static void begin(void)
{
    open_server(PATIENCE_SECONDS * 1000);
}

static void end(void)
{
    http_close(server);
}

TestSuite(http, .init = begin, .fini = end);

Test(http, hands_over_query_headers_cookies_and_body)
{
    const char *text = ask("POST /a%20b?one=1&two=%26%3D&empty&one=2",
                           "X-Asked: this\r\nx-asked: that\r\nCookie: session=abc; other=1\r\nContent-Length: 5\r\n\r\nhello");
    cr_assert(strstr(text, "HTTP/1.1 201 Created\r\n"), "%s", text);
    cr_assert(strstr(text, "X-Own: this\r\n") && strstr(text, "X-Last: that\r\n"), "%s", text);
    cr_assert(strstr(text, "X-Always: yes\r\n") && strstr(text, "Content-Type: text/plain\r\n"), "%s", text);
    cr_assert(strstr(text, "POST /a b empty: absent:NULL cookie:abc client:127.0.0.1 [one=1][two=&=][empty=][one=2] body:5:hello"),
              "%s", text);
}

Test(http, takes_a_body_in_pieces_up_to_its_limit)
{
    char body[BODY_BYTES + 64];
    int used = snprintf(body, sizeof body, "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 20; i++)
        used += snprintf(body + used, sizeof body - (size_t)used, "5\r\nabcde\r\n");
    snprintf(body + used, sizeof body - (size_t)used, "0\r\n\r\n");
    cr_assert(strstr(ask("POST /", body), "body:100:abcdeabcde"));
}

Test(http, refuses_a_body_that_is_too_long_however_it_is_sent)
{
    char body[BODY_BYTES * 3];
    /* said beforehand: refused before the first byte of it */
    const char *text = ask("POST /", "Content-Length: 1001\r\n\r\n");
    cr_assert(strstr(text, "HTTP/1.1 413 ") && strstr(text, "X-Always: yes\r\n"), "%s", text);
    int used = snprintf(body, sizeof body, "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 201; i++)
        used += snprintf(body + used, sizeof body - (size_t)used, "5\r\nabcde\r\n");
    snprintf(body + used, sizeof body - (size_t)used, "0\r\n\r\n");
    const int before = atomic_load(&answers);
    cr_assert(strstr(ask("POST /", body), "HTTP/1.1 413 "));
    cr_assert(atomic_load(&answers) == before);
}

Test(http, refuses_methods_that_are_not_listed)
{
    const char *text = ask("PUT /", "Content-Length: 1000000000\r\n\r\n");
    cr_assert(strstr(text, "HTTP/1.1 405 ") && strstr(text, "Allow: GET, HEAD, POST\r\n") && strstr(text, "X-Always: yes\r\n"),
              "%s", text);
    cr_assert(strstr(ask("POS /", "\r\n"), "HTTP/1.1 405 "));
    cr_assert(strstr(ask("HEAD /constant", "\r\n"), "Content-Length: 8\r\n"));
}

Test(http, sends_bodies_that_are_constant_taken_over_and_streamed)
{
    cr_assert(strstr(ask("GET /constant", "\r\n"), "\r\n\r\nconstant"));
    cr_assert(strstr(ask("GET /taken", "\r\n"), "\r\n\r\ntaken"));
    const int before = atomic_load(&streams_closed);
    const char *text = ask("GET /stream", "\r\n");
    cr_assert(strstr(text, "1000,") && strstr(text, "\r\n0\r\n"), "whole, and said to be");
    text = ask("GET /broken", "\r\n");
    cr_assert(!strstr(text, "\r\n0\r\n"), "broken off, and seen to be");
    http_close(server);
    server = NULL;
    cr_assert(atomic_load(&streams_closed) == before + 2);
}

Test(http, answers_others_while_one_is_suspended_and_then_the_one)
{
    const char *wait = "GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const int fd = connect_to();
    cr_assert(send(fd, wait, strlen(wait), 0) == (ssize_t)strlen(wait));
    while (!atomic_load(&waiting)) /* ends: the harness's time-out */
        cr_assert(strstr(ask("GET /constant", "\r\n"), "constant"));
    for (int i = 0; i < 8; i++)
        cr_assert(strstr(ask("GET /constant", "\r\n"), "constant"));
    http_resume_all(server);
    cr_assert(strstr(read_all(fd), "resumed"));
}

Test(http, resumes_what_is_suspended_when_it_closes)
{
    const char *wait = "GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const int fd = connect_to();
    cr_assert(send(fd, wait, strlen(wait), 0) == (ssize_t)strlen(wait));
    while (!atomic_load(&waiting)) /* ends: the harness's time-out */
        cr_assert(strstr(ask("GET /constant", "\r\n"), "constant"));
    http_close(server);
    server = NULL;
    close(fd);
}

TestSuite(http_late, .fini = end);

/* The library's own time-out counts silence: without the deadline each of these holds its connection for as long as it likes. */
Test(http_late, cuts_off_whoever_is_slow_however_busy_he_looks)
{
    open_server(400);
    const int fd = connect_to();
    bool is_cut = false;
    cr_assert(send(fd, "GET / HTTP/1.1\r\nX: ", 19, 0) == 19);
    for (int64_t until = clock_now_us() + PATIENCE_SECONDS * CLOCK_SECOND_US; !is_cut && clock_now_us() < until;) {
        char byte;
        const struct timeval pause = {.tv_usec = 20000};
        cr_assert(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof pause) == 0);
        is_cut = send(fd, "a", 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) == 0;
    }
    close(fd);
    cr_assert(is_cut);
}

Test(http_late, says_so_when_a_suspended_request_is_late)
{
    open_server(400);
    cr_assert(strstr(ask("GET /wait", "\r\n"), "HTTP/1.1 503 "));
}

/* A browser keeps a connection, and asks again when somebody clicks: what it did not ask meanwhile is no part of the request. */
Test(http_late, counts_from_the_request_and_not_from_the_answer_before)
{
    enum { REQUEST_MS = 1200, IDLE_MS = 700 };
    open_server(REQUEST_MS);
    const int fd = connect_to();
    const char *quick = "GET /constant HTTP/1.1\r\nHost: x\r\n\r\n",
               *wait = "GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char text[ANSWER_BYTES];
    cr_assert(send(fd, quick, strlen(quick), 0) == (ssize_t)strlen(quick) && recv(fd, text, sizeof text, 0) > 0);
    struct pollfd idle = {fd, POLLIN, 0};
    cr_assert(poll(&idle, 1, IDLE_MS) >= 0);
    const int64_t began_us = clock_now_us();
    cr_assert(send(fd, wait, strlen(wait), 0) == (ssize_t)strlen(wait));
    cr_assert(strstr(read_all(fd), "HTTP/1.1 503 "));
    cr_assert(clock_now_us() - began_us >= REQUEST_MS * INT64_C(1000), "%d ms", (int)((clock_now_us() - began_us) / 1000));
}

Test(http_socket, shows_no_login_that_stands_in_an_address)
{
    static const char *const addresses[] = {"me:hunter2@127.0.0.1:9464", "http://me:hunter2@127.0.0.1:9464",
                                            "hunter2@127.0.0.1:9464", "me:hunter2@127.0.0.1:x"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct error err = {0};
        cr_expect_not(http_socket_check(addresses[i], &err), "%s", addresses[i]);
        cr_expect_eq(err.kind, ERROR_USAGE);
        cr_expect_null(strstr(err.text, "hunter2"), "%s", err.text);
    }
}
