/* months.c - see months.h. The worker does not keep its own idea of which months exist: the COPY into the parent tells (23514), and
 * a cache would only be wrong when a month is detached.
 */
#include "months.h"

#include <stdio.h>
#include <string.h>

#include "batch.h"
#include "clock.h"
#include "error.h"
#include "log.h"
#include "postgres.h"
#include "service.h"

#define MONTH_TIMEOUT_US INT64_C(10000000)

static bool kill_month(struct batch *batch, int32_t month, const char *text, struct error *err)
{
    char detail[DEAD_DETAIL_BYTES];
    snprintf(detail, sizeof detail, "month %.7s is archived; tallymill restore brings it back", text);
    for (int row = batch->row_count; row-- > 0;)
        if (clock_month_of(batch->rows[row].day) == month && !batch_kill_row(batch, row, REASON_ARCHIVED_MONTH, detail, err))
            return false;
    batch_compact(batch);
    return true;
}

static bool prepare(PGconn *conn, struct batch *batch, int32_t month, struct error *err)
{
    char text[CLOCK_DAY_BYTES];
    service_watchdog(clock_now_us());
    clock_format_day(text, month);
    const char *values[] = {text};
    PGresult *result = postgres_query_params(conn, "SELECT tallymill.make_month($1::date)", 1, values, MONTH_TIMEOUT_US, err);
    if (result) {
        if (strcmp(PQgetvalue(result, 0, 0), "t") == 0)
            log_info("made a month", "month=%.7s", text);
        PQclear(result);
        return true;
    }
    if (strcmp(err->sqlstate, "TM005") != 0)
        return false;
    error_clear(err);
    return kill_month(batch, month, text, err);
}

bool months_prepare(PGconn *conn, struct batch *batch, struct error *err)
{
    enum { MOST_MONTHS = 4096 };
    int32_t last = INT32_MIN;
    /* Rows of a month mostly lie together; asking twice about one is harmless. Rows may leave while we walk, from this one on down
     * only. */
    for (int row = batch->row_count - 1, asked = 0; row >= 0 && asked < MOST_MONTHS; row--) {
        if (row >= batch->row_count)
            continue;
        const int32_t month = clock_month_of(batch->rows[row].day);
        if (month == last)
            continue;
        last = month;
        asked++;
        if (!prepare(conn, batch, month, err))
            return false;
    }
    return true;
}
