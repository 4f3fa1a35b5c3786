/* erase_keys.c - see erase.h: who was there on days of months that left.
 *
 * Days of attached months are counted anew from their events. Of months that left only the keys are there, and only the aggregator
 * can tell the key of a session; so it is asked, and what was asked stays in tallymill.key_removals until it is done.
 */
#include "operator/erase.h"

#include <poll.h>

#include "common/clock.h"
#include "common/postgres.h"
#include "common/progress.h"
#include "operator/answer.h"
#include "operator/day_queue.h"
#include "operator/step_teller.h"

extern const char erase_keys_look_sql[];

enum { LOOK_MS = 200 };

static const int64_t NO_PROGRESS_US = 600 * CLOCK_SECOND_US;

/* How many days wait; -1: the database failed. */
static int64_t look(struct erase_run *run, bool *is_led, struct error *err)
{
    PGresult *seen = postgres_query(run->conn, erase_keys_look_sql, ERASE_QUERY_US, err);
    const int64_t waiting = seen ? answer_int(seen, 0, "waiting") : -1;
    *is_led = seen && !answer_is_null(seen, 0, "leader_seen_us") && answer_int(seen, 0, "leader_seen_us") < NO_PROGRESS_US;
    PQclear(seen);
    return waiting;
}

static bool wait_for_aggregator(struct erase_run *run, int64_t days, struct error *err)
{
    struct progress bar;
    const int64_t leaderless_us = run->wait_us < DAY_QUEUE_LEADERLESS_US ? run->wait_us : DAY_QUEUE_LEADERLESS_US;
    int64_t left = days, progress_us = clock_now_us();
    bool is_led = false;
    step_teller_begin("tallymill erase", "waits for the aggregator, which takes their keys from the uniques of %lld archived days",
                      (long long)days);
    progress_init(&bar, "archived days without their keys", days, progress_us);
    while (left > 0) { /* ends: when none waits, or without progress */
        const int64_t now_left = look(run, &is_led, err), now_us = clock_now_us();
        if (now_left != left)
            progress_us = now_us;
        left = now_left;
        if (left <= 0 || now_us - progress_us > (is_led ? NO_PROGRESS_US : leaderless_us))
            break;
        progress_draw(&bar, days - left, (uint64_t)(days - left), now_us);
        poll(NULL, 0, LOOK_MS);
    }
    progress_clear(&bar);
    if (left > 0)
        erase_remark(run, true, "uniques of %lld days of months that left still count them: %s", (long long)left,
                     is_led ? "the aggregator has not come to them within ten minutes"
                            : "no aggregator leads (start tallymill-aggregator; it goes on by itself)");
    return left >= 0;
}

bool erase_keys(struct erase_run *run, struct error *err)
{
    const char *const values[] = {run->subject.user_array, run->subject.session_array};
    step_teller_begin("tallymill erase", "takes their keys from the uniques of archived days");
    PGresult *asked = postgres_query_params(run->conn, "SELECT tallymill.remove_keys($1::bigint[], $2::text[]) AS days", 2, values,
                                            ERASE_QUERY_US, err);
    const int64_t days = asked ? answer_int(asked, 0, "days") : 0;
    PQclear(asked);
    return asked && (days == 0 || wait_for_aggregator(run, days, err));
}
