/* generation.c - see generation.h. */
#include "producer/library/generation.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_uint generation;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void watch(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}

void generation_watch(void)
{
    pthread_once(&once, watch);
}

unsigned generation_now(void)
{
    return atomic_load_explicit(&generation, memory_order_relaxed);
}
