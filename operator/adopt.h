/* adopt.h - the parts of `tallymill adopt` (adopt.c): what is looked at, the steps that copy and swap, and the ways out.
 *
 * Each step is a transaction of its own that leaves something whole; what is done stands in schema tallymill_adopt, so another run
 * goes on where this one was killed. One thread.
 */
#ifndef TALLYMILL_OPERATOR_ADOPT_H
#define TALLYMILL_OPERATOR_ADOPT_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"

enum { ADOPT_STEP_BYTES = 16 };

struct adopt {
    PGconn *conn;
    const char *time_zone;     /* "" where none was given */
    const char *rollup_tables; /* that `tallymill migrate` will make: an array for Postgres */
    bool ids_become_uuid, with_stored, months_are_published;
    PGresult *look;              /* adopt_look.sql */
    char step[ADOPT_STEP_BYTES]; /* of the adoption that is under way; "" none is */
    int64_t rows;                /* copied, or to be copied */
    int64_t erasures;            /* since the swap, when it is undone */
    int64_t locked_us;           /* the longest time that the old table was locked */
    int replayed_under_lock;     /* so many changes may be left for the swap itself */
};

/* Looks at the table and at what an earlier run left. ERROR_USAGE where there is nothing to take over. */
MUST_CHECK bool adopt_look(struct adopt *adopt, struct error *err);

/* Names on `out` all that stops an adoption, and counts it in *stops: columns, keys, whatever stands on the table, and rows that
 * the new one would not take (one pass over it). */
MUST_CHECK bool adopt_find_stops(struct adopt *adopt, FILE *out, int *stops, struct error *err);
/* Of these, what came while an adoption was under way, on stderr: asked under the lock of the swap, so the catalogue alone. */
MUST_CHECK bool adopt_find_late_stops(struct adopt *adopt, int *stops, struct error *err);
void adopt_print_plan(const struct adopt *adopt);
MUST_CHECK bool adopt_print_columns(struct adopt *adopt, struct error *err);
/* Where created_at has no time zone: in which zone sessions must be from the swap on, and whose are not. */
MUST_CHECK bool adopt_print_zones(struct adopt *adopt, struct error *err);

/* What the statistics that somebody else kept in analytics_daily_stats differ in: before the swap from the old table's own rows
 * (one pass over it), after it from those that the aggregator keeps. Prints nothing where there are none. */
MUST_CHECK bool adopt_print_statistics(struct adopt *adopt, struct error *err);

/* The steps, in this order; each does what is left of it. */
MUST_CHECK bool adopt_lay_ground(struct adopt *adopt, struct error *err);
MUST_CHECK bool adopt_log_changes(struct adopt *adopt, struct error *err);
MUST_CHECK bool adopt_copy(struct adopt *adopt, struct error *err);
MUST_CHECK bool adopt_replay(struct adopt *adopt, struct error *err);
MUST_CHECK bool adopt_compare(struct adopt *adopt, struct error *err);
MUST_CHECK bool adopt_swap(struct adopt *adopt, struct error *err);
/* Materialized ones, after the swap. Those on the statistics wait until the aggregator has made these of all adopted days. */
MUST_CHECK bool adopt_renew_views(struct adopt *adopt, struct error *err);
/* Those that still show an old table, named as a list ("" none). */
MUST_CHECK bool adopt_stale_views(struct adopt *adopt, char *names, size_t size, struct error *err);

/* The ways out: before the swap, and after it. */
MUST_CHECK bool adopt_abandon(struct adopt *adopt, struct error *err);
MUST_CHECK bool adopt_finish(struct adopt *adopt, struct error *err);
MUST_CHECK bool adopt_undo(struct adopt *adopt, struct error *err);

/* A transaction of a step: begun with the adoption's lock held, for which half a minute is waited (ERROR_RETRY: another run has
 * it). lock_timeout as Postgres writes it. */
MUST_CHECK bool adopt_begin(PGconn *conn, const char *mode, const char *lock_timeout, struct error *err);
MUST_CHECK bool adopt_end(PGconn *conn, struct error *err);
void adopt_roll_back(PGconn *conn);
/* Of the old table, until its options are restored: by the step for which it was stopped, or, when that failed, by this, which
 * does what it can. */
MUST_CHECK bool adopt_stop_autovacuum(struct adopt *adopt, struct error *err);
void adopt_restore_autovacuum(struct adopt *adopt);

/* A step that needs the old table to itself: asked for it for a moment only, and again after a pause, so that no queue of others
 * forms behind it. `work` runs inside adopt_begin() and answers whether it is done; *is_again: roll back, and call it again. */
MUST_CHECK bool adopt_with_lock(struct adopt *adopt, bool (*work)(struct adopt *adopt, bool *is_again, struct error *err),
                                struct error *err);

#endif
