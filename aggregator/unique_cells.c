/* unique_cells.c - open addressing with linear probing; at most half full.
 *
 * Invariant: a free cell exists, so a probe ends. Nobody outside chooses what is hashed: days and subjects are few, so no secret is
 * needed.
 */
#include "aggregator/unique_cells.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

enum { FIRST_CAPACITY = 256 };

void unique_cells_free(struct unique_cells *cells)
{
    free(cells->cells);
    *cells = (struct unique_cells){0};
}

void unique_cells_reset(struct unique_cells *cells)
{
    if (cells->cells)
        memset(cells->cells, 0, cells->capacity * sizeof *cells->cells);
    cells->used = 0;
}

static struct unique_cell *find(const struct unique_cells *cells, unsigned subject, enum population population, int32_t day,
                                int32_t previous)
{
    const int32_t words[3] = {(int32_t)(subject << 2 | population), day, previous};
    size_t at = XXH3_64bits(words, sizeof words) & (cells->capacity - 1);
    for (;; at = (at + 1) & (cells->capacity - 1)) { /* ends: a free cell exists */
        struct unique_cell *cell = &cells->cells[at];
        if (!cell->is_used ||
            (cell->day == day && cell->previous == previous && cell->subject == subject && cell->population == population))
            return cell;
    }
}

static bool grow(struct unique_cells *cells)
{
    struct unique_cells grown = {.capacity = cells->capacity ? 2 * cells->capacity : FIRST_CAPACITY, .used = cells->used};
    grown.cells = calloc(grown.capacity, sizeof *grown.cells);
    if (!grown.cells)
        return false;
    for (size_t i = 0; i < cells->capacity; i++) {
        const struct unique_cell *cell = &cells->cells[i];
        if (cell->is_used)
            *find(&grown, cell->subject, cell->population, cell->day, cell->previous) = *cell;
    }
    free(cells->cells);
    *cells = grown;
    return true;
}

bool unique_cells_add(struct unique_cells *cells, unsigned subject, enum population population, int32_t day, int32_t previous,
                      int64_t keys)
{
    if (2 * cells->used >= cells->capacity && !grow(cells))
        return false;
    struct unique_cell *cell = find(cells, subject, population, day, previous);
    if (!cell->is_used) {
        *cell = (struct unique_cell){
            .day = day, .previous = previous, .subject = (uint8_t)subject, .population = (uint8_t)population, .is_used = true};
        cells->used++;
    }
    cell->keys += keys;
    return true;
}
