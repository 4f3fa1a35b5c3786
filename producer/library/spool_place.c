/* spool_place.c - see spool_place.h.
 *
 * The lock is a POSIX record lock: the kernel gives it up when the process ends in whatever way, and a child does not inherit it,
 * so that a forked child that lives on does not keep a restarted parent out. It does not keep the same process out, so that has a
 * list; a child of fork() has none of its parent's places, and forgets the list.
 *
 * The state is a hint. When it is lost or old, messages are sent once more, with the ids they had; it is never ahead of the truth,
 * because it only says what Kafka has acknowledged. Its slots lie in different sectors: a write that is cut off leaves the other.
 */
#include "producer/library/spool_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/clock.h"
#include "common/utf8.h"
#include "producer/library/event.h"

enum { SLOT_BYTES = 4096, NAME_BYTES = 32, SEQUENCE_DIGITS = 16, LOCK_LOOK_US = 10000, DIRECTORY_MODE = 0700, FILE_MODE = 0600 };

struct slot {
    char magic[8];
    uint64_t turn, done_before, end, hash;
};

static const char magic[8] = "TALLYST1";

static pthread_mutex_t places_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct spool_place *places;
static pthread_once_t watch_fork_once = PTHREAD_ONCE_INIT;

/* In a child of fork(), where another thread of the parent may have held the mutex. */
static void forget_parents(void)
{
    places = NULL;
    pthread_mutex_init(&places_mutex, NULL);
}

static void watch_fork(void)
{
    pthread_atfork(NULL, NULL, forget_parents);
}

static bool enlist(struct spool_place *place)
{
    pthread_mutex_lock(&places_mutex);
    struct spool_place *other = places;
    while (other != NULL && (other->device != place->device || other->inode != place->inode))
        other = other->next;
    if (other == NULL) {
        place->next = places;
        places = place;
    }
    pthread_mutex_unlock(&places_mutex);
    return other == NULL;
}

static void strike_off(struct spool_place *place)
{
    pthread_mutex_lock(&places_mutex);
    struct spool_place **link = &places;
    while (*link != NULL && *link != place)
        link = &(*link)->next;
    if (*link == place)
        *link = place->next;
    pthread_mutex_unlock(&places_mutex);
}

static bool fail(struct tally_error *err, enum tally_code code, const char *directory, const char *what)
{
    tally_error_set(err, code, "spool.dir = %.*s: %s", UTF8_CUT(directory, 300), what);
    return false;
}

/* What will not be otherwise at the next try, unless somebody changes the setting or the directory. */
static bool fail_by_errno(struct tally_error *err, const char *directory)
{
    bool is_wrong = errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == EPERM || errno == EROFS || errno == EISDIR ||
                    errno == ENAMETOOLONG || errno == ELOOP || errno == EINVAL;
    return fail(err, is_wrong ? TALLY_INVALID : TALLY_FAILED, directory, strerror(errno));
}

/* Tried again and again rather than F_SETLKW, which knows no deadline. */
static bool take_lock(struct spool_place *place, const char *directory, int wait_ms, struct tally_error *err)
{
    place->lock = openat(place->directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (place->lock < 0)
        return fail_by_errno(err, directory);
    int64_t deadline_us = clock_now_us() + INT64_C(1000) * wait_ms;
    for (;;) {
        struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(place->lock, F_SETLK, &all) == 0)
            return true;
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return fail(err, TALLY_FAILED, directory, strerror(errno));
        if (clock_now_us() >= deadline_us)
            return fail(err, TALLY_FAILED, directory,
                        "another process uses it: each takes a directory of its own, or waits (spool.wait.ms) for the one before");
        nanosleep(&(struct timespec){.tv_nsec = LOCK_LOOK_US * 1000}, NULL);
    }
}

bool spool_place_open(struct spool_place *place, const char *directory, int wait_ms, struct tally_error *err)
{
    pthread_once(&watch_fork_once, watch_fork);
    *place = (struct spool_place){.directory = -1, .lock = -1, .state = -1};
    if (mkdir(directory, DIRECTORY_MODE) != 0 && errno != EEXIST)
        return fail_by_errno(err, directory);
    place->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    if (place->directory < 0 || fstat(place->directory, &status) != 0) {
        fail_by_errno(err, directory);
        goto out;
    }
    place->device = status.st_dev;
    place->inode = status.st_ino;
    if (!enlist(place)) { /* before the lock's file is opened: closing it again would give up the other's lock */
        fail(err, TALLY_INVALID, directory, "another producer of this process uses it");
        goto out;
    }
    if (!take_lock(place, directory, wait_ms, err))
        goto out;
    place->state = openat(place->directory, "state", O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (place->state >= 0) {
        spool_place_reserve(place->state, 0, 2 * SLOT_BYTES); /* so that a full disk keeps nothing from being noted as done */
        return true;
    }
    fail_by_errno(err, directory);
out:
    spool_place_close(place);
    return false;
}

void spool_place_close(struct spool_place *place)
{
    if (place->state >= 0)
        close(place->state);
    if (place->lock >= 0)
        close(place->lock);
    strike_off(place);
    if (place->directory >= 0)
        close(place->directory);
    place->directory = place->lock = place->state = -1;
}

void spool_place_read_state(struct spool_place *place, struct spool_state *state)
{
    *state = (struct spool_state){0};
    for (off_t at = 0; at < 2 * SLOT_BYTES; at += SLOT_BYTES) {
        struct slot slot;
        if (pread(place->state, &slot, sizeof slot, at) != sizeof slot || memcmp(slot.magic, magic, sizeof magic) != 0 ||
            slot.hash != XXH3_64bits(&slot, offsetof(struct slot, hash)) || slot.turn < place->turn)
            continue;
        place->turn = slot.turn;
        *state = (struct spool_state){.done_before = slot.done_before, .end = slot.end};
    }
}

bool spool_place_write_state(struct spool_place *place, const struct spool_state *state, bool is_durable)
{
    struct slot slot = {.turn = ++place->turn, .done_before = state->done_before, .end = state->end};
    memcpy(slot.magic, magic, sizeof magic);
    slot.hash = XXH3_64bits(&slot, offsetof(struct slot, hash));
    return pwrite(place->state, &slot, sizeof slot, (off_t)(place->turn % 2) * SLOT_BYTES) == sizeof slot &&
           (!is_durable || fdatasync(place->state) == 0);
}

static int by_sequence(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static bool read_name(const char *name, uint64_t *sequence)
{
    if (strspn(name, "0123456789abcdef") != SEQUENCE_DIGITS || strcmp(name + SEQUENCE_DIGITS, ".segment") != 0)
        return false;
    *sequence = strtoull(name, NULL, 16);
    return true;
}

size_t spool_place_list(const struct spool_place *place, uint64_t **sequences)
{
    int copy = openat(place->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    if (directory == NULL) {
        if (copy >= 0)
            close(copy);
        return SIZE_MAX;
    }
    size_t count = 0, capacity = 0;
    *sequences = NULL;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        uint64_t sequence;
        if (!read_name(entry->d_name, &sequence))
            continue;
        if (count == capacity) {
            capacity = capacity == 0 ? 64 : capacity * 2;
            uint64_t *more = realloc(*sequences, capacity * sizeof *more);
            if (more == NULL) {
                closedir(directory);
                free(*sequences);
                errno = ENOMEM;
                return SIZE_MAX;
            }
            *sequences = more;
        }
        (*sequences)[count++] = sequence;
    }
    closedir(directory);
    if (count > 0)
        qsort(*sequences, count, sizeof **sequences, by_sequence);
    return count;
}

static const char *name_of(char name[NAME_BYTES], uint64_t sequence)
{
    snprintf(name, NAME_BYTES, "%016" PRIx64 ".segment", sequence);
    return name;
}

int spool_place_open_segment(const struct spool_place *place, uint64_t sequence, bool is_new)
{
    char name[NAME_BYTES];
    return openat(place->directory, name_of(name, sequence), O_CLOEXEC | (is_new ? O_RDWR | O_CREAT | O_EXCL : O_RDONLY),
                  FILE_MODE);
}

bool spool_place_has(int file)
{
    struct stat status;
    return fstat(file, &status) != 0 || status.st_nlink > 0;
}

bool spool_place_reserve(int file, uint64_t from, size_t bytes)
{
    int answer;
    do
        answer = fallocate(file, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)bytes);
    while (answer != 0 && errno == EINTR);
    return answer == 0 || errno == EOPNOTSUPP || errno == ENOSYS;
}

void spool_place_trim(int file, uint64_t bytes)
{
    (void)!ftruncate(file, (off_t)bytes); /* else the blocks go with the file */
}

void spool_place_trim_segment(const struct spool_place *place, uint64_t sequence, uint64_t bytes)
{
    char name[NAME_BYTES];
    int file = openat(place->directory, name_of(name, sequence), O_CLOEXEC | O_WRONLY);
    if (file < 0)
        return;
    spool_place_trim(file, bytes);
    close(file);
}

void spool_place_remove_segment(const struct spool_place *place, uint64_t sequence)
{
    char name[NAME_BYTES];
    unlinkat(place->directory, name_of(name, sequence), 0);
}

bool spool_place_sync(const struct spool_place *place)
{
    return fsync(place->directory) == 0;
}
