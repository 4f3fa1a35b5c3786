/* service.c - see service.h.
 *
 * The handlers do two things that are safe in them: set a flag and write a byte to a pipe, so that a poll(2) that is about to sleep
 * wakes up. signalfd(2) was rejected: it needs the signals blocked in every thread, those of librdkafka too, and a second
 * SIGTERM could then not end a main loop that hangs.
 */
#include "common/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "common/error.h"
#include "common/utf8.h"

static int wake_pipe[2] = {-1, -1};
static atomic_bool is_stop_wanted;
static atomic_bool is_reload_wanted;
static bool is_ready_told;
static int64_t watchdog_interval_us; /* half of WatchdogSec; 0: none */
static int64_t watchdog_told_us;
static _Atomic int64_t turned_us;

static void on_signal(int number)
{
    int saved = errno;
    if (number == SIGHUP)
        atomic_store(&is_reload_wanted, true);
    else if (atomic_exchange(&is_stop_wanted, true))
        _exit(1);
    /* A full pipe is awake already. */
    ssize_t wrote = write(wake_pipe[1], "", 1);
    (void)wrote;
    errno = saved;
}

static bool handle(int number, void (*handler)(int), struct error *err)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigaction(number, &action, NULL) == 0)
        return true;
    return error_set(err, ERROR_FATAL, "cannot handle signal %d: %s", number, strerror(errno));
}

bool service_open(struct error *err)
{
    if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return error_set(err, ERROR_RETRY, "cannot make a pipe: %s", strerror(errno));
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0)
        watchdog_interval_us = (int64_t)(watchdog_us / 2);
    watchdog_told_us = 0;
    is_ready_told = false;
    atomic_store(&is_stop_wanted, false);
    atomic_store(&is_reload_wanted, false);
    if (handle(SIGTERM, on_signal, err) && handle(SIGINT, on_signal, err) && handle(SIGHUP, on_signal, err) &&
        handle(SIGPIPE, SIG_IGN, err))
        return true;
    service_close();
    return false;
}

void service_close(void)
{
    struct error ignored;
    handle(SIGTERM, SIG_DFL, &ignored);
    handle(SIGINT, SIG_DFL, &ignored);
    handle(SIGHUP, SIG_DFL, &ignored);
    for (int i = 0; i < 2; i++) {
        if (wake_pipe[i] >= 0)
            close(wake_pipe[i]);
        wake_pipe[i] = -1;
    }
}

bool service_is_stopping(void)
{
    return atomic_load(&is_stop_wanted);
}

bool service_take_reload(void)
{
    if (!atomic_exchange(&is_reload_wanted, false))
        return false;
    char bytes[64];
    while (read(wake_pipe[0], bytes, sizeof bytes) > 0)
        continue;
    if (service_is_stopping()) { /* its byte may be among those just read */
        ssize_t wrote = write(wake_pipe[1], "", 1);
        (void)wrote;
    }
    return true;
}

int service_fd(void)
{
    return wake_pipe[0];
}

void service_ready(void)
{
    if (!is_ready_told)
        sd_notify(0, "READY=1");
    is_ready_told = true;
}

void service_status(const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    utf8_trim(text);
    /* A newline would begin another assignment. */
    for (char *at = text; (at = strchr(at, '\n')) != NULL;)
        *at = ' ';
    sd_notifyf(0, "STATUS=%s", text);
}

void service_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

int64_t service_turned_us(void)
{
    return atomic_load_explicit(&turned_us, memory_order_relaxed);
}

void service_watchdog(int64_t now_us)
{
    atomic_store_explicit(&turned_us, now_us, memory_order_relaxed);
    if (watchdog_interval_us == 0 || (watchdog_told_us != 0 && now_us - watchdog_told_us < watchdog_interval_us))
        return;
    watchdog_told_us = now_us;
    sd_notify(0, "WATCHDOG=1");
}
