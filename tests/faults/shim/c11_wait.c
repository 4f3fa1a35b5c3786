/* c11_wait.c - C11's cnd_timedwait() by way of pthread_cond_timedwait(), which libfaketime replaces; it does not know the former.
 *
 * librdkafka waits by C11 threads. Under a false clock it computes a moment of the false time, and glibc would wait for it in the
 * true one: at once when the false clock is behind, hours when it is ahead. In glibc both types are the same object.
 */
#include <errno.h>
#include <pthread.h>
#include <threads.h>

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict moment)
{
    switch (pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, moment)) {
    case 0: return thrd_success;
    case ETIMEDOUT: return thrd_timedout;
    default: return thrd_error;
    }
}
