/* uuid.c - see uuid.h.
 *
 * Each thread has a generator (xoshiro256++) seeded by the kernel, because one getrandom(2) per id costs more than the whole id.
 * Ids must be unique, not secret: whoever can guess one can do nothing with it. A child after fork() would repeat its parent's
 * numbers, so fork raises a generation that each thread compares before use (getpid() would be a system call an id).
 */
#include "common/uuid.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"

/* A clock that steps back by less than this keeps the time of the last id; by more, ids follow the clock. */
#define BACKWARD_MS 10000
#define MAX_MS      ((INT64_C(1) << 48) - 1)
#define COUNTER_MAX 0xFFF

struct generator {
    unsigned generation; /* 0: not seeded yet */
    uint64_t state[4];
    int64_t last_ms;
    unsigned counter;
};

static _Thread_local struct generator generator;
static atomic_uint fork_generation = 1;
static pthread_once_t watch_fork_once = PTHREAD_ONCE_INIT;

static void note_fork(void)
{
    atomic_fetch_add_explicit(&fork_generation, 1, memory_order_relaxed);
}

static void watch_fork(void)
{
    pthread_atfork(NULL, NULL, note_fork);
}

static uint64_t mix(uint64_t value) /* splitmix64: spreads the few bits of the fallback seed */
{
    value += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

static void seed(struct generator *g, unsigned generation)
{
    if (getentropy(g->state, sizeof g->state) != 0) {
        /* Only a sandbox that forbids the call gets here. Time, process and thread still tell generators apart. */
        g->state[0] = mix((uint64_t)clock_wall_us());
        g->state[1] = mix((uint64_t)clock_now_us() ^ g->state[0]);
        g->state[2] = mix((uint64_t)getpid() ^ g->state[1]);
        g->state[3] = mix((uint64_t)(uintptr_t)g ^ g->state[2]);
    }
    g->state[0] |= 1; /* all zero would stay zero */
    g->last_ms = -1;
    g->generation = generation;
}

static uint64_t rotate(uint64_t value, int bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static uint64_t next_random(struct generator *g) /* xoshiro256++ 1.0, Blackman and Vigna */
{
    uint64_t *s = g->state;
    uint64_t result = rotate(s[0] + s[3], 23) + s[0];
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

static int64_t clamp_ms(int64_t wall_us)
{
    int64_t ms = wall_us / 1000;
    return ms < 0 ? 0 : ms > MAX_MS ? MAX_MS : ms;
}

static void put(uint8_t id[UUID_BYTES], int64_t ms, unsigned random_12, uint64_t random_62)
{
    put_64(id, (uint64_t)ms << 16 | 0x7000 | (random_12 & COUNTER_MAX));
    put_64(id + 8, UINT64_C(1) << 63 | (random_62 & (UINT64_MAX >> 2)));
}

void uuid_make_v7(uint8_t id[UUID_BYTES], int64_t wall_us)
{
    struct generator *g = &generator;
    unsigned generation = atomic_load_explicit(&fork_generation, memory_order_relaxed);
    if (g->generation != generation) {
        pthread_once(&watch_fork_once, watch_fork);
        seed(g, generation);
    }
    int64_t ms = clamp_ms(wall_us);
    if (ms > g->last_ms || g->last_ms - ms > BACKWARD_MS) {
        g->last_ms = ms;
        /* The top bit starts at 0, which leaves at least 2,048 ids before the counter is full. */
        g->counter = (unsigned)(next_random(g) >> 53);
    } else if (g->counter < COUNTER_MAX) {
        g->counter++;
    } else {
        /* Full: run ahead of the clock (RFC 9562 6.2, counter rollover). */
        g->last_ms = g->last_ms < MAX_MS ? g->last_ms + 1 : MAX_MS;
        g->counter = 0;
    }
    put(id, g->last_ms, g->counter, next_random(g));
}

void uuid_make_v7_from(uint8_t id[UUID_BYTES], int64_t wall_us, uint64_t random_a, uint64_t random_b)
{
    put(id, clamp_ms(wall_us), (unsigned)(random_a & COUNTER_MAX), random_b);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_dash_position(size_t position)
{
    return position == 8 || position == 13 || position == 18 || position == 23;
}

bool uuid_parse(const char *text, size_t length, uint8_t id[UUID_BYTES])
{
    if (length != UUID_TEXT_BYTES - 1)
        return false;
    uint8_t read[UUID_BYTES];
    size_t position = 0;
    for (int i = 0; i < UUID_BYTES; i++) {
        if (is_dash_position(position) && text[position++] != '-')
            return false;
        int high = hex_digit(text[position]), low = hex_digit(text[position + 1]);
        if (high < 0 || low < 0)
            return false;
        read[i] = (uint8_t)(high << 4 | low);
        position += 2;
    }
    memcpy(id, read, UUID_BYTES);
    return true;
}

/* Eight of 0-9a-f as four bytes; false: another is among them. All at once: what the digits say, written again, must be the text.
 */
static bool read_digits(uint64_t text, uint8_t out[4])
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t is_letter = text >> 6 & ones;
    const uint64_t digits = (text & ones * 15) + is_letter * 9;
    const uint64_t written = digits + ones * '0' + ((digits + ones * 6) >> 4 & ones) * ('a' - '0' - 10);
    uint64_t bytes = (digits >> 4 | digits) & UINT64_C(0x00FF00FF00FF00FF);
    bytes = (bytes >> 8 | bytes) & UINT64_C(0x0000FFFF0000FFFF);
    put_32(out, (uint32_t)(bytes >> 16 | bytes));
    return written == text && (digits & ones * 16) == 0;
}

static uint64_t two_parts(const char *first, const char *second)
{
    return (uint64_t)get_32(first) << 32 | get_32(second);
}

bool uuid_read_canonical(const char *text, size_t length, uint8_t id[UUID_BYTES])
{
    if (length != UUID_TEXT_BYTES - 1)
        return false;
    const bool a = read_digits(get_64(text), id), b = read_digits(two_parts(text + 9, text + 14), id + 4);
    const bool c = read_digits(two_parts(text + 19, text + 24), id + 8), d = read_digits(get_64(text + 28), id + 12);
    return a && b && c && d && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-';
}

const char *uuid_format(char text[UUID_TEXT_BYTES], const uint8_t id[UUID_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    size_t position = 0;
    for (int i = 0; i < UUID_BYTES; i++) {
        if (is_dash_position(position))
            text[position++] = '-';
        text[position++] = digits[id[i] >> 4];
        text[position++] = digits[id[i] & 15];
    }
    text[position] = '\0';
    return text;
}
