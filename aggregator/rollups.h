/* rollups.h - computes the rollups whose events have changed, counts the uniques of their days, and refreshes the materialized
 * views when they are due.
 *
 * A session of its own, driven without waiting: a query over a large day may take minutes, and the daily statistics must stay a
 * second behind all the while. A failure here is logged and tried again; it never touches the cycle. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_ROLLUPS_H
#define TALLYMILL_AGGREGATOR_ROLLUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "aggregator/backlog.h"
#include "aggregator/rollup_list.h"
#include "aggregator/rollup_pace.h"
#include "aggregator/uniques.h"
#include "common/error.h"

struct session;
struct settings;

enum rollups_step { ROLLUPS_REST, ROLLUPS_LISTING, ROLLUPS_RUNNING, ROLLUPS_VIEW, ROLLUPS_UNIQUES };

struct rollups {
    const struct settings *settings; /* borrowed */
    const char *view_unit;           /* "hour", "day", or NULL: the views are not ours to refresh */
    struct session *session;
    enum rollups_step step;    /* what was sent */
    struct rollup_piece piece; /* ROLLUPS_RUNNING */
    struct rollup_list list;
    struct rollup_pace pace;
    struct uniques uniques;
    bool was_uniques;      /* the last thing sent was theirs: now it is the rollups' turn */
    int64_t keep_us;       /* keys of days older than it go */
    int64_t uniques_at_us; /* monotonic: when to look for a due day again */
    int64_t idle_until_us; /* no rollup is due until then */
    struct backlog backlog;
    int64_t timeout_us; /* a query is ended after it */
    int64_t sent_us;    /* monotonic */
    int64_t listed_us, list_took_us;
    int64_t not_before_us;           /* rest until then */
    int64_t views_at_us;             /* when to look for a due view again */
    int conflicts;                   /* transactions in a row that ended with a conflict (class 40) */
    uint64_t number;                 /* of the next list */
    bool is_finishing;               /* --once: whatever is stale, without a rest */
    char since[64];                  /* finishing: what ran before this time, by the server, does not count */
    int64_t runs, failures, took_us; /* for the metrics */
    uint64_t answers;                /* pieces that were answered for, well or not */
};

/* views.refresh, rollups.share, rollups.timeout, uniques.keep, again. */
void rollups_set(struct rollups *rollups, const struct settings *settings);

/* is_once: progress may be drawn on a terminal. seed: random. */
void rollups_init(struct rollups *rollups, const struct settings *settings, bool is_once, uint64_t seed);
void rollups_free(struct rollups *rollups);

/* While we lead, with `epoch`: sends what is due, or looks whether what was sent is done. Never waits for a query.
 * is_behind: the daily statistics have work to do; rollups then take a fifth of the time. */
void rollups_turn(struct rollups *rollups, int64_t epoch, bool is_behind, int64_t now_us);

/* Only looks whether what was sent is done. */
void rollups_look(struct rollups *rollups, int64_t now_us);

/* A descriptor that becomes readable when rollups_turn() should be called, or -1. And how long until it should be called anyway. */
int rollups_socket(const struct rollups *rollups);
int64_t rollups_wait_us(const struct rollups *rollups, int64_t now_us);

/* Computes everything that is stale, whatever its cadence, and waits for it (--once). False: the session failed. */
MUST_CHECK bool rollups_finish(struct rollups *rollups, int64_t epoch, struct error *err);

/* Leadership or connection are lost, or it is the end: what runs is given up. */
void rollups_stop(struct rollups *rollups);

#endif
