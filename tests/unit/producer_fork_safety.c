/* producer_fork_safety.c - a process whose producers look up brokers forks: its child can look up names. And a look-up that nobody
 * answers holds nobody up. In a program of its own, whose getaddrinfo behaves as glibc's does, only more visibly: it has a lock
 * while it works that fork() does not look after. */
#include <criterion/criterion.h>

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tallymill/producer.h>

#include "common/clock.h"

enum { WORK_NS = 20 * 1000 * 1000, LOOK_NS = 100 * 1000, PRODUCERS = 4, ROUNDS = 20, PATIENCE_US = 30 * 1000 * 1000 };

typedef int resolver(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found);

static pthread_mutex_t inner = PTHREAD_MUTEX_INITIALIZER;
static atomic_int inside;
static atomic_bool is_stuck; /* as where a name server does not answer */

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    resolver *real = (resolver *)(uintptr_t)dlsym(RTLD_NEXT, "getaddrinfo");
    if (hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0)
        return real(node, service, hints, found);
    if (atomic_load(&is_stuck)) {
        const int64_t patience_us = clock_now_us() + PATIENCE_US;
        atomic_fetch_add(&inside, 1);
        while (atomic_load(&is_stuck) && clock_now_us() < patience_us)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
        atomic_fetch_sub(&inside, 1);
        return EAI_AGAIN;
    }
    pthread_mutex_lock(&inner);
    atomic_fetch_add(&inside, 1);
    nanosleep(&(struct timespec){.tv_nsec = WORK_NS}, NULL);
    int answer = real(node, service, hints, found);
    atomic_fetch_sub(&inside, 1);
    pthread_mutex_unlock(&inner);
    return answer;
}

static struct tally_producer *open_one(void)
{
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", "localhost:1"},
                                       {"kafka.broker.address.ttl", "0"},
                                       {"kafka.reconnect.backoff.ms", "10"},
                                       {"kafka.reconnect.backoff.max.ms", "10"},
                                       {NULL, NULL}};
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_producer *producer = tally_open(settings, NULL, &err);
    cr_assert_not_null(producer, "%s", err.text);
    return producer;
}

static bool wait_until_inside(void)
{
    int64_t deadline_us = clock_now_us() + 20 * CLOCK_SECOND_US;
    while (atomic_load(&inside) == 0 && clock_now_us() < deadline_us)
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    return atomic_load(&inside) > 0;
}

Test(fork_safety, a_child_can_look_up_names_that_its_parent_was_looking_up)
{
    struct tally_producer *producers[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++)
        producers[i] = open_one();
    for (int round = 0; round < ROUNDS; round++) {
        cr_assert(wait_until_inside(), "nobody looks up anything");
        pid_t child = fork();
        if (child == 0)
            _exit(pthread_mutex_trylock(&inner) == 0 ? 0 : 1);
        int status = -1;
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "round %d: the child waits for a thread that it does not have",
                  round);
    }
    for (int i = 0; i < PRODUCERS; i++)
        tally_close(producers[i], 0, NULL);
}

Test(look_up, that_a_name_server_does_not_answer_keeps_nobody_from_closing)
{
    atomic_store(&is_stuck, true);
    struct tally_producer *producer = open_one();
    cr_assert(wait_until_inside(), "nobody looks up anything");
    tally_close(producer, 0, NULL);
    cr_assert_gt(atomic_load(&inside), 0, "tally_close has waited until the resolver gave up");
    atomic_store(&is_stuck, false);
    while (atomic_load(&inside) > 0) /* ends: each sees it */
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
}
