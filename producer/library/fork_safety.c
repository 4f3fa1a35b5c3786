/* fork_safety.c - see fork_safety.h.
 *
 * glibc's getaddrinfo and OpenSSL's random numbers, which librdkafka asks for at the start of each thread, take locks that fork()
 * does not look after: a child that is forked while another thread has one waits for it for ever once it needs it itself, and with
 * it whoever joins that thread (rd_kafka_destroy). Seen in three of 120 daemons that forked right behind tally_open. So whoever has
 * such a lock is a reader here, and a fork a writer. A look-up that takes longer than the wait stands in front of a name server,
 * where glibc holds none of these locks: then the fork goes on. Not covered: a handshake of TLS in that moment.
 */
#include "producer/library/fork_safety.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* OpenSSL's, where librdkafka brings it along. */
extern int RAND_priv_bytes(unsigned char *bytes, int count) __attribute__((weak));

enum { FORK_WAIT_NS = 200 * 1000 * 1000, SECOND_NS = 1000 * 1000 * 1000 };

#ifdef PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
#define HOLDERS_INIT PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP /* glibc's others let readers starve a writer */
#else
#define HOLDERS_INIT PTHREAD_RWLOCK_INITIALIZER
#endif

static pthread_rwlock_t holders = HOLDERS_INIT;
static _Thread_local bool is_waited_for; /* by the thread that forks */

int fork_safety_look_up(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    pthread_rwlock_rdlock(&holders);
    int answer = getaddrinfo(node, service, hints, found);
    pthread_rwlock_unlock(&holders);
    return answer;
}

static void wait_for_holders(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += FORK_WAIT_NS;
    until.tv_sec += until.tv_nsec / SECOND_NS;
    until.tv_nsec %= SECOND_NS;
    is_waited_for = pthread_rwlock_timedwrlock(&holders, &until) == 0;
}

static void go_on(void)
{
    if (is_waited_for)
        pthread_rwlock_unlock(&holders);
}

static void begin_anew(void)
{
    holders = (pthread_rwlock_t)HOLDERS_INIT; /* those who had it are not here */
}

static void heed_forks(void)
{
    pthread_atfork(wait_for_holders, go_on, begin_anew);
}

/* A thread's generator of random numbers is made with the first of them. */
static rd_kafka_resp_err_t on_thread_start(rd_kafka_t *handle, rd_kafka_thread_type_t type, const char *name, void *context)
{
    (void)handle, (void)type, (void)name, (void)context;
    unsigned char byte;
    pthread_rwlock_rdlock(&holders);
    if (RAND_priv_bytes != NULL)
        (void)RAND_priv_bytes(&byte, 1);
    pthread_rwlock_unlock(&holders);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *handle, const rd_kafka_conf_t *conf, void *context, char *reason, size_t size)
{
    (void)conf, (void)context, (void)reason, (void)size;
    return rd_kafka_interceptor_add_on_thread_start(handle, "tallymill", on_thread_start, NULL);
}

void fork_safety_watch(rd_kafka_conf_t *conf)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, heed_forks);
    rd_kafka_conf_interceptor_add_on_new(conf, "tallymill", on_new, NULL);
}
