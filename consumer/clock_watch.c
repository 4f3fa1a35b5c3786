/* clock_watch.c - see clock_watch.h. Two of three clocks that agree are right. Where nobody speaks for Postgres's, the worker's own
 * is the suspect: to wait costs minutes, to bury live events costs a replay.
 */
#include "consumer/clock_watch.h"

static bool is_near(int64_t off_us)
{
    return off_us >= -CLOCK_WATCH_NEAR_US && off_us <= CLOCK_WATCH_NEAR_US;
}

enum clock_verdict clock_watch(const struct clock_facts *facts, enum clock_suspect *suspect)
{
    const int64_t off_us = facts->postgres_off_us, size_us = off_us < 0 ? -off_us : off_us;
    const bool record_is_near = facts->has_record && is_near(facts->record_off_us);
    const bool record_is_ahead = facts->has_record && facts->record_off_us < -CLOCK_WATCH_NEAR_US;
    *suspect = CLOCK_OF_NOBODY;
    if (is_near(off_us)) {
        if (record_is_ahead)
            *suspect = CLOCK_OF_KAFKA;
    } else {
        *suspect = record_is_near ? CLOCK_OF_POSTGRES : CLOCK_OF_WORKER;
    }
    if (*suspect == CLOCK_OF_NOBODY)
        return CLOCK_GOOD;
    /* A small window.ahead must not make small differences of clocks a standstill: near is near. */
    return *suspect == CLOCK_OF_WORKER && size_us > facts->ahead_us ? CLOCK_WRONG : CLOCK_APART;
}
