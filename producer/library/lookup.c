/* lookup.c - see lookup.h.
 *
 * getaddrinfo(3) cannot be ended: while a name server does not answer it takes ten seconds with resolv.conf's defaults, and more
 * with several servers or search domains. librdkafka calls it in a broker's thread and joins that thread when a handle is
 * destroyed, so that tally_close with a time-out of one second took 9.7. So it runs in a thread of its own, which owns all that it
 * touches; whoever is the last to leave frees it.
 *
 * Rejected: getaddrinfo_a(3), whose requests cannot be cancelled once they are under way either; leaving the handle itself to a
 * thread, which would call the application's hooks after tally_close. Its price: a library that is unloaded (dlclose) must stay
 * where such a thread may still run: -z nodelete.
 */
#include "producer/library/lookup.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "producer/library/fork_safety.h"

enum { SLICE_NS = 20 * 1000 * 1000, SECOND_NS = 1000 * 1000 * 1000 };

struct lookup {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    bool is_done, is_left; /* the thread has ended; nobody waits for it any more */
    char *node, *service;
    struct addrinfo hints, *found;
    int answer, error; /* errno beside EAI_SYSTEM */
};

static void lookup_free(struct lookup *lookup)
{
    if (lookup->found != NULL)
        freeaddrinfo(lookup->found);
    pthread_cond_destroy(&lookup->done);
    pthread_mutex_destroy(&lookup->mutex);
    free(lookup->node);
    free(lookup->service);
    free(lookup);
}

static struct lookup *lookup_new(const char *node, const char *service, const struct addrinfo *hints)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return NULL;
    pthread_mutex_init(&lookup->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&lookup->done, &attributes);
    pthread_condattr_destroy(&attributes);
    lookup->node = strdup(node);
    lookup->service = service == NULL ? NULL : strdup(service);
    lookup->hints = hints == NULL ? (struct addrinfo){.ai_family = AF_UNSPEC} : *hints;
    if (lookup->node != NULL && (service == NULL || lookup->service != NULL))
        return lookup;
    lookup_free(lookup);
    return NULL;
}

static void *run(void *argument)
{
    struct lookup *lookup = argument;
    struct addrinfo *found = NULL;
    const int answer = fork_safety_look_up(lookup->node, lookup->service, &lookup->hints, &found);
    const int error = errno;
    pthread_mutex_lock(&lookup->mutex);
    lookup->answer = answer;
    lookup->error = error;
    lookup->found = answer == 0 ? found : NULL;
    lookup->is_done = true;
    const bool is_left = lookup->is_left;
    pthread_cond_signal(&lookup->done);
    pthread_mutex_unlock(&lookup->mutex);
    if (is_left)
        lookup_free(lookup);
    return NULL;
}

static bool start(struct lookup *lookup)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    const bool is_started = pthread_create(&thread, &attributes, run, lookup) == 0;
    pthread_attr_destroy(&attributes);
    return is_started;
}

/* False: nobody waits for it any more, and it may be gone. */
static bool await(struct lookup *lookup, const atomic_bool *is_given_up)
{
    pthread_mutex_lock(&lookup->mutex);
    while (!lookup->is_done && !atomic_load(is_given_up)) { /* ends: with the resolver's patience */
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += SLICE_NS;
        until.tv_sec += until.tv_nsec / SECOND_NS;
        until.tv_nsec %= SECOND_NS;
        pthread_cond_timedwait(&lookup->done, &lookup->mutex, &until);
    }
    const bool is_done = lookup->is_done;
    lookup->is_left = !is_done;
    pthread_mutex_unlock(&lookup->mutex);
    return is_done;
}

int lookup(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found,
           const atomic_bool *is_given_up)
{
    struct addrinfo numeric = hints == NULL ? (struct addrinfo){.ai_family = AF_UNSPEC} : *hints;
    numeric.ai_flags |= AI_NUMERICHOST; /* an address as it stands asks nobody */
    if (fork_safety_look_up(node, service, &numeric, found) == 0)
        return 0;
    struct lookup *lookup = lookup_new(node, service, hints);
    if (lookup == NULL || !start(lookup)) { /* without memory or a thread: as it would be without us */
        if (lookup != NULL)
            lookup_free(lookup);
        return fork_safety_look_up(node, service, hints, found);
    }
    if (!await(lookup, is_given_up))
        return EAI_AGAIN;
    const int answer = lookup->answer;
    const int error = lookup->error;
    *found = lookup->found;
    lookup->found = NULL;
    lookup_free(lookup);
    errno = error;
    return answer;
}
