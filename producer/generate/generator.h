/* generator.h - events like those of the plan's product, in the order in which they happen: as many as asked for, over the last
 * days.
 *
 * The same seed, count, days and until give the same events byte for byte. No I/O; memory is bounded whatever the count. One
 * thread.
 */
#ifndef TALLYMILL_PRODUCER_GENERATE_GENERATOR_H
#define TALLYMILL_PRODUCER_GENERATE_GENERATOR_H

#include <stdbool.h>
#include <stdint.h>

struct generator;
struct tally_event;

struct generator_plan {
    uint64_t events; /* how many, exactly */
    uint64_t seed;
    int days;         /* 1 or more: they end at until_us */
    bool is_sparse;   /* short visits on random days: some days have many, others none */
    int64_t until_us; /* no event happens at it or later */
};

/* NULL: no memory. */
struct generator *generator_new(const struct generator_plan *plan);
void generator_free(struct generator *generator);

/* The next event, with everything set. False when all were made. */
bool generator_next(struct generator *generator, struct tally_event *event);

#endif
