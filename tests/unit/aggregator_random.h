/* aggregator_random.h - a repeatable source of random numbers for the tests (splitmix64; Steele, Lea, Flood 2014). */
#ifndef TALLYMILL_TEST_AGGREGATOR_RANDOM_H
#define TALLYMILL_TEST_AGGREGATOR_RANDOM_H

#include <stdint.h>

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* 0 .. below - 1 */
static inline uint32_t random_below(uint64_t *state, uint32_t below)
{
    return (uint32_t)(next_random(state) % below);
}

#endif
