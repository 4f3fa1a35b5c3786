/* flood.h - too many of the events are bad: the share of dead letters over a window of time, and what is done about it.
 *
 * By dead_letters.policy a worker goes on and says so, goes on slowly, or stops. now_us is monotonic. Main thread.
 */
#ifndef TALLYMILL_CONSUMER_FLOOD_H
#define TALLYMILL_CONSUMER_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct settings;

/* Fewer dead letters than this within a window are no flood, whatever their share. */
enum { FLOOD_DEAD_LETTERS = 100 };

enum flood_policy { FLOOD_CONTINUE, FLOOD_SLOW, FLOOD_STOP };

struct flood_rules {
    enum flood_policy policy;
    int64_t window_us, max_percent;
};

/* All 0 at first. The window is kept as two halves, of which the older is forgotten: what is judged is between half a window and
 * one old. */
struct flood {
    int64_t half_since_us;
    int64_t events[2], dead[2]; /* of this half and of the one before */
    bool is_on;
    int64_t told_at_us;    /* of the last log line about it */
    int64_t slow_until_us; /* no batch begins earlier */
};

/* What dead_letters.* say now. */
struct flood_rules flood_rules(const struct settings *settings);

/* A batch was committed: counts it and judges. */
void flood_add(struct flood *flood, const struct flood_rules *rules, const char *topic, int64_t events, int64_t dead,
               int64_t now_us);

/* Judges again without new events, now and then: a flood ends by itself. */
void flood_look(struct flood *flood, const struct flood_rules *rules, const char *topic, int64_t now_us);

/* What is judged: dead letters in percent of all events. */
int flood_percent(const struct flood *flood);

/* False: the policy is to stop; ERROR_FATAL says so. */
MUST_CHECK bool flood_allows(const struct flood *flood, const struct flood_rules *rules, const char *topic, struct error *err);

#endif
