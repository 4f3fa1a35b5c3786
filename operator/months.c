/* months.c - see months.h. The knowledge is in SQL (tallymill.make_month, register_months, month_troubles), which the aggregator
 * and `audit` use too. */
#include "operator/months.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/postgres.h"
#include "operator/admin.h"
#include "operator/answer.h"
#include "operator/terminal.h"

#define LOCK_US (120 * CLOCK_SECOND_US)

static const char make_sql[] =
    "SELECT tallymill.make_month((date_trunc('month', now() AT TIME ZONE 'UTC') + $1::integer * interval '1 month')::date) AS made";

static bool list_troubles(PGconn *conn, struct months_report *report, struct error *err)
{
    PGresult *result = admin_ask(conn, "SELECT is_damage, trouble FROM tallymill.month_troubles()", 0, NULL, LOCK_US, err);
    for (int row = 0; result && row < PQntuples(result); row++)
        json_array_append_new(answer_bool(result, row, "is_damage") ? report->damages : report->notes,
                              json_string(answer_text(result, row, "trouble")));
    PQclear(result);
    return result != NULL;
}

bool months_make(PGconn *conn, struct months_report *report, struct error *err)
{
    report->damages = json_array();
    report->notes = json_array();
    if (!report->damages || !report->notes)
        return error_set(err, ERROR_RETRY, "out of memory");
    for (int month = 0; month <= report->ahead; month++) {
        char number[16];
        const char *const values[] = {number};
        snprintf(number, sizeof number, "%d", month);
        PGresult *result = admin_ask(conn, make_sql, 1, values, LOCK_US, err);
        report->made += result && answer_bool(result, 0, "made");
        PQclear(result);
        if (!result && !postgres_is(err, POSTGRES_MONTH_DETACHED))
            return error_wrap(err, "making the months ahead");
        if (!result) /* somebody's table is in its place */
            json_array_append_new(report->damages, json_string(err->text));
    }
    error_clear(err);
    PGresult *noted = admin_ask(conn, "SELECT count(*) FROM tallymill.register_months()", 0, NULL, LOCK_US, err);
    PQclear(noted);
    return noted && list_troubles(conn, report, err);
}

static void print(const char *kind, const json_t *texts)
{
    for (size_t i = 0; i < json_array_size(texts); i++) {
        fprintf(stderr, "tallymill migrate: %s", kind);
        terminal_text(stderr, json_string_value(json_array_get(texts, i)));
        fputc('\n', stderr);
    }
}

bool months_print(const struct months_report *report)
{
    print("DAMAGE: ", report->damages);
    print("", report->notes);
    return json_array_size(report->damages) > 0;
}

void months_report_free(struct months_report *report)
{
    json_decref(report->damages);
    json_decref(report->notes);
}
