/* refresh.c - `tallymill refresh`: the materialized views of the plan's Phase 2, refreshed beside their readers.
 *
 * tallymill.refresh_view() does it and notes the time it took, whoever calls: this command, or the aggregator by views.refresh.
 * The views are refreshed one after the other, each in its own transaction: one that fails (a view that was dropped, a lock) is
 * named, and the others are refreshed all the same.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/command.h"
#include "operator/ground.h"
#include "operator/terminal.h"

#define OPEN_US    (10 * CLOCK_SECOND_US)
#define SHORT_US   (30 * CLOCK_SECOND_US)
#define REFRESH_US (12 * 3600 * CLOCK_SECOND_US)

static const char *const views[] = {"daily", "funnel", "conversion", "performance"};
enum { VIEWS = sizeof views / sizeof views[0] };

static bool refresh(PGconn *conn, const char *view, bool as_json, json_t *json, struct error *err)
{
    const char *const values[] = {view};
    PGresult *result =
        postgres_query_params(conn, "SELECT tallymill.refresh_view('analytics_view_' || $1)", 1, values, REFRESH_US, err);
    if (!result) {
        return error_wrap(err, "refreshing analytics_view_%s", view);
    }
    int64_t took_us = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    if (as_json) {
        json_array_append_new(json, json_pack("{s:s+, s:I}", "view", "analytics_view_", view, "took_us", (json_int_t)took_us));
    } else {
        printf("analytics_view_%-12s refreshed in %" PRId64 " ms\n", view, took_us / 1000);
    }
    return true;
}

static bool is_wanted(const char *view, const struct cli_result *result)
{
    for (int i = 0; i < result->argument_count; i++) {
        if (strcmp(result->arguments[i], view) == 0) {
            return true;
        }
    }
    return result->argument_count == 0;
}

/* Every word is a view. */
static bool check_words(const struct cli_result *result, struct error *err)
{
    for (int i = 0; i < result->argument_count; i++) {
        bool is_known = false;
        for (int v = 0; v < VIEWS; v++) {
            is_known = is_known || strcmp(result->arguments[i], views[v]) == 0;
        }
        if (!is_known) {
            return error_set(err, ERROR_USAGE, "%s: there are the views daily, funnel, conversion and performance",
                             result->arguments[i]);
        }
    }
    return true;
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    const bool as_json = *(const bool *)context;
    int exit_code = 0;
    PGconn *conn = NULL;
    if (command->check) {
        return check_words(command, err) ? ground_check(command->settings, &(struct ground){.program = "tallymill refresh",
                                                                                            .role = "tallymill_aggregate"})
                                         : 0;
    }
    json_t *json = json_array();
    bool succeeded = check_words(command, err) &&
                     (conn = postgres_open(settings_text(command->settings, "postgres.dsn"), "tallymill refresh", OPEN_US, err)) &&
                     postgres_check_schema(conn, err);
    for (int v = 0; v < VIEWS && succeeded; v++) {
        struct error failed = {.kind = ERROR_NONE};
        if (!is_wanted(views[v], command) || refresh(conn, views[v], as_json, json, &failed)) {
            continue;
        }
        succeeded = PQstatus(conn) == CONNECTION_OK && PQtransactionStatus(conn) == PQTRANS_IDLE;
        if (!succeeded || failed.kind == ERROR_USAGE) {
            *err = failed;
            succeeded = false;
            break;
        }
        exit_code = 1;
        fputs("tallymill refresh: ", stderr);
        terminal_text(stderr, failed.text);
        fputc('\n', stderr);
    }
    if (as_json && !answer_print(json)) {
        exit_code = 1;
    }
    json_decref(json);
    PQfinish(conn);
    return exit_code;
}

static const struct cli refresh_cli = {
    .program = "tallymill refresh",
    .usage = "[OPTION ...] [daily] [funnel] [conversion] [performance]",
    .summary = "Refreshes the materialized views analytics_view_* beside their readers; all of them unless told which.\n"
               "The time each takes is kept in tallymill.refreshes. The tables that the aggregator keeps need no refresh.\n"
               "Needs a login with tallymill_aggregate.\n",
    .examples = "  tallymill refresh --config settings.ini\n  tallymill refresh --config settings.ini funnel\n",
    .programs = FOR_OPERATOR,
};

int refresh_run(int argc, char **argv)
{
    bool as_json = false;
    const struct cli_option options[] = {
        {.name = "json", .help = "answer with one JSON array", .flag = &as_json},
        {.name = NULL},
    };
    struct cli cli = refresh_cli;
    cli.options = options;
    return command_work(&cli, argc, argv, work, &as_json);
}
