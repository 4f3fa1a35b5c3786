/* shelf.h - the days the aggregator knows: which of them are held in memory, and which wait for a rebuild.
 *
 * A day that is loaded has its exact sets here, and new events are added to them; one that is not is rebuilt from its rows when it
 * is touched. Memory is bounded: when a set cannot grow, a day is put away, a closed one before an open one, the least recently
 * touched first. All of it is only a cache of what the database implies: shelf_forget() is always right. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_SHELF_H
#define TALLYMILL_AGGREGATOR_SHELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/budget.h"
#include "aggregator/day.h"

struct error;
struct identity;

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

struct shelf_day {
    int32_t number;
    struct day *sets; /* NULL: not loaded */
    bool is_closed;
    bool is_too_big;            /* its sets did not fit: its statistics are computed by Postgres */
    uint64_t touched_at;        /* by shelf->clock: for the choice of what to put away */
    enum rebuild_reason reason; /* why it waits for a rebuild, or REBUILD_NOT */
    bool is_marked;             /* tallymill.days says that it waits */
    int64_t waiting_since_us;   /* Unix time */
    int64_t rebuilt_at_us;      /* monotonic; 0: not by this process */
    int64_t rebuild_us;         /* how long that took */
};

struct shelf {
    struct budget budget;
    const struct identity *identity;
    struct shelf_day **days; /* sorted by number */
    size_t count, capacity;
    uint64_t clock;
    int64_t wall_us; /* the database's time, set at the begin of each cycle */
};

/* The word for a reason, as in tallymill.days.dirty_reason and the log; and back (REBUILD_ASKED for any other word). */
const char *rebuild_reason_text(enum rebuild_reason reason);
enum rebuild_reason rebuild_reason_parse(const char *text);

/* identity must outlive it; max_bytes bounds the sets of all days together. */
void shelf_init(struct shelf *shelf, const struct identity *identity, size_t max_bytes);

/* Frees every day. */
void shelf_forget(struct shelf *shelf);

/* The day, or NULL if it is unknown; shelf_get makes it known (NULL: ERROR_RETRY, no memory). Valid until shelf_forget. */
struct shelf_day *shelf_find(const struct shelf *shelf, int32_t number);
struct shelf_day *shelf_get(struct shelf *shelf, int32_t number, struct error *err);

/* Notes that the day was used now. */
void shelf_touch(struct shelf *shelf, struct shelf_day *day);

/* An empty set of names for a day that is to be filled; what it held is thrown away. False: not even that fits. */
bool shelf_load(struct shelf *shelf, struct shelf_day *day);
void shelf_unload(struct shelf_day *day);

/* The number of an event name, and room for one event, in a loaded day; other days are put away for it as needed. False: the day
 * alone is too big (or memory has run out). A day put away before its figures were written waits for a rebuild from then on. */
bool shelf_name(struct shelf *shelf, struct shelf_day *day, const char *text, size_t length, uint32_t *name);
bool shelf_reserve(struct shelf *shelf, struct shelf_day *day, const struct day_event *event);

/* The day waits for a rebuild from now on, or since a time in the past. The first reason is kept, except that any reason replaces
 * REBUILD_CLOSE. */
void shelf_want(const struct shelf *shelf, struct shelf_day *day, enum rebuild_reason reason);
void shelf_want_since(struct shelf_day *day, enum rebuild_reason reason, int64_t wall_us);

/* How long a day rests after a rebuild: so many times as long as it took. At most a tenth of the time goes into one day. */
enum { SHELF_REST = 10 };

/* The waiting day to rebuild next, or NULL: the newest, but one that has waited for a minute comes before newer ones. A day rests
 * after its last rebuild, unless `is_urgent`; one rebuilt at or after `since_us` (monotonic, the begin of this cycle) has had its
 * turn. */
struct shelf_day *shelf_next(const struct shelf *shelf, int64_t now_us, int64_t since_us, bool is_urgent);

/* How many are loaded, and how many wait. */
void shelf_count(const struct shelf *shelf, size_t *loaded, size_t *waiting);

#endif
