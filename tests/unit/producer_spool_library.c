/* producer_spool_library.c - the spool on its way through the library, against librdkafka's mock brokers. */
#include <criterion/criterion.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tallymill/producer.h>

#include "producer_directory.h"

static struct tally_producer *open_producer(const char *path, const char *server, const char *sync)
{
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", server == NULL ? "ignored:1" : server},
                                       {"spool.dir", path},
                                       {"spool.sync", sync},
                                       {"kafka.allow.auto.create.topics", "true"},
                                       {server == NULL ? "kafka.test.mock.num.brokers" : "kafka.client.id", "1"},
                                       {NULL, NULL}};
    struct tally_error err;
    struct tally_producer *producer = tally_open(settings, NULL, &err);
    cr_assert_not_null(producer, "%s", err.text);
    return producer;
}

Test(spool, keeps_what_kafka_did_not_take_and_the_next_producer_sends_it)
{
    const char *path = new_directory();
    struct tally_event *event = tally_event_new();
    struct tally_counts counts;
    for (int round = 0; round < 2; round++) {
        struct tally_producer *producer = open_producer(path, "127.0.0.1:1", round == 0 ? "each" : "interval");
        for (int i = 0; i < 100; i++) {
            tally_event_begin(event, "login");
            cr_assert_eq(tally_publish(producer, event, NULL), TALLY_OK);
        }
        cr_assert(!tally_close(producer, 20, &counts));
        cr_assert_eq(counts.accepted, 100);
        cr_assert_eq(counts.recovered, (uint64_t)(100 * round));
        cr_assert_eq(counts.acknowledged + counts.failed, 0);
    }
    struct tally_producer *producer = open_producer(path, NULL, "never");
    tally_event_begin(event, "login");
    cr_assert_eq(tally_publish(producer, event, NULL), TALLY_OK);
    cr_assert(tally_close(producer, 20000, &counts));
    cr_assert_eq(counts.recovered, 200);
    cr_assert_eq(counts.acknowledged, 201);
    cr_assert_eq(count_segments(path), 0);
    tally_event_free(event);
    remove_directory(path);
}

Test(spool, an_event_published_with_sync_each_survives_a_kill)
{
    const char *path = new_directory();
    pid_t child = fork();
    if (child == 0) {
        struct tally_producer *producer = open_producer(path, "127.0.0.1:1", "each");
        struct tally_event *event = tally_event_new();
        for (int i = 0; i < 20; i++) {
            tally_event_begin(event, "login");
            if (tally_publish(producer, event, NULL) != TALLY_OK)
                _exit(1);
        }
        raise(SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert(WIFSIGNALED(status));
    struct tally_counts counts;
    struct tally_producer *producer = open_producer(path, NULL, "each");
    cr_assert(tally_close(producer, 20000, &counts));
    cr_assert_eq(counts.recovered, 20);
    cr_assert_eq(counts.acknowledged, 20);
    cr_assert_eq(counts.damaged, 0);
    remove_directory(path);
}
