/* step_teller.c - see step_teller.h. Rejected: a line as each step begins, for most take no time and nobody reads ten lines. */
#include "operator/step_teller.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "operator/terminal.h"

enum { PATIENCE_SECONDS = 2, TEXT_BYTES = 200 };

static struct {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool is_running, is_over;
    char text[TEXT_BYTES];
} teller = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *tell(void *unused)
{
    struct timespec deadline;
    int waited = 0;
    (void)unused;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += PATIENCE_SECONDS;
    pthread_mutex_lock(&teller.mutex);
    while (!teller.is_over && waited == 0) /* ends: at the deadline */
        waited = pthread_cond_timedwait(&teller.ended, &teller.mutex, &deadline);
    if (!teller.is_over) {
        fputs(isatty(STDERR_FILENO) ? "\r\x1b[K" : "", stderr); /* a progress bar may stand there */
        terminal_text(stderr, teller.text);
        fputs(" ...\n", stderr);
    }
    pthread_mutex_unlock(&teller.mutex);
    return NULL;
}

/* Signals are for the command's thread. */
static bool start_thread(void)
{
    sigset_t all, before;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&teller.ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool is_made = pthread_create(&teller.thread, NULL, tell, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!is_made)
        pthread_cond_destroy(&teller.ended);
    return is_made;
}

void step_teller_begin(const char *program, const char *format, ...)
{
    char what[TEXT_BYTES];
    va_list values;
    step_teller_end();
    va_start(values, format);
    vsnprintf(what, sizeof what, format, values);
    va_end(values);
    snprintf(teller.text, sizeof teller.text, "%.40s: %.150s", program, what);
    teller.is_over = false;
    teller.is_running = start_thread();
}

void step_teller_end(void)
{
    if (!teller.is_running)
        return;
    pthread_mutex_lock(&teller.mutex);
    teller.is_over = true;
    pthread_cond_signal(&teller.ended);
    pthread_mutex_unlock(&teller.mutex);
    pthread_join(teller.thread, NULL);
    pthread_cond_destroy(&teller.ended);
    teller.is_running = false;
}
