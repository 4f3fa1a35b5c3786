/* flood.h - whether too many of the events are bad: the share of dead letters over a window of time. Pure: no I/O, no clock. One
 * thread. */
#ifndef TALLYMILL_CONSUMER_FLOOD_H
#define TALLYMILL_CONSUMER_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

/* Fewer dead letters than this within a window are no flood, whatever their share. */
enum { FLOOD_DEAD_LETTERS = 100 };

/* The window is kept as two halves, of which the older is forgotten: what is judged is between half a window and one old. */
struct flood {
    int64_t half_since_us;
    int64_t events[2], dead[2]; /* of this half and of the one before */
    bool is_on;
    int64_t told_at_us; /* of the last log line about it */
};

/* Counts a batch and judges. now_us is monotonic. */
bool flood_add(struct flood *flood, int64_t events, int64_t dead, int64_t window_us, int64_t max_percent, int64_t now_us);

/* Judges again without new events: a flood ends by itself. */
bool flood_look(struct flood *flood, int64_t window_us, int64_t max_percent, int64_t now_us);

/* What is judged: dead letters in percent of all events. */
int flood_percent(const struct flood *flood);

#endif
