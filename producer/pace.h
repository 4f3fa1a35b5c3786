/* pace.h - at most so many events a second, evenly. One thread. */
#ifndef TALLYMILL_PRODUCER_PACE_H
#define TALLYMILL_PRODUCER_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
    double rate; /* events a second; 0: as fast as it goes */
    bool is_open_loop;
    int64_t start_us;
    uint64_t events;
};

/* Open loop: the times at which events are due are fixed at the start, and what was late is made up at once; a load test that let a
 * slow server slow the load down would not see how slow it is. */
void pace_init(struct pace *pace, double rate, bool is_open_loop, int64_t now_us);

/* When the next event is due (a monotonic time; now_us or earlier: at once), and counts it. But for an open loop, the time lost in
 * a stall is not made up by more than a second's worth: a server that comes back gets its rate, not a flood. */
int64_t pace_next_us(struct pace *pace, int64_t now_us);

#endif
