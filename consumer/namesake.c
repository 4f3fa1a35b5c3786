/* namesake.c - see namesake.h. */
#include "namesake.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "error.h"
#include "postgres.h"
#include "service.h"

/* Not older than this worker: an earlier life of it may have left its name on a topic partition that nobody has claimed since. */
static const char claims_sql[] =
    "SELECT 1 FROM tallymill.owners WHERE topic = $1 AND owner <> $2 AND right(owner, length($3)) = $3 "
    "AND claimed_at > clock_timestamp() - interval '1 us' * $4::float8 LIMIT 1";
enum { LOOK_MS = 200 };
#define LOOK_LIMIT_US INT64_C(1000000)

static bool look(PGconn *conn, const char *const values[4], struct error *err)
{
    PGresult *result = postgres_query_params(conn, claims_sql, 4, values, LOOK_LIMIT_US, err);
    const bool has_claimed = result && PQntuples(result) > 0;
    PQclear(result);
    return has_claimed;
}

bool namesake_has_claimed(const char *dsn, const char *topic, const char *owner, const char *instance, int64_t opened_us, int64_t limit_us)
{
    const int64_t deadline_us = clock_now_us() + limit_us;
    char ending[96]; /* as worker_open.c ends it */
    snprintf(ending, sizeof ending, "/%.80s", instance);
    char age[24];
    snprintf(age, sizeof age, "%" PRId64, clock_now_us() - opened_us);
    const char *const values[] = {topic, owner, ending, age};
    struct error err;
    error_clear(&err);
    PGconn *conn = postgres_open(dsn, "tallymill-consumer", limit_us, &err);
    bool has_claimed = false;
    while (conn && err.kind == ERROR_NONE && !has_claimed && clock_now_us() < deadline_us && !service_is_stopping()) {
        service_watchdog(clock_now_us());
        has_claimed = look(conn, values, &err);
        if (!has_claimed)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    }
    PQfinish(conn);
    return has_claimed;
}
