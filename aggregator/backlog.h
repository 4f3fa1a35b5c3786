/* backlog.h - how far something long has come, said to a person: a line that is drawn again on a terminal, or one in the log every
 * half a minute.
 *
 * It says how many are left, how many a second are done, and how long the rest will take at that rate. Silent while there is little
 * to do. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_BACKLOG_H
#define TALLYMILL_AGGREGATOR_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

struct backlog {
    const char *what; /* "days of statistics"; borrowed for ever */
    bool is_drawn;    /* on a terminal */
    bool is_under_way;
    int64_t begun_us, shown_us; /* monotonic */
    int64_t done, left;
};

void backlog_init(struct backlog *backlog, const char *what, bool may_draw);

/* So many were done since the last call, and so many are left. */
void backlog_note(struct backlog *backlog, int64_t done, int64_t left, int64_t now_us);

/* Seconds until the rest is done at the rate so far; -1: nobody knows. */
int64_t backlog_left_s(const struct backlog *backlog, int64_t now_us);

#endif
