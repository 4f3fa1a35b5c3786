/* cycle.h - one transaction of the leader: take in what the ledger has new, rebuild days that wait, move `folded`.
 *
 * One REPEATABLE READ snapshot for all of it, so that at every commit the statistics are those of exactly the batches at or below
 * `folded`, dirty days aside. What a cycle holds between two runs is a cache of what the database implies: after any failure call
 * cycle_forget(). One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_CYCLE_H
#define TALLYMILL_AGGREGATOR_CYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/foreign.h"
#include "aggregator/held.h"
#include "aggregator/identity.h"
#include "aggregator/intake.h"
#include "aggregator/months.h"
#include "aggregator/months_ahead.h"
#include "aggregator/day_cache.h"
#include "aggregator/worklist.h"
#include "common/error.h"

struct leader;
struct session;

struct cycle {
    struct identity identity;
    struct day_cache cache;
    struct worklist list;
    struct intake intake;
    struct months months;
    struct months_ahead ahead;
    struct foreign foreign;
    struct held held;
    uint32_t max_entries; /* ledger rows to hold */
    int64_t max_rows;     /* rows to take in at once */
    int64_t close_after_us;
    int64_t rebuild_us; /* time for rebuilds; one is always done */
    bool is_urgent;     /* days do not rest between rebuilds */
    uint64_t number;
    bool ignores_deltas; /* their table is damaged: every batch is read from its rows */
    bool is_busy;        /* the last cycle took batches in: the next begins its transaction without asking whether there is work */
    int32_t filled_to;   /* days up to here have their row in tallymill.days; 0: not known */

    /* Where `folded` stood, by place, when the memory was last right; knows_folded false: it holds nothing yet. */
    int64_t *folded;
    uint32_t folded_count, folded_room;
    bool knows_folded;
};

/* Where the time of a cycle goes. */
enum cycle_step {
    STEP_LOOK,    /* is there work, where do the months end */
    STEP_BOOKS,   /* the ledger and the days that wait */
    STEP_ROWS,    /* reading rows, adding them, writing statistics */
    STEP_REBUILD, /* days read again */
    STEP_COMMIT,  /* moving `folded`, COMMIT */
    STEP_COUNT,
};

struct cycle_report {
    bool did_run;           /* a transaction committed */
    bool has_more;          /* do not sleep: batches wait that could be taken now */
    bool is_settled;        /* nothing waits: no batch, no day */
    size_t waiting_batches; /* known and not taken */
    size_t batches, events, statistics, rebuilt, closed, loaded_days, waiting_days;
    int64_t took_us;
    int64_t step_us[STEP_COUNT];
};

/* memory_bytes: memory.max, of which the sets get about two thirds. False: no random bytes. */
MUST_CHECK bool cycle_init(struct cycle *cycle, int64_t memory_bytes, int64_t close_after_us, bool is_urgent, struct error *err);
void cycle_free(struct cycle *cycle);

/* Forgets everything that was learned: the next cycle rebuilds the days that are touched. */
void cycle_forget(struct cycle *cycle);

/* Looks for work and does it. False: the session failed (close it) and the memory must be forgotten. When leadership was lost
 * leader->is_leading is false afterwards. */
MUST_CHECK bool cycle_run(struct cycle *cycle, struct session *session, struct leader *leader, struct cycle_report *report,
                          struct error *err);

#endif
