/* Logins that Postgres, or libpq itself, refuses: what kind of error it is, and what it tells to do. The server is a child process
 * that says what a test has it say. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/postgres.h"

enum { SSL_REQUEST = 80877103, REPLY_BYTES = 512, REPLIES_MAX = 2 };

struct reply {
    char bytes[REPLY_BYTES];
    size_t length;
};

struct server {
    struct reply replies[REPLIES_MAX]; /* to the startup packet of each connection, one after the other */
    pid_t pid;
    int port;
};

static void add_length(struct reply *reply, size_t at)
{
    const uint32_t length = htonl((uint32_t)(reply->length - at));
    memcpy(reply->bytes + at, &length, sizeof length);
}

/* "FATAL:  SQLSTATE: text" */
static struct reply refusal(const char *sqlstate, const char *text)
{
    struct reply reply = {.bytes = "E", .length = 5};
    reply.length += (size_t)snprintf(reply.bytes + reply.length, 400, "SFATAL%cVFATAL%cC%s%cM%s", 0, 0, sqlstate, 0, text) + 2;
    add_length(&reply, 1);
    return reply;
}

/* AuthenticationCleartextPassword */
static struct reply password_wanted(void)
{
    struct reply reply = {.bytes = {'R', 0, 0, 0, 0, 0, 0, 0, 3}, .length = 9};
    add_length(&reply, 1);
    return reply;
}

/* The startup packet has come; TLS, if that is asked for first, there is none. */
static bool read_startup(int fd)
{
    uint32_t head[2];
    char rest[1024];
    while (recv(fd, head, sizeof head, MSG_WAITALL) == (ssize_t)sizeof head) {
        if (ntohl(head[1]) != SSL_REQUEST)
            return recv(fd, rest, ntohl(head[0]) - sizeof head, MSG_WAITALL) > 0;
        if (send(fd, "N", 1, MSG_NOSIGNAL) != 1)
            return false;
    }
    return false;
}

static void serve(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(listener, 4), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    server->pid = fork();
    cr_assert_geq(server->pid, 0);
    if (server->pid > 0) {
        close(listener);
        return;
    }
    alarm(60);
    for (int i = 0; i < REPLIES_MAX && server->replies[i].length > 0; i++) {
        char end[64];
        const int fd = accept(listener, NULL, NULL);
        if (read_startup(fd) && send(fd, server->replies[i].bytes, server->replies[i].length, MSG_NOSIGNAL) > 0)
            while (recv(fd, end, sizeof end, 0) > 0) /* ends: libpq hangs up */
                ;
        close(fd);
    }
    _exit(0);
}

/* Connects with these words of a connection string to a server that answers so. */
static struct error refused(struct server server, const char *words)
{
    struct error err = {0};
    char dsn[512];
    serve(&server);
    snprintf(dsn, sizeof dsn, "host=127.0.0.1 port=%d dbname=d user=me gssencmode=disable %s", server.port, words);
    cr_assert_null(postgres_open(dsn, "unit", 10 * CLOCK_SECOND_US, &err));
    kill(server.pid, SIGKILL);
    waitpid(server.pid, NULL, 0);
    return err;
}

static void expect_said(const struct error *err, const char *wanted)
{
    cr_expect_not_null(strstr(err->text, wanted), "%s", err->text);
}

/* What the second attempt met: from Postgres 17 on libpq makes it by TLS or not at all, which this server does not speak. */
static void expect_second_said(const struct error *err, const char *wanted)
{
    expect_said(err, PQlibVersion() >= 170000 ? "server does not support SSL" : wanted);
}

static void expect_not_said(const struct error *err, const char *unwanted)
{
    cr_expect_null(strstr(err->text, unwanted), "%s", err->text);
}

/* Whoever replaces a passfile may have it away, or with the wrong mode, for a moment: libpq passes over it then. */
Test(postgres_login, without_a_password_is_one_that_is_refused_and_names_the_passfile)
{
    const struct error err =
        refused((struct server){.replies = {password_wanted()}}, "sslmode=disable passfile=/nonexistent/pgpass");
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect(postgres_is(&err, POSTGRES_LOGIN_REFUSED), "sqlstate '%s'", err.sqlstate);
    expect_said(&err, "no password supplied");
    expect_said(&err, "postgres.dsn");
    expect_said(&err, "passfile");
    expect_said(&err, "600");
}

static const char no_entry[] = "no pg_hba.conf entry for host \"127.0.0.1\", user \"me\", database \"d\", %s";

static struct reply no_entry_for(const char *encryption)
{
    char text[200];
    snprintf(text, sizeof text, no_entry, encryption);
    return refusal("28000", text);
}

/* libpq has two attempts with sslmode=prefer (the default) and allow, and tells both. */
Test(postgres_login, over_tls_only_is_told_to_use_tls)
{
    const struct error err = refused((struct server){.replies = {no_entry_for("no encryption")}}, "sslmode=disable");
    cr_expect(postgres_is(&err, POSTGRES_LOGIN_REFUSED));
    expect_said(&err, "over TLS only: set sslmode=verify-full");
}

Test(postgres_login, with_a_wrong_password_is_told_of_the_password_though_it_is_tried_again_without_tls)
{
    const struct reply wrong = refusal("28P01", "password authentication failed for user \"me\"");
    const struct error err =
        refused((struct server){.replies = {wrong, no_entry_for("no encryption")}}, "sslmode=allow password=x");
    cr_expect_eq(err.kind, ERROR_USAGE);
    expect_said(&err, "password authentication failed");
    expect_second_said(&err, "no encryption");
    expect_said(&err, "check user and password");
    expect_not_said(&err, "verify-full");
}

Test(postgres_login, that_no_line_lets_in_is_told_of_the_servers_lines)
{
    const struct error err = refused((struct server){.replies = {no_entry_for("SSL encryption"), no_entry_for("no encryption")}},
                                     "sslmode=allow password=x");
    expect_second_said(&err, "no encryption");
    expect_said(&err, "pg_hba.conf on the server");
    expect_not_said(&err, "verify-full");
}

/* A value that libpq finds wrong when it uses it: no wait makes it right. While a service runs it is one that may be mended
 * (28000). */
Test(postgres_open, names_the_setting_when_a_value_of_it_is_none)
{
    static const char *const wrong[] = {
        "sslmode=banana",
        "port=99999",
        "port=1,2",
        "host=a,b,c port=1,2",
        "hostaddr=banana",
        "channel_binding=x",
        "gssencmode=x",
        "ssl_min_protocol_version=TLSv9",
        "keepalives_idle=x",
        "target_session_attrs=x",
        "host=a,b hostaddr=127.0.0.1",
    };
    struct server server = {.replies = {password_wanted(), password_wanted()}};
    serve(&server);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct error err = {0};
        char dsn[200];
        snprintf(dsn, sizeof dsn, "host=127.0.0.1 port=%d dbname=d user=me %s", server.port, wrong[i]);
        cr_assert_null(postgres_open(dsn, "unit", 10 * CLOCK_SECOND_US, &err), "%s", dsn);
        cr_expect_eq(err.kind, ERROR_USAGE, "%s: %s", wrong[i], err.text);
        cr_expect(postgres_is(&err, POSTGRES_LOGIN_REFUSED), "%s: '%s'", wrong[i], err.sqlstate);
        cr_expect_not_null(strstr(err.text, "postgres.dsn"), "%s: %s", wrong[i], err.text);
    }
    kill(server.pid, SIGKILL);
    waitpid(server.pid, NULL, 0);
}

Test(postgres_open, waits_for_a_name_that_nobody_knows_yet)
{
    struct error err = {0};
    cr_assert_null(postgres_open("host=no-such-host.invalid user=me dbname=d", "unit", 10 * CLOCK_SECOND_US, &err));
    cr_expect_eq(err.kind, ERROR_RETRY, "%s", err.text);
}
