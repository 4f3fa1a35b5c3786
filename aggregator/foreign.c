/* foreign.c - one query over a partial index that only such rows are in: empty for whoever writes through Kafka alone.
 *
 * Invariant: a day whose statistics lack a foreign row differs from tallymill.days in number or hash, so it is found at the next
 * look.
 *
 * Rejected: a trigger on the table, which every COPY would pay for; a watermark on created_at, which an application may set as it
 * likes.
 */
#include "aggregator/foreign.h"

#include <stdio.h>
#include <stdlib.h>

#include "aggregator/day_cache.h"
#include "aggregator/months.h"
#include "aggregator/rebuild_queue.h"
#include "common/session.h"
#include "common/clock.h"

extern const char sql_foreign_changes[];

static const int64_t PERIOD_US = 15 * CLOCK_SECOND_US;
static const int64_t TIMEOUT_US = 600 * CLOCK_SECOND_US;

/* At most a twentieth of the time goes into looking. */
enum { REST = 20, CLOSED_DAYS = 2 };
static const int64_t CLOSED_PERIOD_US = 3600 * CLOCK_SECOND_US;

bool foreign_is_due(const struct foreign *foreign, int64_t now_us)
{
    int64_t rest_us = REST * foreign->took_us > PERIOD_US ? REST * foreign->took_us : PERIOD_US;
    return foreign->looked_at_us == 0 || now_us - foreign->looked_at_us >= rest_us;
}

bool foreign_look(struct foreign *foreign, struct session *session, struct day_cache *cache, const struct months *months,
                  int32_t first_open_day, struct error *err)
{
    int64_t start_us = clock_now_us();
    char date[CLOCK_DAY_BYTES], from[CLOCK_TIME_BYTES];
    const bool is_with_closed = foreign->closed_looked_at_us == 0 || start_us - foreign->closed_looked_at_us >= CLOSED_PERIOD_US;
    clock_format_day(date, first_open_day - (is_with_closed ? CLOSED_DAYS : 0));
    snprintf(from, sizeof from, "%s 00:00:00Z", date);
    const char *const values[] = {date, from};
    PGresult *result = session_ask(session, TIMEOUT_US, sql_foreign_changes, 2, values, err);
    if (!result)
        return false;
    bool succeeded = true;
    for (int i = 0; i < PQntuples(result) && succeeded; i++) {
        int32_t number = (int32_t)strtol(PQgetvalue(result, i, 0), NULL, 10);
        if (!months_is_attached(months, number))
            continue;
        struct cached_day *day = day_cache_get(cache, number, err);
        succeeded = day != NULL;
        if (day)
            rebuild_queue_want(cache, day, REBUILD_FOREIGN);
    }
    PQclear(result);
    foreign->looked_at_us = clock_now_us();
    foreign->closed_looked_at_us = is_with_closed ? start_us : foreign->closed_looked_at_us;
    foreign->took_us = foreign->looked_at_us - start_us;
    return succeeded;
}
