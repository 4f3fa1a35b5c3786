/* courier_exit.c - a process that ends by exit() without tally_close: what its producers have accepted is left in their spools.
 *
 * The courier's thread still runs while exit() calls its handlers; it is woken and waited for until the ring is empty, which is a
 * millisecond's work. Without a spool there is nothing that could be done in a moment.
 */
#include <stdlib.h>

#include "common/clock.h"
#include "producer/library/courier.h"
#include "producer/library/courier_struct.h"

enum { WAIT_MS = 2000, LOOK_US = 1000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct courier *first;

static void leave_in_spool(struct courier *courier)
{
    int64_t deadline_us = clock_now_us() + INT64_C(1000) * WAIT_MS;
    ring_shut(courier->ring);
    sem_post(&courier->bell);
    while (!ring_is_empty(courier->ring) && clock_now_us() < deadline_us)
        nanosleep(&(struct timespec){.tv_nsec = LOOK_US * 1000}, NULL);
}

static void on_exit_of_process(void)
{
    pthread_mutex_lock(&mutex);
    for (struct courier *courier = first; courier != NULL; courier = courier->next)
        if (!courier_is_inside(courier)) /* exit() in a hook: nobody would come */
            leave_in_spool(courier);
    pthread_mutex_unlock(&mutex);
}

/* In a child of fork() the list is the parent's, and its mutex may have been held. */
static void forget_parents(void)
{
    first = NULL;
    pthread_mutex_init(&mutex, NULL);
}

static void prepare(void)
{
    atexit(on_exit_of_process);
    pthread_atfork(NULL, NULL, forget_parents);
}

void courier_exit_watch(struct courier *courier)
{
    if (courier->spool == NULL)
        return;
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
