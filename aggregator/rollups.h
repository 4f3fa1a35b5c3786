/* rollups.h - computes the rollups whose events have changed, and refreshes the materialized views when they are due.
 *
 * A session of its own, driven without waiting: a query over a large day may take minutes, and the daily statistics must stay a
 * second behind all the while. A failure here is logged and tried again; it never touches the cycle. One thread.
 */
#ifndef TALLYMILL_ROLLUPS_H
#define TALLYMILL_ROLLUPS_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct session;
struct settings;

struct rollups {
    const char *dsn;       /* borrowed from the settings */
    const char *view_unit; /* "hour", "day", or NULL: the views are not ours to refresh */
    struct session *session;
    bool is_running, is_view; /* something was sent, and whether that is a view's refresh */
    int64_t sent_us;          /* monotonic */
    int64_t not_before_us;    /* rest until then */
    int64_t views_at_us;      /* when to look for a due view again */
    uint64_t number;          /* of the next transaction */
    int conflicts;            /* transactions in a row that ended with a conflict (class 40) */
    int64_t runs, failures, took_us; /* for the metrics */
};

/* views.refresh, again. */
void rollups_set_views(struct rollups *rollups, const struct settings *settings);

void rollups_init(struct rollups *rollups, const struct settings *settings);

/* While we lead, with `epoch`: sends what may be due, or looks whether what was sent is done. Never waits for a query. */
void rollups_turn(struct rollups *rollups, int64_t epoch, int64_t now_us);

/* A descriptor that becomes readable when rollups_turn() should be called, or -1. And how long until it should be called anyway. */
int rollups_socket(const struct rollups *rollups);
int64_t rollups_wait_us(const struct rollups *rollups, int64_t now_us);

/* Computes everything that is stale, whatever its cadence, and waits for it (--once). False: the session failed. */
bool rollups_finish(struct rollups *rollups, int64_t epoch, struct error *err);

/* Leadership or connection are lost, or it is the end: what runs is given up. */
void rollups_stop(struct rollups *rollups);

#endif
