/* spill.h - large blocks of memory beyond a budget lie in a file.
 *
 * librdkafka unpacks one of Kafka's batches whole, into one block, and has no limit for that: a batch of 3 KB may become 300 MiB
 * (zstd), one of 4 MiB four gigabytes (gzip). A worker in a memory cgroup would be killed, and again after each restart, in front
 * of the same batch. What is in a file can be written out and given back by the kernel instead: the worker goes on, the event
 * becomes a dead letter, and the block is gone.
 *
 * The budget is for all blocks of SPILL_LEAST_BYTES and more together. A worker at rest and in a drain stays below it, so that
 * nothing of this is used. spill_malloc.c puts it behind malloc() of the program; it is no part of the library, nor of builds with
 * a sanitizer.
 *
 * Any thread. Nothing here allocates, so that malloc() may call it.
 */
#ifndef TALLYMILL_CONSUMER_SPILL_H
#define TALLYMILL_CONSUMER_SPILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPILL_LEAST_BYTES = 256 << 10, SPILL_ALIGNMENT = 4096 };

/* From now on. `folder` is on a disk, "" for TMPDIR or else /var/tmp; borrowed for the call. A folder in which no file can be made
 * means that nothing is spilled; false then. */
bool spill_open(int64_t budget_bytes, const char *folder);

/* For tests: gives the file up. No block may be in it. */
void spill_close(void);

/* A block in the file where the budget asks for one and the disk has room, page-aligned and zeroed. NULL: take it from memory. */
void *spill_take(size_t size);

/* True: the block was ours, and is gone. */
bool spill_give(void *block);

/* False: it is none of ours, which begin with a page. Nearly every block is told apart by that. */
static inline bool spill_may_have(const void *block)
{
    return (uintptr_t)block % SPILL_ALIGNMENT == 0;
}

/* The size of a block of ours that spill_take was asked for; 0: it is none. */
size_t spill_size(const void *block);

/* A large block from memory was taken (bytes above 0) or given back (below 0): what the budget counts. */
void spill_count_memory(int64_t bytes);

/* Bytes that lie in the file now, and of all that ever did. */
int64_t spill_bytes(void);
int64_t spill_total_bytes(void);

#endif
