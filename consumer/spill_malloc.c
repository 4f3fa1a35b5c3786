/* spill_malloc.c - malloc() of the worker's program, its libraries included: glibc's, but for large blocks beyond the budget of
 * spill.h.
 *
 * A small block costs a comparison. A large one is counted by what glibc says that it holds, when it comes and when it goes, so
 * that no header of our own lies before it. NEARLY is what glibc may give more than was asked for: below it no block can hold
 * SPILL_LEAST_BYTES.
 */
#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define HAS_OWN_ALLOCATOR
#endif
#endif
#if defined __GLIBC__ || defined __linux__
#include <features.h>
#endif
#if defined __GLIBC__ && !defined HAS_OWN_ALLOCATOR && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/spill.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void __libc_free(void *block);

#define NEARLY (SPILL_LEAST_BYTES - 64)

/* What the budget counts of a block from glibc. */
static int64_t counted(void *block)
{
    const size_t bytes = block ? malloc_usable_size(block) : 0;
    return bytes >= SPILL_LEAST_BYTES ? (int64_t)bytes : 0;
}

static void *count(void *block)
{
    const int64_t bytes = counted(block);
    if (bytes > 0)
        spill_count_memory(bytes);
    return block;
}

void *malloc(size_t size)
{
    if (size < NEARLY)
        return __libc_malloc(size);
    void *spilled = spill_take(size);
    return spilled ? spilled : count(__libc_malloc(size));
}

void *calloc(size_t number, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(number, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    if (bytes < NEARLY)
        return __libc_calloc(number, size);
    void *spilled = spill_take(bytes);
    return spilled ? spilled : count(__libc_calloc(number, size));
}

/* True: it is gone. Leaves errno as it is, as glibc's own free() does. */
static bool give_back(void *block)
{
    const int saved = errno;
    const bool is_given = spill_give(block);
    errno = saved;
    return is_given;
}

void free(void *block)
{
    if (spill_may_have(block) && (!block || give_back(block)))
        return;
    const int64_t bytes = (int64_t)malloc_usable_size(block);
    if (bytes >= SPILL_LEAST_BYTES)
        spill_count_memory(-bytes);
    __libc_free(block);
}

/* To another place: from the file, or into it. */
static void *move(void *old, size_t held, size_t size)
{
    void *moved = malloc(size);
    if (moved) {
        memcpy(moved, old, held < size ? held : size);
        free(old);
    }
    return moved;
}

void *realloc(void *old, size_t size)
{
    if (!old)
        return malloc(size);
    const size_t spilled = spill_size(old);
    if (spilled > 0)
        return size == 0 ? (free(old), NULL) : move(old, spilled, size);
    const int64_t before = counted(old);
    if (size >= NEARLY) {
        spill_count_memory(-before); /* it goes, whatever comes of it */
        void *taken = spill_take(size);
        spill_count_memory(before);
        if (taken) {
            const size_t held = malloc_usable_size(old);
            memcpy(taken, old, held < size ? held : size);
            free(old);
            return taken;
        }
    }
    void *moved = __libc_realloc(old, size);
    if (moved || size == 0)
        spill_count_memory(counted(moved) - before);
    return moved;
}

#else
typedef int spill_malloc_is_not_for_this_build;
#endif
