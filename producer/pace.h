/* pace.h - at most so many events a second, evenly. One thread. */
#ifndef TALLYMILL_PACE_H
#define TALLYMILL_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
    double rate; /* events a second; 0: as fast as it goes */
    int64_t start_us;
    uint64_t events;
};

void pace_init(struct pace *pace, double rate, int64_t now_us);

/* When the next event is due (a monotonic time; now_us or earlier: at once), and counts it. After a stall the lost time is not made
 * up by more than a second's worth: a server that comes back gets its rate, not a flood. */
int64_t pace_next_us(struct pace *pace, int64_t now_us);

#endif
