/* day_queue.c - see day_queue.h. */
#include "operator/day_queue.h"

#include <poll.h>

#include "common/clock.h"
#include "common/postgres.h"
#include "operator/answer.h"

extern const char rebuild_mark_sql[], rebuild_look_sql[];

enum { LOOK_MS = 200 };

static const int64_t QUERY_US = 30 * CLOCK_SECOND_US;
static const int64_t NO_PROGRESS_US = 3600 * CLOCK_SECOND_US; /* more than the largest day takes */

bool day_queue_ask(PGconn *conn, const char *day, struct error *err)
{
    const char *const values[] = {day};
    PGresult *marked = postgres_query_params(conn, rebuild_mark_sql, 1, values, QUERY_US, err);
    const bool is_marked = marked && PQntuples(marked) == 1 && answer_bool(marked, 0, "is_marked");
    if (marked && !is_marked)
        error_ignore(postgres_exec(conn, "SELECT tallymill.kept_out('tallymill.days', 1, 0)", QUERY_US, err)); /* it raises */
    PQclear(marked);
    return is_marked || error_wrap(err, "asking for %s", day);
}

bool day_queue_wait(PGconn *conn, const char *days, int count, int64_t leaderless_us, void (*look)(void *context, int done),
                    void *context, struct error *err)
{
    int64_t progress_us = clock_now_us();
    for (int done = 0; done < count;) { /* ends: when all are done, or without progress */
        const char *const values[] = {days};
        PGresult *seen = postgres_query_params(conn, rebuild_look_sql, 1, values, QUERY_US, err);
        if (!seen)
            return false;
        const int now_done = (int)answer_int(seen, 0, "done");
        const bool is_led = !answer_is_null(seen, 0, "leader_seen_us") && answer_int(seen, 0, "leader_seen_us") < NO_PROGRESS_US;
        PQclear(seen);
        const int64_t now_us = clock_now_us();
        if (now_done != done)
            progress_us = now_us;
        done = now_done;
        look(context, done);
        if (now_us - progress_us > (is_led ? NO_PROGRESS_US : leaderless_us))
            return error_set(err, ERROR_RETRY, "%s: they wait in the queue",
                             is_led ? "the aggregator has not rebuilt the days asked for within an hour"
                                    : "no aggregator leads, so nobody rebuilds the days (start tallymill-aggregator)");
        if (done < count)
            poll(NULL, 0, LOOK_MS);
    }
    return true;
}
