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

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/settings.h"
#include "common/utf8.h"

enum { STATUS_BYTES = 512 };

static int wake_pipe[2] = {-1, -1};
static atomic_bool is_stop_wanted;
static atomic_int stop_signal; /* which one wanted it; 0: none */
static atomic_bool is_leave_wanted;
static atomic_bool was_stopped; /* by SIGTERM or SIGINT: the next of them is not waited for */
static atomic_bool is_reload_wanted;
static bool is_ready_told;
static int64_t trouble_us; /* Unix time of the last trouble; 0: none yet */
static char trouble[160];
static int64_t watchdog_interval_us; /* half of WatchdogSec; 0: none */
static int64_t watchdog_told_us;
static _Atomic int64_t turned_us;

static void on_signal(int number)
{
    int saved = errno;
    if (number == SIGHUP)
        atomic_store(&is_reload_wanted, true);
    else if (number == SIGUSR1)
        atomic_store(&is_leave_wanted, true);
    else if (atomic_exchange(&was_stopped, true))
        _exit(1);
    if (number != SIGHUP) {
        if (!atomic_exchange(&is_stop_wanted, true))
            atomic_store(&stop_signal, number);
    }
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
    trouble_us = 0;
    atomic_store(&is_stop_wanted, false);
    atomic_store(&stop_signal, 0);
    atomic_store(&is_leave_wanted, false);
    atomic_store(&was_stopped, false);
    atomic_store(&is_reload_wanted, false);
    if (handle(SIGTERM, on_signal, err) && handle(SIGINT, on_signal, err) && handle(SIGHUP, on_signal, err) &&
        handle(SIGUSR1, on_signal, err) && handle(SIGPIPE, SIG_IGN, err))
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
    handle(SIGUSR1, SIG_DFL, &ignored);
    for (int i = 0; i < 2; i++) {
        if (wake_pipe[i] >= 0)
            close(wake_pipe[i]);
        wake_pipe[i] = -1;
    }
}

void service_log_start(const struct settings *settings, const char *instance)
{
    char path[LOG_TEXT_BYTES], name[LOG_TEXT_BYTES];
    log_info("started", "version=%s settings=\"%s\" instance=\"%s\" pid=%ld", TALLYMILL_VERSION,
             log_text(path, settings_path(settings)), log_text(name, instance), (long)getpid());
}

void service_log_stop(const struct error *err)
{
    const int number = atomic_load(&stop_signal);
    if (err->kind != ERROR_NONE)
        log_error_because(err, "stopped by an error", "exit_code=%d", error_exit_code(err));
    else
        log_info("stopped", "by=%s",
                 number == SIGTERM   ? "SIGTERM"
                 : number == SIGINT  ? "SIGINT"
                 : number == SIGUSR1 ? "SIGUSR1"
                                     : "\"nothing more to do\"");
}

bool service_is_stopping(void)
{
    return atomic_load(&is_stop_wanted);
}

bool service_is_leaving(void)
{
    return atomic_load(&is_leave_wanted);
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

void service_trouble(const struct error *err)
{
    trouble_us = clock_wall_us();
    snprintf(trouble, sizeof trouble, "%.*s", UTF8_CUT(err->text, (int)sizeof trouble - 1));
}

void service_status(const char *format, ...)
{
    char text[STATUS_BYTES], moment[CLOCK_TIME_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const size_t used = strlen(text);
    if (trouble_us != 0 && clock_format_time(moment, trouble_us) > 0)
        snprintf(text + used, sizeof text - used, "; last trouble %.19sZ: %s", moment, trouble);
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
