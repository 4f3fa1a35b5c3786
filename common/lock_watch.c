/* lock_watch.c - see lock_watch.h.
 *
 * The look is taken while the wait lasts, because only then does the server know who blocks whom (pg_blocking_pids); behind a lock
 * time-out there is nothing left but to list who holds locks at all. It needs a second connection, which the settings of the first
 * are read back for (PQconninfo): the password of a file, the host of several that was taken.
 *
 * Rejected: log_lock_waits and the server's log (another's machine); asking before each statement (a round trip each, and the
 * answer of a moment before).
 */
#include "common/lock_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/postgres_error.h"
#include "common/postgres_open.h"
#include "common/rights.h"
#include "common/statement.h"
#include "common/utf8.h"

#define FIRST_LOOK_US   CLOCK_SECOND_US
#define RAREST_LOOK_US  (60 * CLOCK_SECOND_US)
#define TOLD_AFTER_US   (4 * CLOCK_SECOND_US)
#define SIDE_TIMEOUT_US (2 * CLOCK_SECOND_US)

void lock_watch_start(struct lock_watch *watch, int64_t now_us)
{
    watch->since_us = now_us;
    watch->look_at_us = now_us + FIRST_LOOK_US;
    watch->text[0] = '\0';
    watch->is_told = false;
}

static PGconn *open_side(PGconn *conn)
{
    struct error ignored = {0};
    return postgres_open_beside(conn, "tallymill lock watch", SIDE_TIMEOUT_US, &ignored);
}

/* What the other connection is asked is not watched in turn. */
static PGresult *ask(PGconn *side, const char *sql)
{
    struct error ignored = {0};
    struct statement_wait wait = statement_wait_for(SIDE_TIMEOUT_US);
    wait.is_cancelled_late = true;
    return statement_run(side, sql, 0, NULL, &wait, &ignored);
}

enum { COLUMN_PID, COLUMN_APPLICATION, COLUMN_LOGIN, COLUMN_SELF, COLUMN_IS_OURS, COLUMN_HOLDER };

/* Behind a pooler nobody has our pid, and whoever waits under our name and login stands for us. */
static bool is_waiting(const PGresult *waits, int row, PGconn *side, int pid, const char *application)
{
    if (atoi(PQgetvalue(waits, row, COLUMN_PID)) == pid)
        return true;
    return atoi(PQgetvalue(waits, row, COLUMN_SELF)) != PQbackendPID(side) && application &&
           strcmp(PQgetvalue(waits, row, COLUMN_APPLICATION), application) == 0 &&
           strcmp(PQgetvalue(waits, row, COLUMN_LOGIN), PQuser(side)) == 0;
}

bool lock_watch_ask(PGconn *side, int pid, const char *application, char text[LOCK_TEXT_BYTES])
{
    PGresult *waits = ask(side, lock_waits_sql);
    const bool is_known = waits != NULL;
    text[0] = '\0';
    for (int row = 0; waits && row < PQntuples(waits) && !text[0]; row++)
        if (is_waiting(waits, row, side, pid, application))
            utf8_copy(text, LOCK_TEXT_BYTES, PQgetvalue(waits, row, COLUMN_HOLDER));
    PQclear(waits);
    return is_known;
}

bool lock_watch_look(struct lock_watch *watch, PGconn *conn, int64_t now_us)
{
    if (now_us < watch->look_at_us)
        return false;
    PGconn *side = open_side(conn);
    if (!side || !lock_watch_ask(side, PQbackendPID(conn), PQparameterStatus(conn, "application_name"), watch->text))
        watch->text[0] = '\0';
    PQfinish(side);
    const int64_t waited_us = now_us - watch->since_us;
    watch->look_at_us = clock_now_us() + (waited_us < RAREST_LOOK_US ? waited_us : RAREST_LOOK_US); /* at 1, 2, 4, 8, ... s */
    if (watch->text[0] && !watch->is_told && waited_us >= TOLD_AFTER_US) {
        char shown[LOG_TEXT_BYTES];
        watch->is_told = true;
        log_warn("waiting for a lock that another session holds", "for_s=%d holder=\"%s\"", (int)(waited_us / CLOCK_SECOND_US),
                 log_text(shown, watch->text));
    }
    return true;
}

bool lock_watch_is_timeout(const struct error *err)
{
    return postgres_is(err, POSTGRES_LOCKED);
}

void lock_watch_append(struct error *err, const char *text)
{
    const struct error said = *err;
    if (!text[0] || strstr(said.text, text))
        return;
    error_set(err, said.kind, "%.*s: %s", UTF8_CUT(said.text, 140), text);
    memcpy(err->sqlstate, said.sqlstate, sizeof err->sqlstate);
}

/* Whoever held it for all of our time-out mostly holds it still. */
static void append_holders(PGconn *conn, struct error *err)
{
    PGconn *side = open_side(conn);
    PGresult *holders = side ? ask(side, "SELECT string_agg(h, '; ') FROM tallymill.lock_holders() AS h") : NULL;
    if (holders && !PQgetisnull(holders, 0, 0))
        lock_watch_append(err, PQgetvalue(holders, 0, 0));
    PQclear(holders);
    PQfinish(side);
}

bool lock_watch_explain(const struct lock_watch *watch, PGconn *conn, struct error *err)
{
    const bool is_lock = lock_watch_is_timeout(err), is_end = postgres_is(err, POSTGRES_CANCELLED) || !err->sqlstate[0];
    if (watch->text[0] && (is_lock || is_end))
        lock_watch_append(err, watch->text);
    else if (is_lock)
        append_holders(conn, err);
    return false;
}

static void start(void *context, int64_t now_us)
{
    lock_watch_start(context, now_us);
}

static bool look(void *context, PGconn *conn, int64_t now_us, bool is_silent, struct error *err)
{
    (void)err;
    if (is_silent)
        lock_watch_look(context, conn, now_us);
    return true;
}

static void explain(void *context, PGconn *conn, struct error *err)
{
    lock_watch_explain(context, conn, err);
    rights_explain(conn, err);
}

const struct statement_watch lock_watch_statements = {.start = start, .look = look, .explain = explain};
