/* shim.c - preloaded into a program under test: an allocation fails, or socket calls come back short, interrupted or with EAGAIN.
 *
 * SHIM_MALLOC=N: the N-th allocation that the program itself or libpq asks for fails, once. librdkafka's own are left alone: it
 * aborts without memory, by design, and a supervisor restarts the process as after any kill. Where it is linked into the program,
 * SHIM_LEFT_ALONE=FILE says which code is its: a line a function, "START END", hexadecimal offsets into the program's file.
 *
 * SHIM_SOCKET=K, SHIM_SEED=S: about one of K calls of send, recv, sendmsg and recvmsg is short (one byte), EINTR or EAGAIN, the
 * seed says which. librdkafka gets EINTR once where it would fifty times: 2.0.2 ends a connection for it.
 *
 * SHIM_REPORT=FILE: a byte is appended each time.
 *
 * Callers are told apart by their return address: the ranges of the two objects' code are read once, so that the path of an
 * allocation costs some comparisons. A worker has a malloc() of its own (consumer/spill_malloc.c), which comes before ours and asks
 * glibc by the name that only it knows: so __libc_malloc and its kin are taken too, and whoever called the worker's malloc() is the
 * caller, found by the frame pointers that our programs keep. Rejected: failing by probability, for a run that cannot be repeated
 * proves little.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RANGES_MAX = 8, LEFT_ALONE_MAX = 16384, ALLOCATORS = 3, FRAMES_MAX = 4 };

struct range {
    uintptr_t start, end;
};

static struct range ranges[RANGES_MAX], left_alone[LEFT_ALONE_MAX], allocators[ALLOCATORS];
static int range_count, left_alone_count, allocator_count;
static uintptr_t program_base;
static atomic_long allocations_left;
static atomic_uint_fast64_t random_state;
static long one_of;
static int report = -1;

static int note_object(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    int *objects = data;
    const bool is_program = (*objects)++ == 0;
    if (!is_program && !strstr(info->dlpi_name, "libpq.so"))
        return 0;
    if (is_program)
        program_base = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) && range_count < RANGES_MAX)
            ranges[range_count++] =
                (struct range){info->dlpi_addr + part->p_vaddr, info->dlpi_addr + part->p_vaddr + part->p_memsz};
    }
    return 0;
}

static bool is_within(uintptr_t address, const struct range *some, int count)
{
    for (int i = 0; i < count; i++)
        if (address >= some[i].start && address < some[i].end)
            return true;
    return false;
}

/* The program's own malloc() and its kin, where it has them. */
static void note_allocator(const char *name)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    if (is_within((uintptr_t)found, ranges, range_count) && dladdr1(found, &info, (void **)&symbol, RTLD_DL_SYMENT) != 0 && symbol)
        allocators[allocator_count++] = (struct range){(uintptr_t)found, (uintptr_t)found + symbol->st_size};
}

/* In the order of their addresses. */
static void read_left_alone(const char *path)
{
    FILE *file = fopen(path, "re");
    uintptr_t start, end;
    while (file && left_alone_count < LEFT_ALONE_MAX && fscanf(file, "%" SCNxPTR " %" SCNxPTR, &start, &end) == 2)
        left_alone[left_alone_count++] = (struct range){program_base + start, program_base + end};
    if (!file || !feof(file))
        abort(); /* with half of the list librdkafka would get the faults */
    fclose(file);
}

__attribute__((constructor)) static void begin(void)
{
    const char *allocation = getenv("SHIM_MALLOC"), *sockets = getenv("SHIM_SOCKET"), *seed = getenv("SHIM_SEED"),
               *path = getenv("SHIM_REPORT"), *alone = getenv("SHIM_LEFT_ALONE");
    int objects = 0;
    dl_iterate_phdr(note_object, &objects);
    note_allocator("malloc");
    note_allocator("calloc");
    note_allocator("realloc");
    if (alone)
        read_left_alone(alone);
    if (path)
        report = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    random_state = seed ? strtoull(seed, NULL, 10) : 1;
    one_of = sockets ? strtol(sockets, NULL, 10) : 0;
    allocations_left = allocation ? strtol(allocation, NULL, 10) : 0;
}

static void tell(void)
{
    const int saved = errno;
    if (report >= 0 && write(report, "x", 1) != 1)
        report = -1;
    errno = saved;
}

static bool is_left_alone(uintptr_t address)
{
    int first = 0, end = left_alone_count;
    while (first < end) {
        const int middle = first + (end - first) / 2;
        if (address >= left_alone[middle].end)
            first = middle + 1;
        else
            end = middle;
    }
    return first < left_alone_count && address >= left_alone[first].start;
}

static bool is_ours(const void *caller)
{
    return is_within((uintptr_t)caller, ranges, range_count) && !is_left_alone((uintptr_t)caller);
}

/* Whoever called the program's own malloc(), where that called us: its frame lies behind ours. */
static const void *caller_of(const void *caller, void *const *frame)
{
    for (int i = 0; i < FRAMES_MAX && is_within((uintptr_t)caller, allocators, allocator_count); i++) {
        frame = *frame;
        caller = frame[1];
    }
    return caller;
}

#define CALLER() caller_of(__builtin_return_address(0), __builtin_frame_address(0))

static bool fails(const void *caller)
{
    if (allocations_left <= 0 || !is_ours(caller) || atomic_fetch_sub(&allocations_left, 1) != 1)
        return false;
    tell();
    errno = ENOMEM;
    return true;
}

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* glibc's own, by either name. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static void *(*real_malloc)(size_t size);
static void *(*real_calloc)(size_t count, size_t size);
static void *(*real_realloc)(void *old, size_t size);

/* Before any constructor too: the loader allocates. */
static void find_real(void)
{
    real_malloc = NEXT(__libc_malloc);
    real_calloc = NEXT(__libc_calloc);
    real_realloc = NEXT(__libc_realloc);
}

#define REAL(name) (real_malloc && real_calloc && real_realloc ? real_##name : (find_real(), real_##name))

void *malloc(size_t size)
{
    return fails(CALLER()) ? NULL : REAL(malloc)(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(CALLER()) ? NULL : REAL(calloc)(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails(CALLER()) ? NULL : REAL(realloc)(old, size);
}

void *__libc_malloc(size_t size)
{
    return fails(CALLER()) ? NULL : REAL(malloc)(size);
}

void *__libc_calloc(size_t count, size_t size)
{
    return fails(CALLER()) ? NULL : REAL(calloc)(count, size);
}

void *__libc_realloc(void *old, size_t size)
{
    return fails(CALLER()) ? NULL : REAL(realloc)(old, size);
}

enum irregular { REGULAR, SHORT, INTERRUPTED, AGAIN };

/* splitmix64, of a counter: threads draw without a lock. */
static enum irregular draw(const void *caller)
{
    if (one_of <= 0)
        return REGULAR;
    uint64_t z = atomic_fetch_add(&random_state, UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    if (z % (uint64_t)one_of != 0)
        return REGULAR;
    enum irregular kind = SHORT + (enum irregular)((z >> 32) % 3);
    if (kind == INTERRUPTED && !is_ours(caller) && (z >> 40) % 50 != 0)
        kind = AGAIN;
    tell();
    if (kind == INTERRUPTED)
        errno = EINTR;
    else if (kind == AGAIN)
        errno = EAGAIN;
    return kind;
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    const enum irregular kind = draw(__builtin_return_address(0));
    return kind > SHORT ? -1 : NEXT(send)(fd, bytes, kind == SHORT && length > 1 ? 1 : length, flags);
}

ssize_t recv(int fd, void *bytes, size_t length, int flags)
{
    const enum irregular kind = draw(__builtin_return_address(0));
    return kind > SHORT ? -1 : NEXT(recv)(fd, bytes, kind == SHORT && length > 1 ? 1 : length, flags);
}

static void first_piece(struct msghdr *message, struct iovec *piece)
{
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        if (message->msg_iov[i].iov_len == 0)
            continue;
        *piece = (struct iovec){message->msg_iov[i].iov_base, 1};
        message->msg_iov = piece;
        message->msg_iovlen = 1;
        return;
    }
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    const enum irregular kind = draw(__builtin_return_address(0));
    struct msghdr copy = *message;
    struct iovec piece;
    if (kind > SHORT)
        return -1;
    if (kind == SHORT)
        first_piece(&copy, &piece);
    return NEXT(sendmsg)(fd, &copy, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    const enum irregular kind = draw(__builtin_return_address(0));
    struct msghdr copy = *message;
    struct iovec piece;
    if (kind > SHORT)
        return -1;
    if (kind == REGULAR)
        return NEXT(recvmsg)(fd, message, flags);
    first_piece(&copy, &piece);
    return NEXT(recvmsg)(fd, &copy, flags);
}
