/* budget.h - how many bytes the sets may take together, and how many they do.
 *
 * Whoever makes or grows a set asks first. A refusal is no error: the cache puts a day away and asks again. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_BUDGET_H
#define TALLYMILL_AGGREGATOR_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

struct budget {
    size_t used_bytes, max_bytes;
};

/* Takes `bytes` if they are there. */
static inline bool budget_take(struct budget *budget, size_t bytes)
{
    if (bytes > budget->max_bytes - budget->used_bytes)
        return false;
    budget->used_bytes += bytes;
    return true;
}

static inline void budget_give(struct budget *budget, size_t bytes)
{
    budget->used_bytes -= bytes;
}

#endif
