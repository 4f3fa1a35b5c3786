/* clock_watch.h - whose clock is wrong: the worker's, beside Postgres's and the times that Kafka's brokers gave to records. Pure:
 * no I/O, no clock.
 *
 * A worker judges times of events by its own clock; one that is days off would bury every live event. Exactly-once needs no clock
 * at all.
 */
#ifndef TALLYMILL_CONSUMER_CLOCK_WATCH_H
#define TALLYMILL_CONSUMER_CLOCK_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/* Clocks that are no farther apart than this agree. */
#define CLOCK_WATCH_NEAR_US INT64_C(300000000)

struct clock_facts {
    int64_t postgres_off_us; /* the worker's clock less Postgres's */
    bool has_record;         /* a record that a broker has dated (LogAppendTime) was read within the last minutes */
    int64_t record_off_us; /* the worker's clock less that time; a backlog makes it large and means nothing, so it only speaks for a
                              clock */
    int64_t ahead_us;      /* window.ahead */
};

enum clock_verdict {
    CLOCK_GOOD,
    CLOCK_APART, /* said, no more */
    CLOCK_WRONG, /* no time of an event may be judged by it */
};
enum clock_suspect { CLOCK_OF_NOBODY, CLOCK_OF_WORKER, CLOCK_OF_POSTGRES, CLOCK_OF_KAFKA };

enum clock_verdict clock_watch(const struct clock_facts *facts, enum clock_suspect *suspect);

#endif
