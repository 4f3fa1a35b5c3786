/* leader.c - look, claim, tell, release.
 *
 * Invariant: is_leading is only a belief; a cycle that holds it wrongly fails at the leader's row (mismatch, or 40001 when the row
 * changed after its snapshot) before it has changed anything. A standby claims at once when the leader's server process is gone
 * (kill -9 closes the socket, so that is noticed in a second), and after STILL_US without a sign of life otherwise: no clock of
 * another host is compared, only whether the pulse changed. A frozen leader that holds the lock inside its transaction has its
 * backend ended first.
 *
 * Rejected: a lease with an end time (needs synchronous clocks); LISTEN (does not work through a pooler in transaction mode).
 */
#include "aggregator/leader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/session.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/postgres_begin.h"

extern const char sql_leader_look[];

static const int64_t STILL_US = 20 * CLOCK_SECOND_US;
static const int64_t TELL_US = 5 * CLOCK_SECOND_US;
static const int64_t ASK_US = 10 * CLOCK_SECOND_US;

enum { COLUMN_EPOCH, COLUMN_LEADER, COLUMN_IS_GONE, COLUMN_HOLDER, COLUMN_PULSE };

void leader_init(struct leader *leader)
{
    *leader = (struct leader){0};
    char host[64] = "";
    uint32_t random = 0;
    if (gethostname(host, sizeof host - 1) != 0)
        strcpy(host, "unknown");
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint32_t)clock_wall_us();
    snprintf(leader->name, sizeof leader->name, "%s/%ld/%08" PRIx32, host, (long)getpid(), random);
}

void leader_forget(struct leader *leader)
{
    leader->is_leading = false;
    leader->pulse[0] = '\0';
}

void leader_note_lock(struct leader *leader, bool was_free, int64_t now_us)
{
    if (was_free)
        leader->locked_out_us = 0;
    else if (leader->locked_out_us == 0)
        leader->locked_out_us = now_us;
}

static void remember_pulse(struct leader *leader, const char *pulse, int64_t now_us)
{
    if (leader->pulse[0] != '\0' && strcmp(pulse, leader->pulse) == 0)
        return;
    snprintf(leader->pulse, sizeof leader->pulse, "%s", pulse);
    leader->pulse_since_us = now_us;
}

/* Behind the UPDATE of a claim, in its transaction: a row that still has the epoch that was seen was kept from it (TM010). */
static bool has_moved(struct session *session, const char *seen_epoch, struct error *err)
{
    const char *const values[] = {seen_epoch};
    return session_do(session,
                      "SELECT tallymill.kept_out('tallymill.leader', 1, 0) FROM tallymill.leader l WHERE l.epoch = $1::bigint", 1,
                      values, err);
}

/* Raises the epoch if it is still the one that was seen and no cycle is under way. */
static bool claim(struct leader *leader, struct session *session, const char *seen_epoch, int64_t now_us, struct error *err)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%d", session_backend_pid(session));
    PGresult *result = session_ask_all(session,
                                       POSTGRES_BEGIN("READ COMMITTED") "; SET LOCAL lock_timeout = '2s'; "
                                                                        "SELECT 1 WHERE " LEADER_LOCK_SQL,
                                       err);
    if (!result)
        return false;
    bool is_free = PQntuples(result) == 1;
    leader_note_lock(leader, is_free, now_us);
    PQclear(result);
    result = NULL;
    if (is_free) {
        /* Behind a pooler pg_backend_pid() differs from what the client was told: then no process stands for the leader. */
        const char *const values[] = {leader->name, seen_epoch, pid};
        result = session_ask(
            session, ASK_US,
            "UPDATE tallymill.leader l SET epoch = l.epoch + 1, leader = $1, claimed_at = clock_timestamp(), seen_at = "
            "clock_timestamp(), "
            "backend_pid = a.pid, backend_start = a.backend_start FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_stat_activity a "
            "ON a.pid = pg_backend_pid() AND a.pid = $3::integer WHERE l.epoch = $2::bigint RETURNING l.epoch",
            3, values, err);
        if (!result)
            return false;
    }
    if (is_free && !has_moved(session, seen_epoch, err)) {
        PQclear(result);
        return false;
    }
    bool is_ours = result && PQntuples(result) == 1;
    int64_t epoch = is_ours ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    PQclear(result);
    if (!session_do(session, "COMMIT", 0, NULL, err))
        return false;
    if (is_ours) {
        leader->is_leading = true;
        leader->epoch = epoch;
        leader->told_at_us = now_us;
        leader->other[0] = '\0';
        log_info("leading", "leader=%s epoch=%" PRId64, leader->name, epoch);
    }
    return true;
}

/* Ends the backend of a leader that is frozen inside its cycle; the next look finds it gone. Only one of our own login: another's
 * is named (locked_out_us). */
static bool end_holder(struct leader *leader, struct session *session, const char *holder, int64_t now_us, struct error *err)
{
    const char *const values[] = {holder};
    PGresult *ended = session_ask(
        session, ASK_US,
        "SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE pid = $1::integer AND usename = current_user", 1,
        values, err);
    if (ended && PQntuples(ended) > 0)
        log_warn("ended the transaction of a leader that did not move", "backend_pid=%s still_s=%d", holder,
                 (int)(STILL_US / CLOCK_SECOND_US));
    else
        leader_note_lock(leader, false, now_us);
    PQclear(ended);
    return ended != NULL;
}

bool leader_try(struct leader *leader, struct session *session, int64_t now_us, struct error *err)
{
    PGresult *look = session_ask(session, ASK_US, sql_leader_look, 0, NULL, err);
    if (!look)
        return false;
    bool succeeded = false;
    if (PQntuples(look) == 0) {
        error_set(err, ERROR_USAGE, "tallymill.leader is empty: run tallymill migrate on a fresh database, or insert its one row");
        goto out;
    }
    const char *epoch = PQgetvalue(look, 0, COLUMN_EPOCH), *other = PQgetvalue(look, 0, COLUMN_LEADER);
    bool may_claim = PQgetvalue(look, 0, COLUMN_IS_GONE)[0] == 't' || strcmp(other, leader->name) == 0;
    remember_pulse(leader, PQgetvalue(look, 0, COLUMN_PULSE), now_us);
    bool is_still = now_us - leader->pulse_since_us > STILL_US;
    if (!may_claim && !is_still)
        leader_note_lock(leader, true, now_us); /* it is not wanted */
    if (is_still && !PQgetisnull(look, 0, COLUMN_HOLDER))
        succeeded = end_holder(leader, session, PQgetvalue(look, 0, COLUMN_HOLDER), now_us, err);
    else
        succeeded = !(may_claim || is_still) || claim(leader, session, epoch, now_us, err);
    if (succeeded && !leader->is_leading && strcmp(other, leader->other) != 0) {
        log_info("standing by", "leader=%s", other);
        snprintf(leader->other, sizeof leader->other, "%s", other);
    }
out:
    PQclear(look);
    return succeeded;
}

bool leader_tell(struct leader *leader, struct session *session, int64_t now_us, struct error *err)
{
    if (now_us - leader->told_at_us < TELL_US)
        return true;
    char epoch[24];
    snprintf(epoch, sizeof epoch, "%" PRId64, leader->epoch);
    const char *const values[] = {epoch};
    PGresult *result =
        session_ask(session, ASK_US, "UPDATE tallymill.leader SET seen_at = clock_timestamp() WHERE epoch = $1::bigint RETURNING 1",
                    1, values, err);
    if (!result)
        return false;
    leader->told_at_us = now_us;
    leader->is_leading = PQntuples(result) == 1;
    PQclear(result);
    return true;
}

void leader_release(struct leader *leader, struct session *session)
{
    struct error err = {0};
    char epoch[24];
    snprintf(epoch, sizeof epoch, "%" PRId64, leader->epoch);
    const char *const values[] = {epoch};
    PQclear(
        session_ask(session, 2 * CLOCK_SECOND_US,
                    "UPDATE tallymill.leader SET leader = '', backend_pid = NULL, backend_start = NULL WHERE epoch = $1::bigint", 1,
                    values, &err));
    leader_forget(leader);
}
