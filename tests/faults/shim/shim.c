/* shim.c - preloaded into a program under test: an allocation fails, or socket calls come back short, interrupted or with EAGAIN.
 *
 * SHIM_MALLOC=N: the N-th allocation that the program itself or libpq asks for fails, once. librdkafka's own are left alone: it
 * aborts without memory, by design, and a supervisor restarts the process as after any kill.
 *
 * SHIM_SOCKET=K, SHIM_SEED=S: about one of K calls of send, recv, sendmsg and recvmsg is short (one byte), EINTR or EAGAIN, the
 * seed says which. librdkafka gets EINTR once where it would fifty times: 2.0.2 ends a connection for it.
 *
 * SHIM_REPORT=FILE: a byte is appended each time.
 *
 * Callers are told apart by their return address: the ranges of the two objects' code are read once, so that the path of an
 * allocation costs a comparison. Rejected: failing by probability, for a run that cannot be repeated proves little.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

struct range {
    uintptr_t start, end;
};

static struct range ranges[8];
static int range_count;
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
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) && range_count < 8)
            ranges[range_count++] =
                (struct range){info->dlpi_addr + part->p_vaddr, info->dlpi_addr + part->p_vaddr + part->p_memsz};
    }
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *allocation = getenv("SHIM_MALLOC"), *sockets = getenv("SHIM_SOCKET"), *seed = getenv("SHIM_SEED"),
               *path = getenv("SHIM_REPORT");
    int objects = 0;
    dl_iterate_phdr(note_object, &objects);
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

static bool is_ours(const void *caller)
{
    for (int i = 0; i < range_count; i++)
        if ((uintptr_t)caller >= ranges[i].start && (uintptr_t)caller < ranges[i].end)
            return true;
    return false;
}

static bool fails(const void *caller)
{
    if (allocations_left <= 0 || !is_ours(caller) || atomic_fetch_sub(&allocations_left, 1) != 1)
        return false;
    tell();
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
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

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

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
