/* http_deadline.c - see http_deadline.h.
 *
 * The socket's number stays the connection's own until the library has told us that it is closed (it tells before it closes), so
 * under the lock it is never another's. A timer for each connection was rejected: a look over at most a few hundred links a second
 * costs nothing.
 */
#include "common/http_deadline.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <microhttpd.h>

#include "common/clock.h"
#include "common/error.h"

enum { LOOK_MS = 1000 };

struct http_link {
    int fd;
    bool is_late, is_shut;
    int64_t deadline_us;
    struct MHD_Connection *suspended; /* NULL: it is not */
    struct http_link *next, *previous;
};

struct http_deadlines {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    struct http_link *links;
    unsigned request_ms;
    bool is_ending, is_stopping;
};

static void resume(struct http_link *link)
{
    if (!link->suspended)
        return;
    MHD_resume_connection(link->suspended);
    link->suspended = NULL;
}

static void look(struct http_deadlines *deadlines, int64_t now_us)
{
    for (struct http_link *link = deadlines->links; link; link = link->next) {
        if (now_us < link->deadline_us || link->is_shut)
            continue;
        link->is_late = true;
        if (link->suspended) {
            resume(link);
            link->deadline_us = now_us + LOOK_MS * INT64_C(1000); /* to say so */
            continue;
        }
        link->is_shut = true;
        shutdown(link->fd, SHUT_RDWR);
    }
}

static void *run(void *context)
{
    struct http_deadlines *deadlines = context;
    const unsigned pause_ms = deadlines->request_ms / 4 < LOOK_MS ? deadlines->request_ms / 4 + 1 : LOOK_MS;
    pthread_mutex_lock(&deadlines->lock);
    while (!deadlines->is_stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        const int64_t ns = until.tv_nsec + pause_ms * INT64_C(1000000);
        until.tv_sec += ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        pthread_cond_timedwait(&deadlines->wake, &deadlines->lock, &until);
        look(deadlines, clock_now_us());
    }
    pthread_mutex_unlock(&deadlines->lock);
    return NULL;
}

/* Signals are the main thread's: the look is started without any. */
static bool start_thread(struct http_deadlines *deadlines)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool is_started = pthread_create(&deadlines->thread, NULL, run, deadlines) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return is_started;
}

struct http_deadlines *http_deadlines_start(unsigned request_ms, struct error *err)
{
    struct http_deadlines *deadlines = calloc(1, sizeof *deadlines);
    pthread_condattr_t monotonic;
    if (!deadlines) {
        error_set(err, ERROR_RETRY, "no memory for the HTTP server");
        return NULL;
    }
    deadlines->request_ms = request_ms;
    pthread_mutex_init(&deadlines->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&deadlines->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (start_thread(deadlines))
        return deadlines;
    pthread_cond_destroy(&deadlines->wake);
    pthread_mutex_destroy(&deadlines->lock);
    free(deadlines);
    error_set(err, ERROR_RETRY, "cannot start a thread for the HTTP server");
    return NULL;
}

void http_deadlines_end(struct http_deadlines *deadlines)
{
    pthread_mutex_lock(&deadlines->lock);
    deadlines->is_ending = true;
    for (struct http_link *link = deadlines->links; link; link = link->next) {
        link->is_late = true;
        resume(link);
    }
    pthread_mutex_unlock(&deadlines->lock);
}

void http_deadlines_stop(struct http_deadlines *deadlines)
{
    pthread_mutex_lock(&deadlines->lock);
    deadlines->is_stopping = true;
    pthread_cond_signal(&deadlines->wake);
    pthread_mutex_unlock(&deadlines->lock);
    pthread_join(deadlines->thread, NULL);
    while (deadlines->links) /* ends: each is removed */
        http_deadlines_remove(deadlines, deadlines->links);
    pthread_cond_destroy(&deadlines->wake);
    pthread_mutex_destroy(&deadlines->lock);
    free(deadlines);
}

struct http_link *http_deadlines_add(struct http_deadlines *deadlines, int fd)
{
    struct http_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->fd = fd;
    link->deadline_us = clock_now_us() + deadlines->request_ms * INT64_C(1000);
    pthread_mutex_lock(&deadlines->lock);
    link->next = deadlines->links;
    if (link->next)
        link->next->previous = link;
    deadlines->links = link;
    pthread_mutex_unlock(&deadlines->lock);
    return link;
}

void http_deadlines_remove(struct http_deadlines *deadlines, struct http_link *link)
{
    pthread_mutex_lock(&deadlines->lock);
    if (link->previous)
        link->previous->next = link->next;
    else
        deadlines->links = link->next;
    if (link->next)
        link->next->previous = link->previous;
    pthread_mutex_unlock(&deadlines->lock);
    free(link);
}

void http_deadlines_move(struct http_deadlines *deadlines, struct http_link *link, unsigned ms)
{
    pthread_mutex_lock(&deadlines->lock);
    link->deadline_us = clock_now_us() + (ms != 0 ? ms : deadlines->request_ms) * INT64_C(1000);
    link->is_late = deadlines->is_ending;
    pthread_mutex_unlock(&deadlines->lock);
}

void http_deadlines_begin(struct http_deadlines *deadlines, struct http_link *link)
{
    pthread_mutex_lock(&deadlines->lock);
    if (!link->is_late)
        link->deadline_us = clock_now_us() + deadlines->request_ms * INT64_C(1000);
    pthread_mutex_unlock(&deadlines->lock);
}

bool http_deadlines_suspend(struct http_deadlines *deadlines, struct http_link *link, struct MHD_Connection *connection)
{
    pthread_mutex_lock(&deadlines->lock);
    const bool may_wait = !deadlines->is_ending && !link->is_late;
    if (may_wait) {
        MHD_suspend_connection(connection);
        link->suspended = connection;
    }
    pthread_mutex_unlock(&deadlines->lock);
    return may_wait;
}

void http_deadlines_resume(struct http_deadlines *deadlines, struct http_link *link)
{
    pthread_mutex_lock(&deadlines->lock);
    resume(link);
    pthread_mutex_unlock(&deadlines->lock);
}

void http_deadlines_resume_all(struct http_deadlines *deadlines)
{
    pthread_mutex_lock(&deadlines->lock);
    for (struct http_link *link = deadlines->links; link; link = link->next)
        resume(link);
    pthread_mutex_unlock(&deadlines->lock);
}

bool http_deadlines_is_late(struct http_deadlines *deadlines, const struct http_link *link)
{
    pthread_mutex_lock(&deadlines->lock);
    const bool is_late = link->is_late || deadlines->is_ending;
    pthread_mutex_unlock(&deadlines->lock);
    return is_late;
}
