/* spill.c - see spill.h.
 *
 * One unlinked file, whose blocks lie one behind the other; a block's pages are given back to the disk when it goes, and the file
 * begins anew when none is left. The room is reserved beforehand: a full disk would otherwise end the process at the first touch
 * (SIGBUS).
 *
 * Rejected: a limit that makes malloc() fail (librdkafka aborts without memory, by design); a look at what a batch will unpack to
 * (librdkafka hands nothing over before); a file of its own for each block (descriptors).
 */
#include "consumer/spill.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST_BLOCKS = 4096 };

static const char default_folder[] = "/var/tmp";

struct block {
    void *start;
    size_t asked, length; /* bytes; length in whole pages */
    off_t offset;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block blocks[MOST_BLOCKS];
static int block_count;
static off_t end;
static int file = -1;
static atomic_bool is_open;
static atomic_int_fast64_t budget, in_memory, in_file, total;
static atomic_int blocks_there; /* block_count, to be read without the lock */

static int open_unlinked(const char *folder)
{
    char name[512];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || strlen(folder) + sizeof "/tallymill-XXXXXX" > sizeof name)
        return fd;
    stpcpy(stpcpy(name, folder), "/tallymill-XXXXXX"); /* a file system without O_TMPFILE */
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    return fd;
}

bool spill_open(int64_t budget_bytes, const char *folder)
{
    const char *asked = getenv("TMPDIR");
    if (!*folder)
        folder = asked && *asked ? asked : default_folder;
    pthread_mutex_lock(&lock);
    if (file < 0)
        file = open_unlinked(folder);
    const bool can = file >= 0;
    pthread_mutex_unlock(&lock);
    atomic_store(&budget, budget_bytes);
    atomic_store(&is_open, can);
    return can;
}

void spill_close(void)
{
    pthread_mutex_lock(&lock);
    atomic_store(&is_open, false);
    if (file >= 0)
        close(file);
    file = -1;
    end = 0;
    pthread_mutex_unlock(&lock);
}

static void *map_block(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), length = (size + page - 1) / page * page;
    if (block_count == MOST_BLOCKS || length < size || posix_fallocate(file, end, (off_t)length) != 0)
        return NULL;
    void *start = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, end);
    if (start == MAP_FAILED)
        return NULL;
    blocks[block_count++] = (struct block){start, size, length, end};
    end += (off_t)length;
    return start;
}

void *spill_take(size_t size)
{
    if (!atomic_load_explicit(&is_open, memory_order_relaxed) || size < SPILL_LEAST_BYTES ||
        atomic_load(&in_memory) + (int64_t)size <= atomic_load(&budget))
        return NULL;
    pthread_mutex_lock(&lock);
    void *start = map_block(size);
    atomic_store(&blocks_there, block_count);
    pthread_mutex_unlock(&lock);
    if (start) {
        atomic_fetch_add(&in_file, (int64_t)size);
        atomic_fetch_add(&total, (int64_t)size);
    }
    return start;
}

/* Under the lock. */
static int find(const void *start)
{
    for (int i = block_count; i-- > 0;)
        if (blocks[i].start == start)
            return i;
    return -1;
}

static bool may_be_ours(const void *block)
{
    return atomic_load_explicit(&blocks_there, memory_order_acquire) > 0 && spill_may_have(block);
}

size_t spill_size(const void *block)
{
    if (!may_be_ours(block))
        return 0;
    pthread_mutex_lock(&lock);
    const int place = find(block);
    const size_t size = place >= 0 ? blocks[place].asked : 0;
    pthread_mutex_unlock(&lock);
    return size;
}

bool spill_give(void *block)
{
    if (!may_be_ours(block))
        return false;
    pthread_mutex_lock(&lock);
    const int place = find(block);
    if (place >= 0) {
        const struct block gone = blocks[place];
        munmap(gone.start, gone.length);
        blocks[place] = blocks[--block_count];
        if (block_count == 0) {
            const int done = ftruncate(file, 0);
            (void)done; /* else its pages stay until the next time */
            end = 0;
        } else {
            fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, gone.offset, (off_t)gone.length);
        }
        atomic_store(&blocks_there, block_count);
        atomic_fetch_sub(&in_file, (int64_t)gone.asked);
    }
    pthread_mutex_unlock(&lock);
    return place >= 0;
}

void spill_count_memory(int64_t bytes)
{
    atomic_fetch_add(&in_memory, bytes);
}

int64_t spill_bytes(void)
{
    return atomic_load(&in_file);
}

int64_t spill_total_bytes(void)
{
    return atomic_load(&total);
}
