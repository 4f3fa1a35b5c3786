/* flood.c - see flood.h. */
#include "consumer/flood.h"

static void age(struct flood *flood, int64_t window_us, int64_t now_us)
{
    const int64_t half_us = window_us / 2 > 0 ? window_us / 2 : 1, past_us = now_us - flood->half_since_us;
    if (past_us < half_us)
        return;
    const bool is_next = past_us < 2 * half_us;
    flood->events[1] = is_next ? flood->events[0] : 0;
    flood->dead[1] = is_next ? flood->dead[0] : 0;
    flood->events[0] = flood->dead[0] = 0;
    flood->half_since_us = now_us;
}

int flood_percent(const struct flood *flood)
{
    const int64_t events = flood->events[0] + flood->events[1], dead = flood->dead[0] + flood->dead[1];
    return events > 0 ? (int)(100 * dead / events) : 0;
}

bool flood_look(struct flood *flood, int64_t window_us, int64_t max_percent, int64_t now_us)
{
    age(flood, window_us, now_us);
    const int64_t events = flood->events[0] + flood->events[1], dead = flood->dead[0] + flood->dead[1];
    return dead >= FLOOD_DEAD_LETTERS && 100 * dead > max_percent * events;
}

bool flood_add(struct flood *flood, int64_t events, int64_t dead, int64_t window_us, int64_t max_percent, int64_t now_us)
{
    age(flood, window_us, now_us);
    flood->events[0] += events;
    flood->dead[0] += dead;
    return flood_look(flood, window_us, max_percent, now_us);
}
