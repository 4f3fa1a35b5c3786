/* producer_full_disk.c - the library with a spool on a disk that is full: by its own files, by others', for a while, with and
 * without Kafka.
 *
 * Each test has a small tmpfs in a mount namespace of its own; where none may be mounted it is skipped, and says so.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tallymill/producer.h>

#include "common/clock.h"

static char folder[64], spool_dir[80], filler[80];

static void mount_disk(unsigned mib)
{
    strcpy(folder, "/tmp/tallymill-disk-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(spool_dir, sizeof spool_dir, "%s/spool", folder);
    snprintf(filler, sizeof filler, "%s/filler", folder);
    char size[32];
    snprintf(size, sizeof size, "size=%um", mib);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", folder, "tmpfs", 0, size) != 0) {
        rmdir(folder);
        cr_skip_test("no tmpfs can be mounted here: %s", strerror(errno));
    }
}

static void unmount_disk(void)
{
    umount2(folder, MNT_DETACH);
    rmdir(folder);
}

/* Another program takes all that is left. */
static void fill_disk(void)
{
    static const uint8_t page[4096] = {1};
    int file = open(filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    while (write(file, page, sizeof page) > 0) {
    }
    close(file);
}

static struct tally_producer *open_producer(bool has_kafka, const char *sync, const char *size, struct tally_error *err)
{
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", has_kafka ? "ignored:1" : "127.0.0.1:1"},
                                       {"spool.dir", spool_dir},
                                       {"spool.sync", sync},
                                       {"spool.size", size},
                                       {"kafka.allow.auto.create.topics", "true"},
                                       {has_kafka ? "kafka.test.mock.num.brokers" : "kafka.client.id", "1"},
                                       {NULL, NULL}};
    struct tally_producer *producer = tally_open(settings, NULL, err);
    cr_assert_not_null(producer, "%s", err->text);
    return producer;
}

static void build(struct tally_event *event, int number)
{
    tally_event_begin(event, "login");
    tally_event_session(event, "one-session");
    tally_event_int(event, "number", number);
    tally_event_text(event, "padding",
                     "............................................................................................");
}

/* As an application does that waits for room. Returns how many were accepted before the deadline. */
static int publish_patiently(struct tally_producer *producer, int count)
{
    struct tally_event *event = tally_event_new();
    struct tally_error err = {0};
    int64_t deadline_us = clock_now_us() + 30 * CLOCK_SECOND_US;
    int accepted = 0;
    for (; accepted < count; accepted++) {
        enum tally_code code;
        build(event, accepted);
        while ((code = tally_publish(producer, event, &err)) == TALLY_FULL && clock_now_us() < deadline_us)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        if (code != TALLY_OK)
            break;
    }
    tally_event_free(event);
    return accepted;
}

/* Until the library has refused for a good while. Returns how many it accepted; *err is its last refusal. */
static unsigned publish_until_refused(struct tally_producer *producer, struct tally_error *err)
{
    struct tally_event *event = tally_event_new();
    unsigned accepted = 0;
    int64_t now_us = clock_now_us(), deadline_us = now_us + 60 * CLOCK_SECOND_US, refused_us = now_us;
    while (now_us < deadline_us && now_us - refused_us < CLOCK_SECOND_US / 2) {
        build(event, (int)accepted);
        enum tally_code code = tally_publish(producer, event, err);
        now_us = clock_now_us();
        if (code == TALLY_OK) {
            accepted++;
            refused_us = now_us;
        } else {
            cr_assert_eq(code, TALLY_FULL, "%s", err->text);
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
    }
    cr_assert_lt(now_us, deadline_us, "it never refuses: %u accepted", accepted);
    tally_event_free(event);
    return accepted;
}

static const char *const syncs[] = {"each", "interval", "never"};

Test(full_disk, a_spool_that_filled_its_disk_goes_on_as_kafka_acknowledges)
{
    mount_disk(1);
    for (int i = 0; i < 3; i++) {
        struct tally_error err = {0};
        struct tally_producer *producer = open_producer(true, syncs[i], "1 GiB", &err);
        int count = i == 0 ? 3000 : 40000; /* several times what the disk holds */
        cr_assert_eq(publish_patiently(producer, count), count, "sync %s", syncs[i]);
        struct tally_counts counts;
        cr_assert(tally_close(producer, 30000, &counts), "sync %s: %lu of %lu acknowledged", syncs[i],
                  (unsigned long)counts.acknowledged, (unsigned long)counts.accepted);
        cr_assert_eq(counts.damaged, 0);
        cr_assert_eq((int)counts.acknowledged, count);
    }
    unmount_disk();
}

Test(full_disk, what_others_filled_lets_events_pass_straight_to_kafka)
{
    mount_disk(1);
    for (int i = 0; i < 3; i++) {
        struct tally_error err = {0};
        struct tally_producer *producer = open_producer(true, syncs[i], "1 GiB", &err);
        fill_disk();
        int count = i == 0 ? 300 : 20000;
        cr_assert_eq(publish_patiently(producer, count), count, "sync %s", syncs[i]);
        struct tally_counts counts;
        cr_assert(tally_close(producer, 30000, &counts), "sync %s: %lu of %lu acknowledged", syncs[i],
                  (unsigned long)counts.acknowledged, (unsigned long)counts.accepted);
        cr_assert_eq((int)counts.acknowledged, count);
        unlink(filler);
    }
    unmount_disk();
}

/* What was accepted before half a second of refusals is in the files: a kill takes nothing of it, and a close gives nothing up. */
static void refuse_and_keep(const char *sync, const char *size, const char *why, bool is_killed)
{
    atomic_uint *accepted = mmap(NULL, sizeof *accepted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0) {
        struct tally_error err = {0};
        struct tally_counts counts;
        struct tally_producer *producer = open_producer(false, sync, size, &err);
        *accepted = publish_until_refused(producer, &err);
        if (strstr(err.text, why) == NULL) {
            fprintf(stderr, "'%s' is not in '%s'\n", why, err.text);
            _exit(1);
        }
        if (is_killed)
            raise(SIGKILL);
        tally_close(producer, 20, &counts);
        _exit(counts.accepted == *accepted && counts.failed == 0 ? 0 : 2);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert(is_killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL : WIFEXITED(status) && WEXITSTATUS(status) == 0,
              "sync %s, size %s: status %x", sync, size, (unsigned)status);
    cr_assert_gt(*accepted, 100);
    struct tally_error err = {0};
    struct tally_counts counts;
    struct tally_producer *producer = open_producer(true, sync, size, &err);
    cr_assert(tally_close(producer, 30000, &counts));
    cr_assert_eq(counts.damaged, 0);
    cr_assert_eq(counts.acknowledged, *accepted, "sync %s, size %s: %lu of %u have a place", sync, size,
                 (unsigned long)counts.acknowledged, *accepted);
    munmap(accepted, sizeof *accepted);
}

Test(full_disk, what_was_accepted_before_the_disk_was_full_has_a_place)
{
    mount_disk(1);
    for (int i = 0; i < 3; i++)
        for (int killed = 0; killed < 2; killed++)
            refuse_and_keep(syncs[i], "1 GiB", "its disk is full: No space left on device", killed);
    unmount_disk();
}

Test(full_disk, what_was_accepted_before_the_spool_was_full_has_a_place)
{
    mount_disk(16);
    for (int i = 1; i < 3; i++)
        for (int killed = 0; killed < 2; killed++)
            refuse_and_keep(syncs[i], "1 MiB", "the spool is full", killed);
    unmount_disk();
}

Test(full_disk, a_disk_with_room_again_is_used_again)
{
    mount_disk(1);
    struct tally_error err = {0};
    struct tally_producer *producer = open_producer(false, "interval", "1 GiB", &err);
    fill_disk();
    unsigned before = publish_until_refused(producer, &err);
    cr_assert_not_null(strstr(err.text, "its disk is full"), "%s", err.text);
    unlink(filler);
    cr_assert_eq(publish_patiently(producer, 500), 500);
    struct tally_counts counts;
    cr_assert(!tally_close(producer, 20, &counts));
    cr_assert_eq(counts.failed, 0);
    producer = open_producer(true, "interval", "1 GiB", &err);
    cr_assert(tally_close(producer, 30000, &counts));
    cr_assert_eq(counts.acknowledged, before + 500);
    unmount_disk();
}
