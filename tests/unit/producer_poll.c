/* Hooks that run in the application's own loop: tally_poll and its descriptor, and what happens when nobody calls it. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <tallymill/producer.h>

#include "common/clock.h"
#include "producer/library/reports.h"

struct seen {
    pthread_t thread;
    struct tally_producer *producer; /* polled from inside a hook, too */
    int acknowledged, failed, dropped, lines, elsewhere;
    uint64_t tags;
    char last_line[512];
};

static void on_delivered(void *context, const struct tally_delivery *delivery)
{
    struct seen *seen = context;
    seen->elsewhere += !pthread_equal(pthread_self(), seen->thread);
    cr_assert_eq(tally_poll(seen->producer), 0, "inside a hook");
    cr_assert_gt(delivery->value_length, 50);
    cr_assert_eq(delivery->key_length, 3);
    cr_assert_arr_eq(delivery->key, "one", 3);
    cr_assert(delivery->error == NULL || delivery->error[0] != '\0');
    seen->tags += delivery->tag;
    seen->dropped += delivery->fate == TALLY_DROPPED;
    seen->acknowledged += delivery->error == NULL;
    seen->failed += delivery->error != NULL;
}

static void on_log(void *context, int level, const char *text)
{
    struct seen *seen = context;
    (void)level;
    seen->elsewhere += !pthread_equal(pthread_self(), seen->thread);
    seen->lines++;
    snprintf(seen->last_line, sizeof seen->last_line, "%s", text);
}

static struct tally_producer *open_polled(struct seen *seen, bool has_brokers, const char *const (*more)[2])
{
    struct tally_setting settings[12] = {{"kafka.bootstrap.servers", has_brokers ? "ignored:1" : "127.0.0.1:1"},
                                         {"kafka.linger.ms", "1"},
                                         {"kafka.queue.buffering.max.messages", "2000"},
                                         {"queue.size", "256 KiB"},
                                         {"poll.size", "256 KiB"}};
    size_t count = 5;
    if (has_brokers) {
        settings[count++] = (struct tally_setting){"kafka.test.mock.num.brokers", "1"};
        settings[count++] = (struct tally_setting){"kafka.allow.auto.create.topics", "true"};
    }
    for (; more != NULL && (*more)[0] != NULL; more++)
        settings[count++] = (struct tally_setting){(*more)[0], (*more)[1]};
    struct tally_hooks hooks = TALLY_HOOKS_INIT;
    hooks.delivered = on_delivered;
    hooks.log = on_log;
    hooks.context = seen;
    hooks.is_polled = true;
    seen->thread = pthread_self();
    struct tally_error err = TALLY_ERROR_INIT;
    seen->producer = tally_open(settings, &hooks, &err);
    cr_assert_not_null(seen->producer, "%s", err.text);
    return seen->producer;
}

static enum tally_code publish(struct tally_producer *producer, uint64_t tag, struct tally_error *err)
{
    struct tally_event *event = tally_event_new();
    tally_event_begin(event, "login");
    tally_event_session(event, "one");
    tally_event_tag(event, tag);
    enum tally_code code = tally_publish(producer, event, err);
    tally_event_free(event);
    return code;
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, timeout_ms) == 1 && (one.revents & POLLIN) != 0;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Publishes until the library takes no more, for good: for a second it answered nothing else. Returns how many it took. */
static uint64_t publish_until_full(struct tally_producer *producer, struct tally_error *err)
{
    uint64_t taken = 0;
    int64_t deadline_us = clock_now_us() + 60 * CLOCK_SECOND_US, full_us = 0;
    while (full_us == 0 || clock_now_us() - full_us < CLOCK_SECOND_US) {
        cr_assert_lt(clock_now_us(), deadline_us, "%llu events and no end", (unsigned long long)taken);
        enum tally_code code = publish(producer, 1, err);
        if (code == TALLY_OK) {
            taken++;
            full_us = 0;
        } else {
            cr_assert_eq(code, TALLY_FULL, "%s", err->text);
            full_us = full_us == 0 ? clock_now_us() : full_us;
            pause_ms(5);
        }
    }
    return taken;
}

static void poll_until_told(struct seen *seen, uint64_t events)
{
    int64_t deadline_us = clock_now_us() + 60 * CLOCK_SECOND_US;
    while ((uint64_t)(seen->acknowledged + seen->failed) < events) {
        cr_assert_lt(clock_now_us(), deadline_us, "%d told", seen->acknowledged + seen->failed);
        if (is_readable(tally_poll_fd(seen->producer), 1000))
            cr_assert_gt(tally_poll(seen->producer), 0, "readable, and nothing there");
    }
}

Test(poll, the_descriptor_is_readable_while_something_waits_and_hooks_run_in_the_polling_thread_only)
{
    struct seen seen = {0};
    struct tally_producer *producer = open_polled(&seen, true, NULL);
    int fd = tally_poll_fd(producer);
    cr_assert_geq(fd, 0);
    uint64_t sum = 0;
    for (int i = 1; i <= 100; sum += (uint64_t)i++)
        cr_assert_eq(publish(producer, (uint64_t)i, NULL), TALLY_OK);
    cr_assert(is_readable(fd, 20000));
    cr_assert(is_readable(fd, 0), "still: nobody has polled");
    struct tally_counts counts = TALLY_COUNTS_INIT;
    tally_count(producer, &counts);
    cr_assert_eq(counts.acknowledged, 0, "told first, counted then");
    poll_until_told(&seen, 100);
    cr_assert_not(is_readable(fd, 0));
    cr_assert_eq(tally_poll(producer), 0);
    cr_assert_eq(seen.tags, sum);
    tally_count(producer, &counts);
    cr_assert_eq(counts.acknowledged, 100);
    cr_assert(tally_close(producer, 20000, NULL));
    cr_assert_eq(seen.acknowledged, 100);
    cr_assert_eq(seen.elsewhere, 0);
}

Test(poll, without_anybody_who_polls_the_queue_ends_with_full_and_nothing_is_lost)
{
    struct seen seen = {0};
    struct tally_producer *producer = open_polled(&seen, true, NULL);
    struct tally_error err = TALLY_ERROR_INIT;
    uint64_t taken = 0;
    int64_t deadline_us = clock_now_us() + 60 * CLOCK_SECOND_US;
    do /* until Kafka, which begins late where the machine is busy, has taken what it is given */
        taken += publish_until_full(producer, &err);
    while (strstr(err.text, "tally_poll") == NULL && clock_now_us() < deadline_us);
    cr_assert_not_null(strstr(err.text, "tally_poll"), "%s", err.text);
    cr_assert_lt(taken, 20000, "the queues together are 512 KiB and 2000 messages");
    cr_assert_eq(seen.acknowledged, 0);
    poll_until_told(&seen, taken);
    cr_assert_eq(publish(producer, 1, &err), TALLY_OK, "room again: %s", err.text);
    cr_assert(tally_close(producer, 20000, NULL));
    cr_assert_eq((uint64_t)seen.acknowledged, taken + 1);
    cr_assert_eq(seen.elsewhere, 0);
}

Test(poll, flush_and_close_poll_while_they_wait)
{
    struct seen seen = {0};
    struct tally_producer *producer = open_polled(&seen, true, NULL);
    struct tally_error err = TALLY_ERROR_INIT;
    uint64_t taken = publish_until_full(producer, &err);
    cr_assert(tally_flush(producer, 30000));
    cr_assert_eq((uint64_t)seen.acknowledged, taken);
    taken += publish_until_full(producer, &err);
    cr_assert(tally_close(producer, 30000, NULL));
    cr_assert_eq((uint64_t)seen.acknowledged, taken);
    cr_assert_eq(seen.elsewhere, 0);
}

Test(poll, close_without_kafka_tells_all_that_is_given_up)
{
    struct seen seen = {0};
    struct tally_producer *producer = open_polled(&seen, false, NULL);
    struct tally_error err = TALLY_ERROR_INIT;
    uint64_t taken = publish_until_full(producer, &err);
    cr_assert_gt(taken, 2000);
    struct tally_counts counts = TALLY_COUNTS_INIT;
    cr_assert_not(tally_stop(producer, 0, &counts));
    cr_assert_eq((uint64_t)seen.failed, taken);
    cr_assert_eq(counts.failed, taken);
    cr_assert_gt(seen.lines, 0);
    cr_assert_not_null(strstr(seen.last_line, "given up"), "%s", seen.last_line);
    cr_assert_eq(tally_poll(producer), 0);
    cr_assert_not(is_readable(tally_poll_fd(producer), 0));
    tally_close(producer, 0, NULL);
    cr_assert_eq(seen.elsewhere, 0);
}

static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    rmdir(path);
}

Test(poll, what_a_full_spool_drops_waits_within_the_limit_and_is_told)
{
    char path[] = "/tmp/tallymill-poll-XXXXXX";
    cr_assert_not_null(mkdtemp(path));
    const char *const more[][2] = {{"spool.dir", path}, {"spool.size", "1 MiB"}, {"spool.full", "drop_oldest"}, {NULL, NULL}};
    struct seen seen = {0};
    struct tally_producer *producer = open_polled(&seen, false, more);
    struct tally_error err = TALLY_ERROR_INIT;
    uint64_t taken = publish_until_full(producer, &err);
    cr_assert_not_null(strstr(err.text, "tally_poll"), "%s", err.text);
    struct tally_counts counts = TALLY_COUNTS_INIT;
    tally_count(producer, &counts);
    cr_assert_gt(counts.dropped, 0);
    cr_assert_eq(seen.dropped, 0);
    while (tally_poll(producer) > 0)
        ;
    taken += publish_until_full(producer, &err);
    tally_close(producer, 0, &counts);
    cr_assert_eq((uint64_t)seen.dropped, counts.dropped);
    cr_assert_eq(counts.failed, counts.dropped);
    cr_assert_eq(counts.accepted, taken);
    cr_assert_eq(seen.elsewhere, 0);
    remove_directory(path);
}

enum { THREADS = 4, EACH = 20000 };

static void *publish_many(void *context)
{
    struct tally_error err = TALLY_ERROR_INIT;
    for (int i = 0; i < EACH;) {
        enum tally_code code = publish(context, 1, &err);
        cr_assert(code == TALLY_OK || code == TALLY_FULL, "%s", err.text);
        i += code == TALLY_OK;
        if (code == TALLY_FULL)
            pause_ms(1);
    }
    return NULL;
}

Test(poll, an_epoll_loop_sees_every_fate_of_many_threads_events)
{
    struct seen seen = {0};
    struct tally_producer *producer = open_polled(&seen, true, NULL);
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event watched = {.events = EPOLLIN}, ready;
    cr_assert_eq(epoll_ctl(loop, EPOLL_CTL_ADD, tally_poll_fd(producer), &watched), 0);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, publish_many, producer);
    int64_t deadline_us = clock_now_us() + 120 * CLOCK_SECOND_US;
    while (seen.acknowledged < THREADS * EACH && clock_now_us() < deadline_us)
        if (epoll_wait(loop, &ready, 1, 1000) == 1)
            tally_poll(producer);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(seen.acknowledged, THREADS * EACH);
    cr_assert_eq(seen.tags, (uint64_t)(THREADS * EACH));
    cr_assert(tally_close(producer, 20000, NULL));
    cr_assert_eq(seen.elsewhere, 0);
    close(loop);
}

Test(poll, without_being_asked_for_is_nothing)
{
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", "127.0.0.1:1"}, {NULL, NULL}};
    struct tally_producer *producer = tally_open(settings, NULL, NULL);
    cr_assert_eq(tally_poll_fd(producer), -1);
    cr_assert_eq(tally_poll(producer), 0);
    tally_close(producer, 0, NULL);
    cr_assert_eq(tally_poll_fd(NULL), -1);
    cr_assert_eq(tally_poll(NULL), 0);
}

Test(reports, of_more_log_lines_than_are_kept_their_number_is_told)
{
    struct seen seen = {.thread = pthread_self()};
    struct reports *reports = reports_new(1 << 20, NULL);
    struct reports_listener listener = {.log = on_log, .context = &seen};
    for (int i = 0; i < REPORTS_LOG_LINES + 7; i++)
        reports_put_log(reports, 6, "a line");
    cr_assert_eq(reports_run(reports, &listener), REPORTS_LOG_LINES + 1);
    cr_assert_not_null(strstr(seen.last_line, "7 more lines"), "%s", seen.last_line);
    reports_put_log(reports, 6, "another");
    cr_assert_eq(reports_run(reports, &listener), 1);
    cr_assert_str_eq(seen.last_line, "another");
    reports_put_log(reports, 6, "left");
    reports_free(reports);
}
