/* adopt_lock.c - see adopt.h: transactions of an adoption, and how it asks for the table.
 *
 * A lock that is waited for holds up everybody who comes after, for as long as those who came before go on. So it is waited for
 * 50 ms at first and never more than 300, and then those who came are let through. That never gets past an autovacuum, which only
 * the deadlock check after a second cancels: it is switched off on the old table before.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "operator/adopt.h"

enum { ATTEMPTS = 200, SHORT_ATTEMPTS = 20, MIDDLE_ATTEMPTS = 60, PAUSE_MS = 50, PAUSE_MAX_MS = 2000 };
enum { OTHERS_TRIES = 120, OTHERS_TOLD = 10, OTHERS_PAUSE_MS = 250 };
enum { AUTOVACUUM_TRIES = 20 };

#define SHORT_US (60 * CLOCK_SECOND_US)

void adopt_roll_back(PGconn *conn)
{
    struct error ignored = {0};
    error_ignore(postgres_exec(conn, "ROLLBACK", SHORT_US, &ignored));
}

/* Begun, and *is_ours says whether the adoption's lock was to be had. A server that a killed client left at work notices it within
 * a second, and lets the lock go. */
static bool begin(PGconn *conn, const char *mode, const char *lock_timeout, bool *is_ours, struct error *err)
{
    const char *const values[] = {lock_timeout};
    const char *text = strcmp(mode, "REPEATABLE READ") == 0
                           ? POSTGRES_BEGIN("REPEATABLE READ") "; SET LOCAL client_min_messages = warning"
                           : POSTGRES_BEGIN("READ COMMITTED") "; SET LOCAL client_min_messages = warning";
    PGresult *got =
        postgres_exec(conn, text, SHORT_US, err)
            ? postgres_query_params(
                  conn,
                  "SELECT pg_try_advisory_xact_lock(hashtextextended('tallymill.adopt', 0)), set_config('lock_timeout', $1, true), "
                  "set_config('jit', 'off', true), "
                  "CASE WHEN version() LIKE '%linux%' THEN set_config('client_connection_check_interval', '1s', true) END",
                  1, values, SHORT_US, err)
            : NULL;
    const bool is_asked = got != NULL;
    *is_ours = is_asked && PQgetvalue(got, 0, 0)[0] == 't';
    PQclear(got);
    return is_asked;
}

bool adopt_begin(PGconn *conn, const char *mode, const char *lock_timeout, struct error *err)
{
    for (int tries = 1;; tries++) {
        bool is_ours;
        const bool is_begun = begin(conn, mode, lock_timeout, &is_ours, err);
        if (is_ours) {
            return true;
        }
        adopt_roll_back(conn);
        if (!is_begun) {
            return false;
        }
        if (tries == OTHERS_TRIES) {
            return error_set(err, ERROR_RETRY, "another tallymill adopt is at work in this database");
        }
        if (tries == OTHERS_TOLD) {
            fprintf(stderr, "tallymill adopt: another one is at work in this database, or what a killed one left ends; waiting\n");
        }
        poll(NULL, 0, OTHERS_PAUSE_MS);
    }
}

bool adopt_end(PGconn *conn, struct error *err)
{
    if (postgres_exec(conn, "COMMIT", SHORT_US, err)) {
        return true;
    }
    adopt_roll_back(conn);
    return false;
}

static bool may_pass(const PGconn *conn, const struct error *err)
{
    return PQstatus(conn) == CONNECTION_OK &&
           (postgres_is(err, POSTGRES_LOCKED) || postgres_is(err, POSTGRES_CONFLICT) || postgres_is(err, POSTGRES_INTERNAL));
}

/* Waits for as long as it takes the deadlock check to cancel an autovacuum. A CREATE INDEX CONCURRENTLY waits for our snapshot
 * while we wait for its lock: the check then ends one of the two, which is us, since we are gone before it would be the other. */
static bool stop_autovacuum(PGconn *conn, struct error *err)
{
    static const char until_checked[] =
        "SELECT set_config('lock_timeout', (setting::bigint + 500)::text, true) FROM pg_settings WHERE name = 'deadlock_timeout'";
    return adopt_begin(conn, "READ COMMITTED", "30s", err) && postgres_exec(conn, until_checked, SHORT_US, err) &&
           postgres_exec(conn, "SELECT tallymill_adopt.stop_autovacuum()", SHORT_US, err) && adopt_end(conn, err);
}

bool adopt_stop_autovacuum(struct adopt *adopt, struct error *err)
{
    for (int tries = 1;; tries++) {
        error_clear(err);
        if (stop_autovacuum(adopt->conn, err)) {
            return true;
        }
        adopt_roll_back(adopt->conn);
        if (tries == AUTOVACUUM_TRIES || !may_pass(adopt->conn, err)) {
            return error_wrap(err, "switching autovacuum off on the old table");
        }
        poll(NULL, 0, OTHERS_PAUSE_MS);
    }
}

void adopt_restore_autovacuum(struct adopt *adopt)
{
    struct error ignored = {0};
    if (PQstatus(adopt->conn) != CONNECTION_OK) {
        return;
    }
    const bool is_restored = adopt_begin(adopt->conn, "READ COMMITTED", "10s", &ignored) &&
                             postgres_exec(adopt->conn, "SELECT tallymill_adopt.restore_options()", SHORT_US, &ignored) &&
                             adopt_end(adopt->conn, &ignored);
    if (!is_restored) {
        adopt_roll_back(adopt->conn);
        fprintf(stderr, "tallymill adopt: autovacuum stays switched off on the old table until tallymill adopt goes on: %s\n",
                ignored.text);
    }
}

/* Transactions that overlap all the time leave a longer wait as the only way. */
static const char *lock_timeout(int attempt)
{
    return attempt <= SHORT_ATTEMPTS ? "50ms" : attempt <= MIDDLE_ATTEMPTS ? "100ms" : "300ms";
}

bool adopt_with_lock(struct adopt *adopt, bool (*work)(struct adopt *adopt, bool *is_again, struct error *err), struct error *err)
{
    int pause_ms = PAUSE_MS;
    for (int attempt = 1;; attempt++) {
        bool is_again = false;
        error_clear(err);
        if (!adopt_begin(adopt->conn, "READ COMMITTED", lock_timeout(attempt), err)) {
            return false;
        }
        if (work(adopt, &is_again, err)) {
            return true;
        }
        adopt_roll_back(adopt->conn);
        if (is_again && attempt < ATTEMPTS) {
            continue;
        }
        if (attempt == ATTEMPTS || !may_pass(adopt->conn, err)) {
            return attempt > 1 ? error_wrap(err, "after %d tries", attempt) : false;
        }
        if (attempt % 10 == 0) {
            fprintf(stderr, "tallymill adopt: the table is still in use after %d tries: %s\n", attempt, err->text);
        }
        poll(NULL, 0, pause_ms);
        pause_ms = pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause_ms * 2;
    }
}
