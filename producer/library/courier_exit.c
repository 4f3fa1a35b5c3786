/* courier_exit.c - a process that ends by exit() without tally_close.
 *
 * While exit() calls its handlers the other threads still run: the couriers', and librdkafka's, which use OpenSSL whose handler
 * frees the locks that they need (one process in fifty crashed instead of ending, seen). So our handler, which comes before those
 * of what was begun earlier, stops the producers: what they have accepted is left in their spools, and no thread of ours or
 * librdkafka's goes on. Without a spool nothing is waited for, and what was not acknowledged is lost. Hooks are not called any
 * more: what they use may be gone.
 *
 * A producer that cannot be stopped within WAIT_SECONDS (its hook waits for the thread that called exit()) is left as it is: a
 * process always ends.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "producer/library/courier.h"
#include "producer/library/courier_struct.h"

enum { WAIT_SECONDS = 2 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct courier *first;
static sem_t all_stopped;

/* A thread of its own, so that exit() can leave it behind. */
static void *stop_all(void *unused)
{
    pthread_mutex_lock(&mutex);
    for (struct courier *courier = first; courier != NULL; courier = courier->next)
        if (!courier->is_left)
            courier_stop(courier, 0);
    pthread_mutex_unlock(&mutex);
    sem_post(&all_stopped);
    return unused;
}

static void on_exit_of_process(void)
{
    pthread_t thread;
    pthread_mutex_lock(&mutex);
    const bool is_any = first != NULL;
    for (struct courier *courier = first; courier != NULL; courier = courier->next) {
        courier->is_left = courier_is_inside(courier); /* exit() in a hook: its thread does not come back */
        atomic_store(&courier->is_mute, true);
    }
    pthread_mutex_unlock(&mutex);
    if (!is_any || pthread_create(&thread, NULL, stop_all, NULL) != 0)
        return;
    pthread_detach(thread);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_SECONDS;
    while (sem_timedwait(&all_stopped, &until) != 0 && errno == EINTR) /* ends: with the time */
        ;
}

/* In a child of fork() the list is the parent's, and its mutex may have been held. */
static void forget_parents(void)
{
    first = NULL;
    pthread_mutex_init(&mutex, NULL);
}

static void prepare(void)
{
    sem_init(&all_stopped, 0, 0);
    atexit(on_exit_of_process);
    pthread_atfork(NULL, NULL, forget_parents);
}

void courier_exit_watch(struct courier *courier)
{
    pthread_once(&once, prepare);
    pthread_mutex_lock(&mutex);
    courier->next = first;
    first = courier;
    pthread_mutex_unlock(&mutex);
}

void courier_exit_forget(struct courier *courier)
{
    pthread_mutex_lock(&mutex);
    for (struct courier **link = &first; *link != NULL; link = &(*link)->next)
        if (*link == courier) {
            *link = courier->next;
            break;
        }
    pthread_mutex_unlock(&mutex);
}
