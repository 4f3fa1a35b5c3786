/* random.h - repeatable random numbers for the generator: the same seed gives the same events on every machine.
 *
 * splitmix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators"): eight bytes of state, so that each of many
 * thousand open sessions has a stream of its own, and what one session draws never shifts another's. Not for secrets.
 */
#ifndef TALLYMILL_PRODUCER_GENERATE_RANDOM_H
#define TALLYMILL_PRODUCER_GENERATE_RANDOM_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The stream number `stream` of a seed. */
static inline struct random random_stream(uint64_t seed, uint64_t stream)
{
    struct random random = {seed ^ stream * UINT64_C(0xd1342543de82ef95)};
    random.state = random_next(&random);
    return random;
}

/* 0 <= x < 1, 53 bits. */
static inline double random_unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

/* 0 .. limit - 1; the bias is below limit / 2^32. */
static inline uint32_t random_below(struct random *random, uint32_t limit)
{
    return (uint32_t)((random_next(random) >> 32) * limit >> 32);
}

/* Inclusive. */
static inline int random_between(struct random *random, int low, int high)
{
    return low + (int)random_below(random, (uint32_t)(high - low + 1));
}

static inline bool random_chance(struct random *random, double probability)
{
    return random_unit(random) < probability;
}

/* exp(N(ln(median), sigma)): what latencies and reading times look like. Box and Muller, one of the two values. */
static inline double random_lognormal(struct random *random, double median, double sigma)
{
    double u = 1.0 - random_unit(random), v = random_unit(random);
    return median * exp(sigma * sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

/* An index by weight; the weights, which sum to `total`, are small integers. */
static inline size_t random_pick(struct random *random, const uint8_t *weights, uint32_t total)
{
    uint32_t left = random_below(random, total);
    size_t i = 0;
    while (left >= weights[i])
        left -= weights[i++];
    return i;
}

#endif
