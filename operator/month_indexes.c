/* month_indexes.c - see month_indexes.h.
 *
 * The migration makes the parent's index alone, which is quick; new months get theirs with their table. Here the others follow:
 * CONCURRENTLY lets workers store meanwhile, and a run that was ended leaves an index that is not valid, which the next one drops.
 * Rejected: CREATE INDEX on the parent in the migration, which would keep every insert waiting for as long as all months take.
 */
#include "operator/month_indexes.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/postgres.h"
#include "operator/answer.h"
#include "operator/terminal.h"

extern const char migrate_indexes_sql[];

#define SHORT_US (30 * CLOCK_SECOND_US)
#define BUILD_US (3600 * CLOCK_SECOND_US)

static bool build(PGconn *conn, const PGresult *months, int row, struct error *err)
{
    return (!answer_bool(months, row, "is_half_built") ||
            postgres_exec_alone(conn, answer_text(months, row, "drop_statement"), BUILD_US, err)) &&
           (answer_bool(months, row, "is_built") ||
            postgres_exec_alone(conn, answer_text(months, row, "create_statement"), BUILD_US, err)) &&
           postgres_exec(conn, answer_text(months, row, "attach_statement"), SHORT_US, err);
}

bool month_indexes_build(PGconn *conn, struct month_indexes_report *report, struct error *err)
{
    PGresult *months = postgres_query(conn, migrate_indexes_sql, SHORT_US, err);
    bool succeeded = months != NULL;
    for (int row = 0; succeeded && row < PQntuples(months); row++) {
        if (build(conn, months, row, err)) {
            report->built++;
            continue;
        }
        succeeded = PQstatus(conn) == CONNECTION_OK && postgres_is(err, POSTGRES_REFUSED);
        if (succeeded && report->refused++ == 0)
            snprintf(report->refusal, sizeof report->refusal, "%.300s: %s", answer_text(months, row, "leaf"), err->text);
        if (succeeded)
            error_clear(err);
    }
    PQclear(months);
    return succeeded || error_wrap(err, "building the index of internal events");
}

void month_indexes_print(const struct month_indexes_report *report)
{
    if (report->refused == 0)
        return;
    fprintf(stderr,
            "tallymill migrate: %d months have no index for internal events, which costs their uniques a look at the whole month: ",
            report->refused);
    terminal_text(stderr, report->refusal);
    fputc('\n', stderr);
}
