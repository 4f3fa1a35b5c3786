/* producer_spool.c - the spool's files: order, restarts, limits, and what is taken away from under it. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "producer/library/spool.h"
#include "producer/library/spool_struct.h"
#include "producer_directory.h"
#include "producer_spooled.h"

Test(spool, gives_messages_back_in_order_while_it_is_written)
{
    const char *path = new_directory();
    struct spool *spool = open_at(path, 64 << 20, false, NULL);
    for (unsigned n = 0; n < 5000; n += 10) {
        cr_assert_eq(append(spool, n, 10), 10);
        if (n % 100 == 0)
            read_all(spool, 0);
    }
    read_all(spool, 0);
    cr_assert_eq(spool->done_before, spool->end);
    spool_close(spool);
    cr_assert_eq(count_segments(path), 0, "nothing left to send, nothing left to keep");
    remove_directory(path);
}

Test(spool, gives_what_is_not_done_to_the_next_process_and_nothing_else)
{
    const char *path = new_directory();
    struct spool *spool = open_at(path, 64 << 20, false, NULL);
    append(spool, 0, 300);
    struct event_message messages[100];
    uint64_t sequences[100], recovered;
    cr_assert_eq(spool_read(spool, messages, sequences, 100), 100);
    for (int i = 0; i < 100; i += 2) /* every second of the first hundred */
        cr_assert(spool_done(spool, sequences[i]));
    cr_assert(!spool_done(spool, sequences[0]), "once");
    spool_close(spool);
    spool = open_at(path, 64 << 20, false, &recovered);
    cr_assert_eq(recovered, 299, "those behind the first that is not done are not known singly: they are sent again");
    append(spool, 300, 50);
    cr_assert_eq(read_all(spool, 1), 349);
    cr_assert_eq(lost.damaged, 0);
    spool_close(spool);
    spool = open_at(path, 64 << 20, false, &recovered);
    cr_assert_eq(recovered, 0);
    cr_assert_eq(read_all(spool, 0), 0);
    spool_close(spool);
    remove_directory(path);
}

Test(spool, gives_unsent_messages_again_and_after_a_rewind_all_that_are_not_done)
{
    const char *path = new_directory();
    struct spool *spool = open_at(path, 64 << 20, false, NULL);
    append(spool, 0, 100);
    struct event_message messages[BATCH];
    uint64_t sequences[BATCH];
    cr_assert_eq(spool_read(spool, messages, sequences, 40), 40);
    spool_unread(spool, &messages[30], sequences[30]);
    for (int i = 0; i < 30; i += 3)
        spool_done(spool, sequences[i]);
    cr_assert_eq(spool_read(spool, messages, sequences, 1), 1);
    cr_assert_eq(check(&messages[0]), 30);
    spool_rewind(spool);
    cr_assert_eq(spool_read(spool, messages, sequences, 2), 2);
    cr_assert_eq(check(&messages[0]), 1);
    cr_assert_eq(check(&messages[1]), 2);
    spool_rewind(spool);
    cr_assert_eq(read_all(spool, 1), 90);
    spool_close(spool);
    remove_directory(path);
}

Test(spool, refuses_when_full_and_goes_on_when_there_is_room)
{
    const char *path = new_directory();
    struct spool *spool = open_at(path, 1 << 20, false, NULL);
    size_t taken = append(spool, 0, 100000);
    cr_assert(taken > 5000 && taken < 20000, "%zu", taken);
    cr_assert_leq(spool->bytes, 1 << 20);
    cr_assert_eq(read_all(spool, 0), taken);
    cr_assert_eq(append(spool, (unsigned)taken, 1000), 1000);
    cr_assert_eq(read_all(spool, (unsigned)taken), 1000);
    cr_assert_eq(lost.dropped, 0);
    spool_close(spool);
    remove_directory(path);
}

Test(spool, drops_the_oldest_when_full_and_counts_them)
{
    const char *path = new_directory();
    struct spool *spool = open_at(path, 1 << 20, true, NULL);
    struct event_message messages[BATCH];
    uint64_t sequences[BATCH];
    append(spool, 0, 100);
    cr_assert_eq(spool_read(spool, messages, sequences, BATCH), BATCH, "on their way when they are dropped");
    cr_assert_eq(append(spool, 100, 49900), 49900);
    cr_assert_leq(spool->bytes, 1 << 20);
    cr_assert_gt(lost.dropped, 10000);
    cr_assert(!spool_done(spool, sequences[5]), "it is counted as dropped already");
    unsigned left = read_all(spool, 0);
    cr_assert_eq(left + lost.dropped, 50000);
    spool_close(spool);
    remove_directory(path);
}

Test(spool, lets_only_one_producer_use_a_directory)
{
    const char *path = new_directory();
    struct spool *spool = open_at(path, 1 << 20, false, NULL);
    struct spool_options options = {.directory = path, .bytes = 1 << 20};
    struct tally_error err;
    uint64_t recovered;
    cr_assert_null(spool_open(&options, on_lost, NULL, &recovered, &err));
    cr_assert_eq(err.code, TALLY_INVALID);
    cr_assert_not_null(strstr(err.text, "another producer of this process"), "%s", err.text);
    pid_t child = fork();
    if (child == 0) {
        struct spool_place place;
        struct stat status;
        /* As another program would: without our list. */
        stat(path, &status);
        char lock[80];
        snprintf(lock, sizeof lock, "%s/lock", path);
        int file = open(lock, O_RDWR);
        struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        _exit(file >= 0 && fcntl(file, F_SETLK, &all) != 0 && !spool_place_open(&place, path, 0, &err) ? 0 : 1);
    }
    int ended;
    waitpid(child, &ended, 0);
    cr_assert(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
    cr_assert_eq(append(spool, 0, 1), 1);
    spool_close(spool);
    spool = open_at(path, 1 << 20, false, &recovered);
    cr_assert_eq(recovered, 1);
    spool_close(spool);
    remove_directory(path);
}

/* As in a server that has used up its descriptors. */
static void leave_no_descriptor(struct rlimit *before)
{
    getrlimit(RLIMIT_NOFILE, before);
    int next = dup(0);
    cr_assert_geq(next, 0);
    close(next);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before->rlim_max}), 0);
}

Test(spool, what_cannot_be_opened_for_want_of_descriptors_is_read_once_there_is_one)
{
    const char *path = new_directory();
    struct spool *spool = open_at(path, 64 << 20, false, NULL);
    cr_assert_eq(append(spool, 0, 20000), 20000);
    cr_assert_gt(count_segments(path), 1);
    spool_close(spool);
    uint64_t recovered;
    spool = open_at(path, 64 << 20, false, &recovered);
    cr_assert_eq(recovered, 20000);
    struct rlimit before;
    leave_no_descriptor(&before);
    for (int tries = 0; tries < 3; tries++) {
        cr_assert_eq(read_all(spool, 0), 0);
        cr_assert_eq(lost.damaged, 0, "%lu events are given up that lie in sound files", (unsigned long)lost.damaged);
        cr_assert_not_null(strstr(spool_trouble(spool), "Too many open files"));
    }
    setrlimit(RLIMIT_NOFILE, &before);
    cr_assert_eq(read_all(spool, 0), 20000);
    cr_assert_eq(lost.damaged, 0);
    cr_assert_null(spool_trouble(spool));
    spool_close(spool);
    cr_assert_eq(count_segments(path), 0);
    remove_directory(path);
}

Test(spool, whose_file_somebody_removes_sends_what_is_in_it_and_goes_on_in_another)
{
    const char *path = new_directory();
    struct spool *spool = open_at(path, 64 << 20, false, NULL);
    append(spool, 0, 100);
    remove_files(path, ".segment");
    cr_assert_eq(read_all(spool, 0), 100);
    append(spool, 100, 100);
    spool_flush(spool, clock_now_us());
    cr_assert_not_null(strstr(spool_trouble(spool), "somebody removed the file"));
    append(spool, 200, 100);
    cr_assert_eq(count_segments(path), 1, "of a file that is there");
    cr_assert_eq(read_all(spool, 100), 200);
    cr_assert_eq(lost.damaged, 0);
    cr_assert_null(spool_trouble(spool));

    append(spool, 300, 50);
    remove_files(path, ".segment"); /* and nobody has read it */
    spool_flush(spool, INT64_MAX);
    append(spool, 350, 50);
    spool_close(spool);
    spool = open_at(path, 64 << 20, false, NULL);
    cr_assert_eq(read_all(spool, 350), 50);
    cr_assert_eq(lost.damaged, 50);
    spool_close(spool);
    remove_directory(path);
}

Test(spool, whose_directory_somebody_removes_takes_nothing_that_has_no_place)
{
    const char *path = new_directory();
    struct spool *spool = open_at(path, 64 << 20, false, NULL);
    append(spool, 0, 100);
    remove_files(path, "s"); /* state and segment */
    remove_files(path, "lock");
    cr_assert_eq(rmdir(path), 0);
    spool_flush(spool, clock_now_us());
    cr_assert_eq(spool_reserve(spool, 100000, clock_now_us()), 0);
    cr_assert_eq(spool_refusal(spool), ENOENT);
    cr_assert_eq(append(spool, 100, 1), 0);
    cr_assert_eq(read_all(spool, 0), 100);
    cr_assert_eq(lost.damaged, 0);
    spool_close(spool);
}
