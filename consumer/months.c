/* months.c - see months.h. The worker does not keep its own idea of which months exist: the COPY into the parent tells (23514), and
 * a cache would only be wrong when a month is detached.
 */
#include "consumer/months.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/postgres.h"
#include "common/service.h"
#include "consumer/batch.h"

#define MONTH_TIMEOUT_US INT64_C(10000000)

static bool kill_month(struct batch *batch, int32_t month, enum reason reason, const char *detail, struct error *err)
{
    for (int row = batch->row_count; row-- > 0;)
        if (clock_month_of(batch->rows[row].day) == month && !batch_kill_row(batch, row, reason, detail, err))
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
    const bool is_archived = postgres_is(err, POSTGRES_MONTH_ARCHIVED);
    if (!is_archived && !postgres_is(err, POSTGRES_CONTRACT))
        return false;
    error_clear(err);
    char detail[DEAD_DETAIL_BYTES];
    snprintf(detail, sizeof detail,
             is_archived ? "month %.7s is archived; tallymill restore brings it back"
                         : "no month is made for %.7s: from 1970-01 to 3650 days ahead of Postgres's clock",
             text);
    return kill_month(batch, month, is_archived ? REASON_ARCHIVED_MONTH : REASON_TS_RANGE, detail, err);
}

static int by_value(const void *left, const void *right)
{
    const int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
    return (a > b) - (a < b);
}

/* A batch may change its month with every row: they are sorted first, so that each is asked about once. */
bool months_prepare(PGconn *conn, struct batch *batch, struct error *err)
{
    const int count = batch->row_count;
    int32_t *months = malloc(((size_t)count + 1) * sizeof *months);
    if (!months)
        return error_set(err, ERROR_RETRY, "no memory for the months of %d rows", count);
    for (int row = 0; row < count; row++)
        months[row] = clock_month_of(batch->rows[row].day);
    qsort(months, (size_t)count, sizeof *months, by_value);
    bool done = true;
    for (int i = 0; i < count && done; i++)
        done = (i > 0 && months[i] == months[i - 1]) || prepare(conn, batch, months[i], err);
    free(months);
    return done;
}
