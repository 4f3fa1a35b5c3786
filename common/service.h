/* service.h - what systemd and an operator's signals want of a long-running program. Works the same without systemd.
 *
 * SIGTERM and SIGINT ask for a clean stop; SIGUSR1 for one that is for good, after which nobody of this name comes back soon;
 * SIGHUP for a reload; SIGPIPE is ignored. Signals are only noted: the main loop asks. Main thread, but service_is_stopping() and
 * service_turned_us() from any.
 */
#ifndef TALLYMILL_COMMON_SERVICE_H
#define TALLYMILL_COMMON_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
struct settings;

/* Installs the handlers. A second SIGTERM or SIGINT ends the process at once (exit 1); one behind a SIGUSR1 does not, for systemd
 * sends it when ExecStop= is done. */
MUST_CHECK bool service_open(struct error *err);
void service_close(void);

/* The first line of a service's log, with its version, the file of its settings and its instance (""); and the last, with what
 * ended it: a signal, nothing more to do
 * (--once, --until-end), or an error with its exit code. */
void service_log_start(const struct settings *settings, const char *instance);
void service_log_stop(const struct error *err);

bool service_is_stopping(void);
bool service_is_leaving(void);  /* it stops, and is asked to be for good */
bool service_take_reload(void); /* true once after a SIGHUP */

/* Becomes readable when a signal arrived; for poll(2). service_take_reload() empties it; once a stop is wanted it stays readable,
 * so leave it out of poll(2) from then on. Owned by the service. */
int service_fd(void);

/* sd_notify: READY=1 once; STATUS= (printf); STOPPING=1; WATCHDOG=1 when half of WatchdogSec has passed since the last (call it in
 * each turn of the main loop, and only there: a loop that hangs must lose its watchdog). No-ops without NOTIFY_SOCKET. */
void service_ready(void);
void service_status(const char *format, ...) __attribute__((format(printf, 1, 2)));
void service_stopping(void);

/* What went wrong last: every status says it from now on, with its time. Main thread. */
void service_trouble(const struct error *err);
void service_watchdog(int64_t now_us);

/* When service_watchdog() was last called, or 0. */
int64_t service_turned_us(void);

#endif
