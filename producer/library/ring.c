/* ring.c - see ring.h. In the manner of D. Vyukov's bounded queues, with records of any length.
 *
 * A record is a header and the message's bytes, contiguous; where one does not fit before the end of the circle, a header that says
 * "pad" fills the rest. A committed header carries a stamp made of its own position and a secret: bytes left from the round before,
 * whatever an application wrote into its events, cannot pass for it, so that freed bytes need not be cleared.
 *
 * Invariant: freed <= taken <= tail <= freed + capacity, and only the thread that reserved bytes writes to them until they are
 * freed.
 *
 * A ring for each thread would spare the compare-and-swap's cache miss, but threads come and go, memory would grow with their
 * number, and two threads that hand a session over would see its events change places.
 */
#include "producer/library/ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

enum { LINE = 64, CAPACITY_MIN = 1 << 17 };

/* No position ever comes near it: at 10 GB/s it would take 29 years. */
#define SHUT (UINT64_C(1) << 63)
#define PAD  UINT32_MAX

struct header {
    _Atomic uint64_t stamp;
    uint32_t key_length; /* below 2^8; above it the extra's. PAD: value_length bytes (this header included) are skipped */
    uint32_t value_length;
};

struct ring {
    _Alignas(LINE) _Atomic uint64_t tail; /* what is reserved ends here; with SHUT set, for good */
    _Atomic uint64_t count;               /* on the same line, which ring_put has anyhow */
    _Alignas(LINE) _Atomic uint64_t freed;
    _Atomic uint64_t granted; /* what is put must end before it; beside `freed`, which ring_put reads anyhow */
    uint64_t taken;           /* the taker's own */
    _Alignas(LINE) uint8_t *bytes;
    size_t capacity;
    uint64_t secret;
};

struct ring *ring_new(size_t bytes)
{
    struct ring *ring = aligned_alloc(LINE, sizeof *ring);
    if (ring == NULL)
        return NULL;
    size_t capacity = CAPACITY_MIN;
    while (capacity < bytes)
        capacity *= 2;
    memset(ring, 0, sizeof *ring);
    ring->capacity = capacity;
    ring->granted = SHUT;
    if (getentropy(&ring->secret, sizeof ring->secret) != 0)
        ring->secret = (uint64_t)(uintptr_t)ring * UINT64_C(0x9E3779B97F4A7C15);
    /* Populated now: each page's first touch would cost some publisher a page fault. */
    ring->bytes = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (ring->bytes == MAP_FAILED) {
        free(ring);
        return NULL;
    }
    return ring;
}

void ring_delete(struct ring *ring)
{
    if (ring == NULL)
        return;
    munmap(ring->bytes, ring->capacity);
    free(ring);
}

static struct header *header_at(const struct ring *ring, uint64_t position)
{
    return (struct header *)(ring->bytes + (position & (ring->capacity - 1)));
}

/* Never 0, which is what fresh memory holds. */
static uint64_t stamp_of(const struct ring *ring, uint64_t position)
{
    return (position ^ ring->secret) | 1;
}

static void commit(struct ring *ring, uint64_t position, uint32_t key_length, uint32_t value_length)
{
    struct header *header = header_at(ring, position);
    header->key_length = key_length;
    header->value_length = value_length;
    atomic_store_explicit(&header->stamp, stamp_of(ring, position), memory_order_release);
}

enum { KEY_BITS = 8 };

static size_t record_size(size_t body_length)
{
    return (sizeof(struct header) + body_length + sizeof(struct header) - 1) & ~(sizeof(struct header) - 1);
}

static size_t body_length(const struct event_message *message)
{
    return message->key_length + message->value_length + message->extra_length;
}

enum ring_answer ring_put(struct ring *ring, const struct event_message *message, uint64_t *position)
{
    size_t need = record_size(body_length(message));
    if (need > ring->capacity / 2 || message->key_length >> KEY_BITS != 0) /* beside a pad it might never fit */
        return RING_FULL;
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t pad;
    do {
        if (tail & SHUT)
            return RING_SHUT;
        size_t left = ring->capacity - (tail & (ring->capacity - 1));
        pad = left < need ? left : 0;
        if (tail + pad + need - atomic_load_explicit(&ring->freed, memory_order_acquire) > ring->capacity)
            return RING_FULL;
        if (tail + pad + need > atomic_load_explicit(&ring->granted, memory_order_relaxed))
            return RING_REFUSED;
    } while (!atomic_compare_exchange_weak(&ring->tail, &tail, tail + pad + need)); /* in the one order of all: see courier.c */
    atomic_fetch_add_explicit(&ring->count, 1, memory_order_relaxed);
    if (pad != 0)
        commit(ring, tail, PAD, (uint32_t)pad);
    uint8_t *to = ring->bytes + ((tail + pad) & (ring->capacity - 1)) + sizeof(struct header);
    memcpy(to, message->key, message->key_length);
    memcpy(to + message->key_length, message->value, message->value_length);
    if (message->extra_length != 0)
        memcpy(to + message->key_length + message->value_length, message->extra, message->extra_length);
    commit(ring, tail + pad, (uint32_t)(message->extra_length << KEY_BITS | message->key_length), (uint32_t)message->value_length);
    if (position != NULL)
        *position = tail + pad + need;
    return RING_PUT;
}

size_t ring_take(struct ring *ring, struct event_message *messages, size_t limit)
{
    size_t count = 0;
    while (count < limit) {
        struct header *header = header_at(ring, ring->taken);
        if (atomic_load_explicit(&header->stamp, memory_order_acquire) != stamp_of(ring, ring->taken))
            break;
        if (header->key_length == PAD) {
            ring->taken += header->value_length;
            continue;
        }
        const uint8_t *bytes = (const uint8_t *)(header + 1);
        size_t key_length = header->key_length & ((1U << KEY_BITS) - 1);
        struct event_message *message = &messages[count++];
        *message = (struct event_message){.key = bytes,
                                          .value = bytes + key_length,
                                          .key_length = key_length,
                                          .value_length = header->value_length,
                                          .extra = bytes + key_length + header->value_length,
                                          .extra_length = header->key_length >> KEY_BITS};
        ring->taken += record_size(body_length(message));
    }
    return count;
}

void ring_free_taken(struct ring *ring, const struct event_message *messages, size_t count)
{
    /* From the start of the first that stays to where we are: pads in front of it are freed as well. */
    uint64_t freed = atomic_load_explicit(&ring->freed, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        const struct header *header = header_at(ring, freed);
        if (header->key_length == PAD)
            freed += header->value_length;
        freed += record_size(body_length(&messages[i]));
    }
    ring->taken = freed;
    atomic_store_explicit(&ring->freed, freed, memory_order_release);
}

void ring_grant(struct ring *ring, uint64_t position)
{
    atomic_store(&ring->granted, position);
}

uint64_t ring_freed(const struct ring *ring)
{
    return atomic_load(&ring->freed);
}

uint64_t ring_count(const struct ring *ring)
{
    return atomic_load(&ring->count);
}

size_t ring_used(const struct ring *ring)
{
    /* freed first: it never passes a tail read later */
    uint64_t freed = atomic_load(&ring->freed);
    return (size_t)((atomic_load(&ring->tail) & ~SHUT) - freed);
}

bool ring_is_empty(const struct ring *ring)
{
    return ring_used(ring) == 0;
}

size_t ring_capacity(const struct ring *ring)
{
    return ring->capacity;
}

void ring_shut(struct ring *ring)
{
    atomic_fetch_or(&ring->tail, SHUT);
}
