/* advise_ask.c - see advise_facts.h: asks a database for the facts.
 *
 * Everything is read in one snapshot, and what can take long has a time-out of its own: a fact that costs too much is unknown, and
 * said to be. Nothing is planned or run that somebody else wrote: planning alone runs what a query calls, with the rights of who
 * plans it. So of the slow queries of other logins the statement is shown that explains them.
 */
#include "operator/advise_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/snapshot.h"

extern const char advise_ground_sql[], advise_table_sql[], advise_count_sql[], advise_days_sql[], advise_daily_stats_sql[],
    advise_statements_sql[], advise_refresh_sql[], advise_refresh_statements_sql[], advise_runs_sql[], advise_note_sql[],
    advise_months_sql[], advise_indexes_sql[], advise_probe_kpi_sql[], advise_probe_funnel_sql[], advise_probe_breakdown_sql[],
    advise_probe_series_sql[];

enum { COUNT_SECONDS = 60, QUERY_SECONDS = 30, PROBE_TIMES = 5, PATTERNS = 4, SLOW_SHOWN = 3, STATEMENT_PARAMETERS_MAX = 100 };

static const double EDGE_MS = 2000;

#define SHORT_US (30 * CLOCK_SECOND_US)
#define OPEN_US  (10 * CLOCK_SECOND_US)

struct asking {
    struct snapshot *snapshot;
    const struct settings *settings;
    json_t *facts, *notes;
};

static void note(struct asking *asking, const char *what, const struct error *err)
{
    json_array_append_new(asking->notes, json_sprintf("%s: %s", what, err->text));
}

static bool order(struct asking *asking, const char *sql, struct error *err)
{
    PGresult *result = snapshot_ask(asking->snapshot, sql, err);
    PQclear(result);
    return result != NULL;
}

/* A question that may fail, or take too long: NULL and no error where it did, and a note says so. `names`: where unqualified names
 * are found, NULL as ever. */
static PGresult *try_to_ask(struct asking *asking, const char *what, const char *sql, const char *names, int seconds,
                            struct error *err)
{
    char limit[512];
    struct error failed = {0};
    snprintf(limit, sizeof limit,
             "SELECT set_config('statement_timeout', '%ds', true), set_config('search_path', '%s, pg_temp', true)", seconds,
             names ? names : "pg_catalog");
    if (!snapshot_mark(asking->snapshot, err)) {
        return NULL;
    }
    PGresult *result = order(asking, limit, &failed) ? snapshot_ask(asking->snapshot, sql, &failed) : NULL;
    if (!snapshot_back(asking->snapshot)) {
        PQclear(result);
        error_set(err, ERROR_RETRY, "the connection was lost while asking for %s", what);
        return NULL;
    }
    if (!result) {
        note(asking, what, &failed);
    }
    return result;
}

static void set(struct asking *asking, const char *name, json_t *value)
{
    json_object_set_new(asking->facts, name, value ? value : json_null());
}

/* ask_... answer false only where the connection is gone or the memory: err is set. */
static bool ask_events(struct asking *asking, struct error *err)
{
    PGresult *table = snapshot_ask(asking->snapshot, advise_table_sql, err);
    if (!table) {
        return false;
    }
    const int64_t estimate = answer_int(table, 0, "events");
    const bool is_unknown = answer_bool(table, 0, "is_unknown");
    set(asking, "bytes", json_integer(answer_int(table, 0, "bytes")));
    PQclear(table);
    PGresult *count = is_unknown || advise_is_near_edge(estimate)
                          ? try_to_ask(asking, "the exact count of events", advise_count_sql, NULL, COUNT_SECONDS, err)
                          : NULL;
    if (err->kind != ERROR_NONE) {
        return false;
    }
    set(asking, "events", json_integer(count ? answer_int(count, 0, "events") : estimate));
    set(asking, "events_are_counted", json_boolean(count != NULL));
    PQclear(count);
    return true;
}

static bool ask_days(struct asking *asking, struct error *err)
{
    PGresult *days = try_to_ask(asking, "events a day", advise_days_sql, NULL, COUNT_SECONDS, err);
    set(asking, "daily_events", days && PQntuples(days) == 1 ? json_integer(answer_int(days, 0, "daily_events")) : NULL);
    PQclear(days);
    return err->kind == ERROR_NONE;
}

/* The plan of a statement as text; NULL: there is none to be had. */
static json_t *explain(struct asking *asking, const char *sql, struct error *err)
{
    PGresult *plan = try_to_ask(asking, "a plan", sql, NULL, QUERY_SECONDS, err);
    json_t *lines = plan ? json_array() : NULL;
    for (int row = 0; plan && row < PQntuples(plan); row++) {
        json_array_append_new(lines, json_string(PQgetvalue(plan, row, 0)));
    }
    PQclear(plan);
    return lines;
}

/* A statement as pg_stat_statements keeps it has $1 where a constant stood: prepared, and planned with NULL for each. */
static char *explain_text(const char *query)
{
    char *text = NULL;
    size_t length;
    long parameters = 0;
    for (const char *at = query; (at = strchr(at, '$')) != NULL; at++) {
        const long number = strtol(at + 1, NULL, 10);
        parameters = number > parameters ? number : parameters;
    }
    FILE *out = parameters <= STATEMENT_PARAMETERS_MAX ? open_memstream(&text, &length) : NULL;
    if (!out) {
        return NULL;
    }
    fprintf(out,
            "SET LOCAL plan_cache_mode = force_generic_plan; DEALLOCATE ALL; PREPARE tallymill_advise AS %s; EXPLAIN EXECUTE "
            "tallymill_advise",
            query);
    for (long i = 0; i < parameters; i++) {
        fputs(i == 0 ? "(NULL" : ", NULL", out);
    }
    fputs(parameters > 0 ? ")" : "", out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static bool add_statement(struct asking *asking, const PGresult *statements, int row, json_t *slow, struct error *err)
{
    const char *query = answer_text(statements, row, "query");
    const bool is_own = answer_bool(statements, row, "is_own");
    char *explained = is_own && !strchr(query, ';') ? explain_text(answer_text(statements, row, "named_query")) : NULL;
    json_t *plan = explained ? explain(asking, explained, err) : NULL;
    free(explained);
    json_array_append_new(slow, json_pack("{s:s, s:s, s:I, s:f, s:f, s:o}", "query", query, "login",
                                          answer_text(statements, row, "login"), "calls",
                                          (json_int_t)answer_int(statements, row, "calls"), "mean_ms",
                                          strtod(answer_text(statements, row, "mean_ms"), NULL), "p95_ms",
                                          strtod(answer_text(statements, row, "p95_ms"), NULL), "plan", plan ? plan : json_null()));
    return err->kind == ERROR_NONE;
}

static bool ask_statements(struct asking *asking, const char *names, struct error *err)
{
    json_t *slow = json_array();
    PGresult *statements = try_to_ask(asking, "pg_stat_statements", advise_statements_sql, names, QUERY_SECONDS, err);
    bool is_fine = err->kind == ERROR_NONE;
    for (int row = 0; statements && is_fine && row < PQntuples(statements); row++) {
        is_fine = add_statement(asking, statements, row, slow, err);
    }
    if (statements && PQntuples(statements) > 0) {
        set(asking, "query_p95_ms", json_real(strtod(answer_text(statements, 0, "p95_ms"), NULL)));
        set(asking, "query_source", json_string("pg_stat_statements"));
    }
    set(asking, "slow_queries", slow);
    PQclear(statements);
    return is_fine;
}

/* One of the plan's patterns on the raw rows. */
struct pattern {
    const char *name, *sql;
    double slowest_ms, fastest_ms;
};

static bool run_pattern(struct asking *asking, struct pattern *pattern, struct error *err)
{
    for (int i = 0; i < PROBE_TIMES; i++) {
        const int64_t began_us = clock_now_us();
        PGresult *rows = try_to_ask(asking, pattern->name, pattern->sql, NULL, QUERY_SECONDS, err);
        const double ms = (double)(clock_now_us() - began_us) / 1000;
        const bool is_done = rows != NULL;
        PQclear(rows);
        if (err->kind != ERROR_NONE) {
            return false;
        }
        pattern->slowest_ms = ms > pattern->slowest_ms ? ms : pattern->slowest_ms;
        pattern->fastest_ms = i == 0 || ms < pattern->fastest_ms ? ms : pattern->fastest_ms;
        if (!is_done) { /* it took all of its time; four more times would say no more */
            return true;
        }
    }
    return true;
}

static int by_slowest(const void *one, const void *other)
{
    const double a = ((const struct pattern *)one)->slowest_ms, b = ((const struct pattern *)other)->slowest_ms;
    return (a < b) - (a > b);
}

static bool add_pattern(struct asking *asking, const struct pattern *pattern, json_t *slow, struct error *err)
{
    char *explained = NULL;
    if (asprintf(&explained, "EXPLAIN (ANALYZE, BUFFERS) %s", pattern->sql) < 0) {
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    json_t *plan = explain(asking, explained, err);
    free(explained);
    json_array_append_new(slow, json_pack("{s:s, s:s, s:i, s:f, s:o}", "query", pattern->sql, "pattern", pattern->name, "calls",
                                          PROBE_TIMES, "p95_ms", pattern->slowest_ms, "plan", plan ? plan : json_null()));
    return err->kind == ERROR_NONE;
}

/* Of five times the slowest stands for the p95. */
static bool probe(struct asking *asking, struct error *err)
{
    struct pattern patterns[PATTERNS] = {{"30 days of KPIs", advise_probe_kpi_sql, 0, 0},
                                         {"30 days of funnel", advise_probe_funnel_sql, 0, 0},
                                         {"30 days of a breakdown", advise_probe_breakdown_sql, 0, 0},
                                         {"90 days of counts", advise_probe_series_sql, 0, 0}};
    json_t *slow = json_array();
    bool is_fine = true;
    for (int i = 0; i < PATTERNS && is_fine; i++) {
        is_fine = run_pattern(asking, &patterns[i], err);
    }
    qsort(patterns, PATTERNS, sizeof patterns[0], by_slowest);
    for (int i = 0; i < SLOW_SHOWN && is_fine; i++) {
        is_fine = add_pattern(asking, &patterns[i], slow, err);
    }
    set(asking, "query_p95_ms", json_real(patterns[0].slowest_ms));
    set(asking, "query_source", json_string("probe"));
    set(asking, "query_runs", json_integer(1));
    set(asking, "query_is_consistent", json_boolean(patterns[0].fastest_ms > EDGE_MS));
    set(asking, "slow_queries", slow);
    return is_fine;
}

/* "Consistently": this run and the two before say so. One that is not slow settles it at once. */
static bool ask_runs(struct asking *asking, struct error *err)
{
    const double now_ms = advise_fact_ms(asking->facts, "query_p95_ms");
    if (now_ms < 0 || strcmp(advise_fact_text(asking->facts, "query_source"), "probe") == 0) {
        return true;
    }
    PGresult *runs = advise_fact(asking->facts, "has_schema") == 1
                         ? try_to_ask(asking, "earlier runs", advise_runs_sql, NULL, QUERY_SECONDS, err)
                         : NULL;
    const int before = runs ? PQntuples(runs) : 0;
    int slow = now_ms > EDGE_MS;
    for (int row = 0; row < before; row++) {
        slow += (double)answer_int(runs, row, "query_p95_us") / 1000 > EDGE_MS;
    }
    PQclear(runs);
    set(asking, "query_runs", json_integer(before + 1));
    set(asking, "query_is_consistent", slow <= before ? json_false() : before < 2 ? NULL : json_true());
    return err->kind == ERROR_NONE;
}

static bool set_refresh(struct asking *asking, PGresult *refresh, const char *source)
{
    const bool is_known = refresh && !answer_is_null(refresh, 0, "refresh_ms");
    if (is_known) {
        set(asking, "refresh_ms", json_real(strtod(answer_text(refresh, 0, "refresh_ms"), NULL)));
        set(asking, "refresh_source", json_string(source));
    }
    PQclear(refresh);
    return is_known;
}

static bool ask_refresh(struct asking *asking, const char *names, struct error *err)
{
    if (advise_fact(asking->facts, "has_schema") == 1 &&
        set_refresh(asking, try_to_ask(asking, "refreshes", advise_refresh_sql, NULL, QUERY_SECONDS, err), "tallymill.refreshes")) {
        return true;
    }
    if (err->kind == ERROR_NONE && names) {
        set_refresh(asking, try_to_ask(asking, "refreshes", advise_refresh_statements_sql, names, QUERY_SECONDS, err),
                    "pg_stat_statements");
    }
    return err->kind == ERROR_NONE;
}

/* The phase that is in place: by the table, by statistics that are kept, by a materialized view. */
static bool ask_phase(struct asking *asking, const PGresult *ground, struct error *err)
{
    int phase = answer_int(ground, 0, "materialized_views") > 0 ? 2 : 1;
    if (answer_text(ground, 0, "events_kind")[0] == 'p') {
        phase = 4;
    } else if (answer_bool(ground, 0, "may_read_daily_stats")) {
        PGresult *kept = try_to_ask(asking, "analytics_daily_stats", advise_daily_stats_sql, NULL, QUERY_SECONDS, err);
        phase = kept && answer_bool(kept, 0, "is_kept") ? 3 : phase;
        PQclear(kept);
    }
    set(asking, "phase_in_place", json_integer(phase));
    set(asking, "months_attached", json_integer(answer_int(ground, 0, "months_attached")));
    return err->kind == ERROR_NONE;
}

static bool ask_months(struct asking *asking, struct error *err)
{
    char ahead[16];
    snprintf(ahead, sizeof ahead, "%d", (int)settings_int(asking->settings, "aggregator.months_ahead"));
    if (advise_fact(asking->facts, "has_schema") != 1) {
        return true;
    }
    PGresult *months =
        snapshot_set(asking->snapshot, "months_ahead", ahead, err) ? snapshot_ask(asking->snapshot, advise_months_sql, err) : NULL;
    if (!months) {
        return false;
    }
    set(asking, "months_missing", json_loads(answer_text(months, 0, "months_missing"), 0, NULL));
    set(asking, "cold_months", json_integer(answer_int(months, 0, "cold_months")));
    set(asking, "cold_bytes", json_integer(answer_int(months, 0, "cold_bytes")));
    PQclear(months);
    return true;
}

static bool ask_indexes(struct asking *asking, struct error *err)
{
    json_t *statements = json_array();
    PGresult *indexes = try_to_ask(asking, "indexes", advise_indexes_sql, NULL, QUERY_SECONDS, err);
    if (indexes && PQntuples(indexes) > 0 && advise_fact(asking->facts, "has_schema") == 1) {
        json_array_append_new(statements, json_string("SET ROLE tallymill_admin"));
    }
    for (int row = 0; indexes && row < PQntuples(indexes); row++) {
        json_array_append_new(statements, json_string(answer_text(indexes, row, "statement")));
    }
    PQclear(indexes);
    set(asking, "index_statements", statements);
    return err->kind == ERROR_NONE;
}

/* What the ground says, and whether there is anything to ask. */
static bool take_ground(struct asking *asking, const PGresult *ground, struct error *err)
{
    json_t *taken = answer_object(ground, 0);
    set(asking, "taken_at", json_incref(json_object_get(taken, "taken_at")));
    json_decref(taken);
    set(asking, "database", json_string(answer_text(ground, 0, "database")));
    set(asking, "has_schema", json_boolean(answer_bool(ground, 0, "has_schema")));
    if (answer_is_null(ground, 0, "events_kind")) {
        return error_set(err, ERROR_USAGE, "database %s has no table public.analytics_events: tallymill migrate makes it",
                         answer_text(ground, 0, "database"));
    }
    if (!answer_bool(ground, 0, "may_read")) {
        return error_set(err, ERROR_USAGE,
                         "this login may not read public.analytics_events: GRANT SELECT ON public.analytics_events to it");
    }
    return answer_is_null(ground, 0, "missing_columns") ||
           error_set(err, ERROR_USAGE, "public.analytics_events is not the plan's table: it has no column %s",
                     answer_text(ground, 0, "missing_columns"));
}

static bool ask_all(struct asking *asking, bool is_probe, struct error *err)
{
    PGresult *ground = snapshot_ask(asking->snapshot, advise_ground_sql, err);
    if (!ground) {
        return false;
    }
    char names[256];
    const bool has_statements = !answer_is_null(ground, 0, "statements_schema");
    snprintf(names, sizeof names, "pg_catalog, %s", answer_text(ground, 0, "statements_schema"));
    const char *statements = has_statements && !strchr(names, '\'') ? names : NULL;
    bool is_fine =
        take_ground(asking, ground, err) && ask_events(asking, err) && ask_days(asking, err) && ask_phase(asking, ground, err) &&
        (is_probe ? probe(asking, err) : !statements || ask_statements(asking, statements, err)) && ask_runs(asking, err) &&
        ask_refresh(asking, statements, err) && ask_months(asking, err) && ask_indexes(asking, err);
    PQclear(ground);
    return is_fine;
}

json_t *advise_facts_ask(const struct settings *settings, bool is_probe, struct error *err)
{
    struct asking asking = {.settings = settings, .facts = advise_facts_new(), .notes = json_array()};
    bool is_asked = asking.facts && asking.notes && (asking.snapshot = snapshot_open_any(settings, "tallymill advise", err)) &&
                    ask_all(&asking, is_probe, err);
    snapshot_close(asking.snapshot);
    if (is_asked) {
        set(&asking, "window_oldest", json_string(settings_written(settings, "window.oldest")));
        json_object_set(asking.facts, "notes", asking.notes);
    } else if (err->kind == ERROR_NONE) {
        error_set(err, ERROR_RETRY, "out of memory");
    }
    json_decref(asking.notes);
    if (!is_asked) {
        json_decref(asking.facts);
        return NULL;
    }
    return asking.facts;
}

bool advise_facts_check(const struct settings *settings, bool *has_schema, struct error *err)
{
    struct asking asking = {.settings = settings, .facts = advise_facts_new()};
    PGresult *ground = NULL;
    asking.snapshot = asking.facts ? snapshot_open_any(settings, "tallymill advise", err) : NULL;
    const bool is_fine =
        asking.snapshot && (ground = snapshot_ask(asking.snapshot, advise_ground_sql, err)) && take_ground(&asking, ground, err);
    *has_schema = ground && answer_bool(ground, 0, "has_schema");
    PQclear(ground);
    snapshot_close(asking.snapshot);
    json_decref(asking.facts);
    return is_fine;
}

bool advise_facts_keep(const struct settings *settings, const json_t *facts, struct error *err)
{
    char p95_us[32];
    const double p95_ms = advise_fact_ms(facts, "query_p95_ms");
    if (p95_ms < 0 || advise_fact(facts, "has_schema") != 1) {
        return false;
    }
    snprintf(p95_us, sizeof p95_us, "%.0f", p95_ms * 1000);
    const char *const values[] = {p95_us, advise_fact_text(facts, "query_source")};
    PGconn *conn = postgres_open(settings_text(settings, "postgres.dsn"), "tallymill advise", OPEN_US, err);
    PGresult *kept = conn ? postgres_query_params(conn, advise_note_sql, 2, values, SHORT_US, err) : NULL;
    const bool is_kept = kept != NULL;
    PQclear(kept);
    PQfinish(conn);
    if (!is_kept && (postgres_is(err, POSTGRES_NO_RIGHT) || postgres_is(err, POSTGRES_READ_ONLY))) {
        error_clear(err);
    }
    return is_kept;
}
