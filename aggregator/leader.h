/* leader.h - which of several aggregators works: at most one, for as long as nobody else has raised the epoch.
 *
 * The truth is the row tallymill.leader: each cycle locks it and compares the epoch (tallymill.begin_cycle), so that two cycles of
 * two leaders never both commit. The advisory lock, held only inside transactions (a session lock would stay behind in a pooler),
 * is politeness: it keeps a standby from waiting behind a cycle. Everything else here only decides when a standby may claim. One
 * thread.
 */
#ifndef TALLYMILL_AGGREGATOR_LEADER_H
#define TALLYMILL_AGGREGATOR_LEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct session;

/* The lock is ('tall', 1), spelled out in sql/leader_look.sql and in the schema's functions too. */
#define LEADER_LOCK_SQL "pg_try_advisory_xact_lock(1952541804, 1)"

enum { LEADER_NAME_BYTES = 96, LEADER_PULSE_BYTES = 256 };

struct leader {
    char name[LEADER_NAME_BYTES]; /* "host/pid/random" */
    bool is_leading;
    int64_t epoch;                  /* while leading */
    char other[LEADER_NAME_BYTES];  /* who leads instead, as last seen */
    char pulse[LEADER_PULSE_BYTES]; /* of the other, as last seen */
    int64_t pulse_since_us;         /* monotonic */
    int64_t told_at_us;             /* when seen_at was last written */
    int64_t locked_out_us;          /* monotonic: since when others held the lock whenever we wanted it; 0: not so */
};

/* Gives this process a name. */
void leader_init(struct leader *leader);

/* Looks who leads and claims if nobody does, or if the leader has not moved for 20 s. is_leading says the result; false: the
 * session failed. */
MUST_CHECK bool leader_try(struct leader *leader, struct session *session, int64_t now_us, struct error *err);

/* While leading, between cycles: tells standbys that we live, every 5 s. is_leading becomes false if another has claimed. */
MUST_CHECK bool leader_tell(struct leader *leader, struct session *session, int64_t now_us, struct error *err);

/* Gives it up, so that a standby need not wait. Best effort. */
void leader_release(struct leader *leader, struct session *session);

/* Whether the lock was ours when we wanted it. A cycle or a command of ours holds it for moments, a forgotten client for as long as
 * it is left open. */
void leader_note_lock(struct leader *leader, bool was_free, int64_t now_us);

/* Leadership is lost, or may be. */
void leader_forget(struct leader *leader);

#endif
