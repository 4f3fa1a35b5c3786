/* stress.c - eight threads publish while one flushes and stops the producer, and children are forked in the middle; in every second
 * round hooks are polled, by a thread that waits for the descriptor while another flushes. For the thread sanitizer: a plain
 * program, because it does not get along with Criterion's forks. librdkafka's mock brokers stand in for Kafka.
 *
 *     stress [SPOOL_DIR]      exit code 0 when every accepted event has exactly one fate
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tallymill/producer.h>

enum { THREADS = 8, EVENTS = 20000, ROUNDS = 4, FORKS = 5 };

static struct tally_producer *producer;
static atomic_bool is_over;
static unsigned long told; /* never from two threads at once: the library sees to it; read when all have ended */

static void on_delivered(void *context, const struct tally_delivery *delivery)
{
    (void)context, (void)delivery;
    told++;
}

static void fail(const char *what)
{
    fprintf(stderr, "stress: %s\n", what);
    exit(1);
}

static void *publish(void *context)
{
    struct tally_event *event = tally_event_new();
    unsigned long accepted = 0;
    for (int i = 0; i < EVENTS; i++) {
        tally_event_begin(event, "code_input");
        if (i % 3 != 0)
            tally_event_session(event, "a session");
        tally_event_int(event, "number", i);
        enum tally_code code;
        while ((code = tally_publish(producer, event, NULL)) == TALLY_FULL)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        if (code == TALLY_FAILED)
            break; /* stopped */
        accepted++;
    }
    tally_event_free(event);
    *(unsigned long *)context = accepted;
    return NULL;
}

static void *poll_hooks(void *context)
{
    struct pollfd wanted = {.fd = tally_poll_fd(producer), .events = POLLIN};
    while (!atomic_load(&is_over)) {
        if (poll(&wanted, 1, 10) > 0)
            *(unsigned long *)context += (unsigned long)tally_poll(producer);
    }
    return NULL;
}

/* A child may call anything, and leaves the parent's events alone. */
static void fork_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        struct tally_event *event = tally_event_new();
        tally_event_begin(event, "login");
        enum tally_code code = tally_publish(producer, event, NULL);
        tally_close(producer, 10, NULL);
        _exit(code == TALLY_FAILED ? 0 : 1);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        fail("a forked child was not refused");
}

static void run_round(const struct tally_setting *settings, bool is_polled)
{
    struct tally_hooks hooks = {.size = sizeof hooks, .delivered = on_delivered, .is_polled = is_polled};
    struct tally_error err = TALLY_ERROR_INIT;
    pthread_t threads[THREADS], poller;
    unsigned long accepted[THREADS] = {0}, sum = 0, polled = 0;
    told = 0;
    atomic_store(&is_over, false);
    producer = tally_open(settings, &hooks, &err);
    if (producer == NULL)
        fail(err.text);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, publish, &accepted[i]);
    if (is_polled)
        pthread_create(&poller, NULL, poll_hooks, &polled);
    for (int i = 0; i < FORKS; i++) {
        tally_flush(producer, 20);
        fork_child();
    }
    struct tally_counts counts = TALLY_COUNTS_INIT;
    tally_stop(producer, 60000, &counts);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += accepted[i];
    }
    atomic_store(&is_over, true);
    if (is_polled)
        pthread_join(poller, NULL);
    printf("%lu accepted, %lu acknowledged, %lu failed, %lu polled\n", (unsigned long)counts.accepted,
           (unsigned long)counts.acknowledged, (unsigned long)counts.failed, polled);
    if (counts.accepted != sum || counts.accepted != counts.acknowledged + counts.failed || told != sum || sum == 0)
        fail("an event has no fate, or two");
    tally_close(producer, 0, NULL);
}

int main(int argc, char **argv)
{
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", "ignored:1"},
                                       {"kafka.test.mock.num.brokers", "1"},
                                       {"kafka.allow.auto.create.topics", "true"},
                                       {"queue.size", "256 KiB"},
                                       {argc > 1 ? "spool.dir" : NULL, argc > 1 ? argv[1] : NULL},
                                       {NULL, NULL}};
    for (int round = 0; round < ROUNDS; round++)
        run_round(settings, round % 2 == 1);
    return 0;
}
