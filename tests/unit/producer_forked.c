/* producer_forked.c - the library beside fork(), daemon() and exit(). */
#include <criterion/criterion.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tallymill/producer.h>

#include "common/clock.h"
#include "producer_directory.h"
#include "producer_open.h"

static int in_child(int (*work)(void *context), void *context)
{
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        _exit(work(context));
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int open_spool_and_publish(void *path)
{
    struct tally_setting settings[] = {
        {"kafka.bootstrap.servers", "127.0.0.1:1"}, {"spool.dir", path}, {"spool.sync", "each"}, {NULL, NULL}};
    struct tally_error err;
    struct tally_producer *producer = tally_open(settings, NULL, &err);
    if (producer == NULL) {
        fprintf(stderr, "%s\n", err.text);
        return err.code == TALLY_FAILED ? 3 : 2;
    }
    enum tally_code code = publish_one(producer, &err);
    tally_close(producer, 0, NULL);
    return code == TALLY_OK ? 0 : 1;
}

Test(forked, a_child_opens_the_spool_that_its_parent_had)
{
    char path[64];
    strcpy(path, new_directory());
    struct tally_producer *producer = open_with("127.0.0.1:1", NULL, "spool.dir", path);
    cr_assert_eq(in_child(open_spool_and_publish, path), 3, "its parent has it still: not now");
    tally_close(producer, 0, NULL);
    cr_assert_eq(in_child(open_spool_and_publish, path), 0, "the parent has closed it");
    remove_directory(path);
}

__attribute__((unused)) static int be_a_daemon(void *path)
{
    struct tally_producer *producer = open_with("127.0.0.1:1", NULL, "spool.dir", path);
    publish_one(producer, NULL);
    int pipes[2];
    if (pipe(pipes) != 0)
        return 9;
    pid_t child = fork(); /* as daemon() does: the parent ends, the child goes on */
    if (child != 0)
        _exit(0);
    setsid();
    alarm(60); /* whoever waits for our pipes must not wait for ever */
    struct tally_setting settings[] = {
        {"kafka.bootstrap.servers", "127.0.0.1:1"}, {"spool.dir", path}, {"spool.wait.ms", "20000"}, {NULL, NULL}};
    struct tally_error err;
    struct tally_producer *own = tally_open(settings, NULL, &err);
    char written[96], done[96];
    snprintf(written, sizeof written, "%s/daemon-writes", (char *)path);
    FILE *file = fopen(written, "w");
    fprintf(file, "%s\n", own != NULL ? "opened" : err.text);
    fclose(file);
    if (own != NULL)
        tally_close(own, 0, NULL);
    snprintf(done, sizeof done, "%s/daemon-is-done", (char *)path);
    rename(written, done);
    _exit(0);
}

#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED
#endif
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define IS_SANITIZED
#endif

#ifndef IS_SANITIZED /* whose own threads do not outlive this fork: one time in ten the daemon ends without a word */
Test(forked, a_daemon_opens_its_spool_again_once_its_parent_has_ended)
{
    char path[64], done[96], line[256] = "";
    strcpy(path, new_directory());
    snprintf(done, sizeof done, "%s/daemon-is-done", path);
    cr_assert_eq(in_child(be_a_daemon, path), 0);
    int64_t deadline_us = clock_now_us() + 30 * CLOCK_SECOND_US;
    FILE *file;
    while ((file = fopen(done, "r")) == NULL && clock_now_us() < deadline_us)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    cr_assert_not_null(file, "the daemon never said anything");
    cr_assert_not_null(fgets(line, sizeof line, file));
    fclose(file);
    cr_assert_str_eq(line, "opened\n");
    remove_directory(path);
}
#endif

static int exit_without_close(void *path)
{
    struct tally_producer *producer = open_with("127.0.0.1:1", NULL, "spool.dir", path);
    for (int i = 0; i < 500; i++)
        if (publish_one(producer, NULL) != TALLY_OK)
            _exit(1);
    exit(0);
}

Test(forked, exit_without_close_leaves_what_was_accepted_in_the_spool)
{
    const char *path = new_directory();
    for (int round = 1; round <= 5; round++) {
        /* Criterion has handlers too: the exit code is theirs. */
        cr_assert_neq(in_child(exit_without_close, (void *)(uintptr_t)path), -1);
        struct tally_producer *producer = open_with("127.0.0.1:1", NULL, "spool.dir", path);
        struct tally_counts counts;
        tally_close(producer, 0, &counts);
        cr_assert_eq(counts.recovered, (uint64_t)round * 500);
    }
    remove_directory(path);
}

static int exit_at(void *moment_us)
{
    open_with("127.0.0.1:1", NULL, NULL, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 1000 * (long)*(int *)moment_us}, NULL);
    exit(0);
}

Test(forked, exit_without_close_crashes_at_no_moment)
{
    for (int moment_us = 0; moment_us < 3000; moment_us += 20)
        cr_assert_neq(in_child(exit_at, &moment_us), -1, "%d us behind tally_open", moment_us);
}

Test(forked, what_a_retry_can_cure_is_failed_and_not_invalid)
{
    char path[64];
    strcpy(path, new_directory());
    int pipes[2], ready[2];
    cr_assert_eq(pipe(pipes) + pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct tally_producer *producer = open_with("127.0.0.1:1", NULL, "spool.dir", path);
        char byte = 'x';
        (void)!write(ready[1], &byte, 1);
        (void)!read(pipes[0], &byte, 1);
        tally_close(producer, 0, NULL);
        _exit(0);
    }
    char byte;
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", "127.0.0.1:1"}, {"spool.dir", path}, {NULL, NULL}, {NULL, NULL}};
    struct tally_error err;
    cr_assert_null(tally_open(settings, NULL, &err));
    cr_assert_eq(err.code, TALLY_FAILED, "a rolling restart: %s", err.text);
    cr_assert_not_null(strstr(err.text, "another process uses it"), "%s", err.text);
    cr_assert_eq(write(pipes[1], "x", 1), 1); /* it is about to close: whoever waits gets it */
    settings[2] = (struct tally_setting){"spool.wait.ms", "20000"};
    struct tally_producer *producer = tally_open(settings, NULL, &err);
    cr_assert_not_null(producer, "%s", err.text);
    tally_close(producer, 0, NULL);
    waitpid(child, NULL, 0);
    remove_directory(path);
}
