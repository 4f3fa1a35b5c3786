/* c11_threads.c - C11's threads as what they are underneath, POSIX threads, for the thread sanitizer.
 *
 * librdkafka calls thrd_create and its kin, which the sanitizer does not know: it crashes in a thread that it has not seen begin,
 * and takes what librdkafka's locks order for a race. Linked into the program these definitions come before libc's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

struct start {
    thrd_start_t function;
    void *argument;
};

static void *run(void *context)
{
    struct start start = *(struct start *)context;
    free(context);
    return (void *)(intptr_t)start.function(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    struct start *start = malloc(sizeof *start);
    if (start == NULL)
        return thrd_nomem;
    *start = (struct start){function, argument};
    return pthread_create(thread, NULL, run, start) == 0 ? thrd_success : thrd_error;
}

int thrd_join(thrd_t thread, int *result)
{
    void *value = NULL;
    int status = pthread_join(thread, &value);
    if (result != NULL)
        *result = (int)(intptr_t)value;
    return status == 0 ? thrd_success : thrd_error;
}

static pthread_mutex_t *mutex_of(mtx_t *mutex)
{
    return (pthread_mutex_t *)mutex;
}

static pthread_cond_t *cond_of(cnd_t *condition)
{
    return (pthread_cond_t *)condition;
}

int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if (type & mtx_recursive)
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    return pthread_mutex_init(mutex_of(mutex), &attributes) == 0 ? thrd_success : thrd_error;
}

int mtx_lock(mtx_t *mutex)
{
    return pthread_mutex_lock(mutex_of(mutex)) == 0 ? thrd_success : thrd_error;
}

int mtx_trylock(mtx_t *mutex)
{
    return pthread_mutex_trylock(mutex_of(mutex)) == 0 ? thrd_success : thrd_busy;
}

int mtx_unlock(mtx_t *mutex)
{
    return pthread_mutex_unlock(mutex_of(mutex)) == 0 ? thrd_success : thrd_error;
}

void mtx_destroy(mtx_t *mutex)
{
    pthread_mutex_destroy(mutex_of(mutex));
}

int cnd_init(cnd_t *condition)
{
    return pthread_cond_init(cond_of(condition), NULL) == 0 ? thrd_success : thrd_error;
}

int cnd_signal(cnd_t *condition)
{
    return pthread_cond_signal(cond_of(condition)) == 0 ? thrd_success : thrd_error;
}

int cnd_broadcast(cnd_t *condition)
{
    return pthread_cond_broadcast(cond_of(condition)) == 0 ? thrd_success : thrd_error;
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return pthread_cond_wait(cond_of(condition), mutex_of(mutex)) == 0 ? thrd_success : thrd_error;
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until)
{
    int status = pthread_cond_timedwait(cond_of(condition), mutex_of(mutex), until);
    return status == 0 ? thrd_success : status == ETIMEDOUT ? thrd_timedout : thrd_error;
}

void cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy(cond_of(condition));
}
