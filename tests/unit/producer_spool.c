/* producer_spool.c - the spool's files: order, restarts, damage of every kind, limits, and the way through the library. */
#include <criterion/criterion.h>

#include <dirent.h>
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

enum { BATCH = 64 };

static struct lost {
    uint64_t damaged, dropped;
} lost;

static void on_lost(void *context, uint64_t count, bool is_dropped)
{
    (void)context;
    *(is_dropped ? &lost.dropped : &lost.damaged) += count;
}

/* A directory of the test's own; in memory where there is such a place, because thousands of files are made and synced, and no test
 * here cuts the power. */
static const char *new_directory(void)
{
    static char path[64];
    strcpy(path, "/dev/shm/tallymill-spool-XXXXXX");
    if (mkdtemp(path) != NULL)
        return path;
    strcpy(path, "/tmp/tallymill-spool-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
    return path;
}

static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    rmdir(path);
}

static struct spool *open_at(const char *path, uint64_t bytes, bool is_oldest_dropped, uint64_t *recovered)
{
    struct spool_options options = {
        .directory = path, .bytes = bytes, .sync = SPOOL_SYNC_NEVER, .is_oldest_dropped = is_oldest_dropped};
    struct tally_error err;
    uint64_t ignored;
    lost = (struct lost){0};
    struct spool *spool = spool_open(&options, on_lost, NULL, recovered == NULL ? &ignored : recovered, &err);
    cr_assert_not_null(spool, "%s", err.text);
    return spool;
}

/* Message number n: its bytes depend on n, and so does their length. */
static size_t make_value(uint8_t value[512], unsigned n)
{
    size_t length = 30 + n % 50;
    for (size_t i = 0; i < length; i++)
        value[i] = (uint8_t)(n * 31 + i);
    memcpy(value, &n, sizeof n);
    return length;
}

static size_t append(struct spool *spool, unsigned first, unsigned count)
{
    size_t taken = 0;
    for (unsigned n = first; n < first + count; n++) {
        uint8_t value[512];
        char key[16];
        struct event_message message = {.key = key, .value = value, .value_length = make_value(value, n)};
        message.key_length = (size_t)snprintf(key, sizeof key, "key-%u", n % 7);
        size_t one = spool_append(spool, &message, 1);
        if (one == 0)
            break;
        taken += one;
    }
    return taken;
}

/* The number of a message, whose bytes must be those it was written with. */
static unsigned check(const struct event_message *message)
{
    unsigned n;
    cr_assert_geq(message->value_length, sizeof n);
    memcpy(&n, message->value, sizeof n);
    uint8_t value[512];
    char key[16];
    cr_assert_eq(message->value_length, make_value(value, n));
    cr_assert_arr_eq(message->value, value, message->value_length);
    cr_assert_eq(message->key_length, (size_t)snprintf(key, sizeof key, "key-%u", n % 7));
    cr_assert_arr_eq(message->key, key, message->key_length);
    return n;
}

/* Reads everything, done at once; the numbers must rise. Returns how many. */
static unsigned read_all(struct spool *spool, unsigned first)
{
    struct event_message messages[BATCH];
    uint64_t sequences[BATCH];
    unsigned total = 0;
    for (size_t count; (count = spool_read(spool, messages, sequences, BATCH)) > 0;)
        for (size_t i = 0; i < count; i++, total++) {
            unsigned n = check(&messages[i]);
            cr_assert_geq(n, first);
            first = n + 1;
            cr_assert(spool_done(spool, sequences[i]));
        }
    return total;
}

static unsigned count_files(const char *path)
{
    unsigned count = 0;
    DIR *directory = opendir(path);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += strstr(entry->d_name, ".segment") != NULL;
    closedir(directory);
    return count;
}

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
    cr_assert_eq(count_files(path), 0, "nothing left to send, nothing left to keep");
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

/* -- Damage ---------------------------------------------------------------------------------------------------------------------
 */

enum { SMALL = 12 };

/* The only segment of a spool closed with SMALL messages in it. */
static char *segment_of(const char *path)
{
    static char name[128];
    DIR *directory = opendir(path);
    name[0] = '\0';
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strstr(entry->d_name, ".segment") != NULL)
            snprintf(name, sizeof name, "%s/%.60s", path, entry->d_name);
    closedir(directory);
    return name;
}

static size_t slurp(const char *name, uint8_t *bytes, size_t limit)
{
    int file = open(name, O_RDONLY);
    ssize_t got = read(file, bytes, limit);
    close(file);
    return (size_t)got;
}

static void spill(const char *name, const uint8_t *bytes, size_t length)
{
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_eq(write(file, bytes, length), (ssize_t)length);
    close(file);
}

struct small {
    char path[64], segment[128], state[80];
    uint8_t bytes[4096], state_bytes[8192];
    size_t length, state_length;
};

static void make_small(struct small *small)
{
    strcpy(small->path, new_directory());
    struct spool *spool = open_at(small->path, 1 << 20, false, NULL);
    append(spool, 0, SMALL);
    spool_close(spool);
    strcpy(small->segment, segment_of(small->path));
    snprintf(small->state, sizeof small->state, "%s/state", small->path);
    small->length = slurp(small->segment, small->bytes, sizeof small->bytes);
    small->state_length = slurp(small->state, small->state_bytes, sizeof small->state_bytes);
    cr_assert(small->length > 600 && small->length < sizeof small->bytes);
}

/* Opens what lies there now and reads it: nothing wrong, nothing silent. Then puts everything back. */
static unsigned read_damaged(struct small *small, uint64_t *damaged)
{
    struct spool *spool = open_at(small->path, 1 << 20, false, NULL);
    unsigned read = read_all(spool, 0);
    *damaged = lost.damaged;
    cr_assert_eq(spool->done_before, spool->end, "nothing stands still");
    cr_assert_eq(append(spool, 1000, 3), 3);
    cr_assert_eq(read_all(spool, 1000), 3, "and it goes on");
    cr_assert_eq(lost.damaged, *damaged, "counted once");
    spool_close(spool);
    char *other = segment_of(small->path);
    if (other[0] != '\0')
        unlink(other);
    spill(small->segment, small->bytes, small->length);
    spill(small->state, small->state_bytes, small->state_length);
    return read;
}

Test(spool, a_bit_flipped_anywhere_costs_at_most_its_own_message)
{
    struct small small;
    make_small(&small);
    uint64_t damaged;
    for (size_t at = 0; at < small.length; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t copy[sizeof small.bytes];
            memcpy(copy, small.bytes, small.length);
            copy[at] ^= (uint8_t)(1 << bit);
            spill(small.segment, copy, small.length);
            unsigned read = read_damaged(&small, &damaged);
            cr_assert_geq(read, SMALL - 1, "byte %zu", at);
            cr_assert_eq(read + damaged, SMALL, "byte %zu: %u read, %lu lost", at, read, damaged);
        }
    remove_directory(small.path);
}

Test(spool, a_file_cut_at_any_length_loses_the_end_and_counts_it)
{
    struct small small;
    make_small(&small);
    uint64_t damaged;
    unsigned last = 0;
    for (size_t length = 0; length <= small.length; length++) {
        spill(small.segment, small.bytes, length);
        unsigned read = read_damaged(&small, &damaged);
        cr_assert_geq(read, last, "a longer file holds no less");
        cr_assert_eq(read + damaged, SMALL, "%zu bytes", length);
        last = read;
    }
    cr_assert_eq(last, SMALL);
    remove_directory(small.path);
}

Test(spool, a_damaged_or_missing_state_loses_nothing)
{
    struct small small;
    make_small(&small);
    uint64_t damaged;
    for (size_t at = 0; at < small.state_length; at++) {
        if (small.state_bytes[at] == 0 && at % 64 != 0)
            continue; /* between the slots: one in 64 will do */
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t copy[sizeof small.state_bytes];
            memcpy(copy, small.state_bytes, small.state_length);
            copy[at] ^= (uint8_t)(1 << bit);
            spill(small.state, copy, small.state_length);
            cr_assert_eq(read_damaged(&small, &damaged), SMALL, "byte %zu", at);
            cr_assert_eq(damaged, 0);
        }
    }
    for (size_t length = 0; length < small.state_length; length += 31) {
        spill(small.state, small.state_bytes, length);
        cr_assert_eq(read_damaged(&small, &damaged), SMALL);
    }
    remove_directory(small.path);
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
    cr_assert_gt(count_files(path), 1);
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
    cr_assert_eq(count_files(path), 0);
    remove_directory(path);
}

static void remove_files(const char *path, const char *kind)
{
    DIR *directory = opendir(path);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strstr(entry->d_name, kind) != NULL)
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
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
    cr_assert_eq(count_files(path), 1, "of a file that is there");
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

Test(spool, a_missing_segment_in_the_middle_is_counted)
{
    const char *path = new_directory();
    struct spool *spool = open_at(path, 4 << 20, false, NULL);
    append(spool, 0, 12000);
    cr_assert_geq(spool->segment_count, 3);
    uint64_t first = spool->segments[1].first_sequence, next = spool->segments[2].first_sequence;
    spool_place_remove_segment(&spool->place, first);
    uint64_t recovered;
    spool_close(spool);
    spool = open_at(path, 4 << 20, false, &recovered);
    cr_assert_eq(recovered, 12000);
    unsigned read = read_all(spool, 0);
    cr_assert_eq(lost.damaged, next - first);
    cr_assert_eq(read + lost.damaged, 12000);
    spool_close(spool);
    remove_directory(path);
}

Test(spool, takes_no_record_of_another_segment_for_its_own)
{
    struct small small;
    make_small(&small);
    /* The blocks of a file that was there before, with another seed, behind a header of ours. */
    uint8_t foreign[sizeof small.bytes];
    memcpy(foreign, small.bytes, small.length);
    spool_format_header(foreign, 1, 4711);
    spill(small.segment, foreign, small.length);
    uint64_t damaged;
    cr_assert_eq(read_damaged(&small, &damaged), 0);
    cr_assert_eq(damaged, SMALL);
    remove_directory(small.path);
}

/* -- Through the library, against librdkafka's mock brokers ---------------------------------------------------------------------
 */

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
    cr_assert_eq(count_files(path), 0);
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
