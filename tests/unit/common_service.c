/* Signals and what systemd is told; the test stands in for systemd. */
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/service.h"

static bool is_readable(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    return poll(&entry, 1, 0) == 1;
}

static void open_service(void)
{
    struct error err = {0};
    cr_assert(service_open(&err), "%s", err.text);
}

Test(service, notes_a_stop_and_wakes_the_poll, .init = open_service, .fini = service_close)
{
    cr_expect_not(service_is_stopping());
    cr_expect_not(is_readable(service_fd()));
    raise(SIGTERM);
    cr_expect(service_is_stopping());
    cr_expect(is_readable(service_fd()));
    cr_expect_not(service_take_reload());
}

Test(service, takes_an_interrupt_from_the_keyboard_for_a_stop, .init = open_service, .fini = service_close)
{
    raise(SIGINT);
    cr_expect(service_is_stopping());
}

Test(service, notes_a_reload_once, .init = open_service, .fini = service_close)
{
    raise(SIGHUP);
    raise(SIGHUP);
    cr_expect(is_readable(service_fd()));
    cr_expect(service_take_reload());
    cr_expect_not(service_take_reload());
    cr_expect_not(is_readable(service_fd()), "or poll(2) would spin");
    cr_expect_not(service_is_stopping());
}

Test(service, stays_readable_when_a_stop_comes_with_a_reload, .init = open_service, .fini = service_close)
{
    raise(SIGHUP);
    raise(SIGTERM);
    cr_expect(service_take_reload());
    cr_expect(is_readable(service_fd()));
    cr_expect(service_is_stopping());
}

Test(service, notes_a_stop_for_good_and_takes_the_stop_behind_it_for_the_same, .init = open_service, .fini = service_close)
{
    cr_expect_not(service_is_leaving());
    raise(SIGUSR1);
    cr_expect(service_is_stopping());
    cr_expect(service_is_leaving());
    cr_expect(is_readable(service_fd()));
    raise(SIGTERM); /* systemd's, behind ExecStop= */
    cr_expect(service_is_leaving());
}

Test(service, survives_a_closed_pipe, .init = open_service, .fini = service_close)
{
    raise(SIGPIPE);
    cr_expect_not(service_is_stopping());
}

#ifdef __SANITIZE_THREAD__ /* it never delivers signals in a child forked beside other threads, as Criterion's are */
#define NO_SIGNALS_IN_CHILD true
#else
#define NO_SIGNALS_IN_CHILD false
#endif

Test(service, ends_at_once_at_the_second_stop, .disabled = NO_SIGNALS_IN_CHILD)
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        struct error err;
        error_ignore(service_open(&err));
        raise(SIGTERM);
        raise(SIGTERM);
        _exit(42); /* not reached */
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static int notify_socket = -1;

/* An abstract socket in place of systemd's, and a watchdog of 10 s. */
static void be_systemd(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "tallymill-unit-%d", (int)getpid());
    notify_socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(notify_socket, 0);
    cr_assert_eq(
        bind(notify_socket, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)),
        0);
    char name[sizeof address.sun_path + 1], pid[16];
    snprintf(name, sizeof name, "@%s", address.sun_path + 1);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", "10000000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    open_service();
}

/* The next message to systemd, "" when there is none. */
static const char *told(void)
{
    static char text[512];
    ssize_t length = recv(notify_socket, text, sizeof text - 1, MSG_DONTWAIT);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

Test(service, tells_systemd_once_that_it_is_ready, .init = be_systemd)
{
    service_ready();
    service_ready();
    cr_expect_str_eq(told(), "READY=1");
    cr_expect_str_eq(told(), "");
    service_stopping();
    cr_expect_str_eq(told(), "STOPPING=1");
}

Test(service, keeps_a_status_one_assignment, .init = be_systemd)
{
    service_status("%d rows\nREADY=1", 5);
    cr_expect_str_eq(told(), "STATUS=5 rows READY=1");
}

Test(service, says_the_last_trouble_in_every_status, .init = be_systemd)
{
    struct error err = {0};
    error_set(&err, ERROR_RETRY, "a lock is held");
    service_trouble(&err);
    service_status("4 topic partitions");
    const char *text = told();
    cr_expect(strncmp(text, "STATUS=4 topic partitions; last trouble 20", 42) == 0, "%s", text);
    cr_expect_not_null(strstr(text, "Z: a lock is held"), "%s", text);
    error_set(&err, ERROR_RETRY, "another");
    service_trouble(&err);
    service_status("x");
    text = told();
    cr_expect_not_null(strstr(text, ": another"), "%s", text);
    cr_expect_null(strstr(text, "lock"), "%s", text);
}

Test(service, feeds_the_watchdog_each_half_of_its_time, .init = be_systemd)
{
    service_watchdog(100 * CLOCK_SECOND_US);
    cr_expect_str_eq(told(), "WATCHDOG=1");
    service_watchdog(104 * CLOCK_SECOND_US);
    cr_expect_str_eq(told(), "");
    service_watchdog(105 * CLOCK_SECOND_US);
    cr_expect_str_eq(told(), "WATCHDOG=1");
}

Test(service, tells_nobody_without_systemd)
{
    unsetenv("NOTIFY_SOCKET");
    open_service();
    service_ready();
    service_status("x");
    service_watchdog(1);
    service_stopping();
    service_close();
}
