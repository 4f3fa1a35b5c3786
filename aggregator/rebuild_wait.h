/* rebuild_wait.h - why and since when a day waits for a rebuild, and when it last had one. Pure. One thread. */
#ifndef TALLYMILL_AGGREGATOR_REBUILD_WAIT_H
#define TALLYMILL_AGGREGATOR_REBUILD_WAIT_H

#include <stdbool.h>
#include <stdint.h>

enum rebuild_reason {
    REBUILD_NOT,     /* nothing to do */
    REBUILD_TOUCHED, /* new events, and the day is not in memory */
    REBUILD_EVICTED, /* memory was short while events were added */
    REBUILD_FOREIGN, /* another program's rows changed */
    REBUILD_ROWS,    /* a batch has not the rows that the ledger says */
    REBUILD_BACKLOG, /* more batches waited than can be taken one by one */
    REBUILD_CLOSE,   /* the day is over */
    REBUILD_ASKED,   /* marked by somebody else in tallymill.days */
};

struct rebuild_wait {
    enum rebuild_reason reason; /* REBUILD_NOT: it does not wait */
    bool is_marked;             /* tallymill.days says that it waits */
    int64_t since_us;           /* Unix time */
    int64_t rebuilt_at_us;      /* monotonic; 0: not by this process */
    int64_t took_us;            /* how long that rebuild took */
};

/* The day waits since then. The first reason is kept, except that any reason replaces REBUILD_CLOSE. */
void rebuild_wait_begin(struct rebuild_wait *wait, enum rebuild_reason reason, int64_t wall_us);

/* The word for a reason, as in tallymill.days.dirty_reason and the log; and back (REBUILD_ASKED for any other word). */
const char *rebuild_reason_text(enum rebuild_reason reason);
enum rebuild_reason rebuild_reason_parse(const char *text);

#endif
