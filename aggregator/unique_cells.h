/* unique_cells.h - what is to be added to rows of analytics_daily_uniques: a number for each (subject, population, day, day
 * before).
 *
 * Bounded by whoever empties it. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_UNIQUE_CELLS_H
#define TALLYMILL_AGGREGATOR_UNIQUE_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* External and internal events, and both: a key in both counts there once. */
enum population { POPULATION_EXTERNAL, POPULATION_INTERNAL, POPULATION_ALL, POPULATIONS };

/* The day before of a key that was not seen before. */
#define DAY_NEVER INT32_MIN

struct unique_cell {
    int64_t keys;
    int32_t day, previous; /* days since 1970; previous: DAY_NEVER, or before day */
    uint8_t subject, population;
    bool is_used;
};

struct unique_cells {
    struct unique_cell *cells; /* open addressing; NULL until the first */
    size_t capacity, used;
};

void unique_cells_free(struct unique_cells *cells);

/* Empties it and keeps its memory. */
void unique_cells_reset(struct unique_cells *cells);

/* Adds `keys` to a cell. False: no memory, nothing was added. */
bool unique_cells_add(struct unique_cells *cells, unsigned subject, enum population population, int32_t day, int32_t previous,
                      int64_t keys);

#endif
