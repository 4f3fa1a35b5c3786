/* advise_queries.c - see advise_queries.h.
 *
 * Nothing is planned or run that somebody else wrote: planning alone runs what a query calls, with the rights of who plans it. So
 * of the slow queries of other logins the statement is shown that explains them.
 */
#include "operator/advise_queries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "operator/advise_asking.h"
#include "operator/advise_facts.h"
#include "operator/answer.h"

extern const char advise_statements_sql[], advise_runs_sql[], advise_probe_kpi_sql[], advise_probe_funnel_sql[],
    advise_probe_breakdown_sql[], advise_probe_series_sql[];

enum { QUERY_SECONDS = 30, PROBE_TIMES = 5, PATTERNS = 4, SLOW_SHOWN = 3, STATEMENT_PARAMETERS_MAX = 100 };

static const double EDGE_MS = 2000;

/* The plan of a statement as text; NULL: there is none to be had. */
static json_t *explain(struct asking *asking, const char *sql, struct error *err)
{
    PGresult *plan = asking_try(asking, "a plan", sql, NULL, QUERY_SECONDS, err);
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
    PGresult *statements = asking_try(asking, "pg_stat_statements", advise_statements_sql, names, QUERY_SECONDS, err);
    bool is_fine = err->kind == ERROR_NONE;
    for (int row = 0; statements && is_fine && row < PQntuples(statements); row++) {
        is_fine = add_statement(asking, statements, row, slow, err);
    }
    if (statements && PQntuples(statements) > 0) {
        asking_set(asking, "query_p95_ms", json_real(strtod(answer_text(statements, 0, "p95_ms"), NULL)));
        asking_set(asking, "query_source", json_string("pg_stat_statements"));
    }
    asking_set(asking, "slow_queries", slow);
    PQclear(statements);
    return is_fine;
}

/* One of the plan's patterns on the raw rows. */
struct pattern {
    const char *name, *sql;
    double slowest_ms, fastest_ms; /* -1: it failed, and nothing is known of it */
};

static bool run_pattern(struct asking *asking, struct pattern *pattern, struct error *err)
{
    for (int i = 0; i < PROBE_TIMES; i++) {
        const int64_t began_us = clock_now_us();
        PGresult *rows = asking_try(asking, pattern->name, pattern->sql, NULL, QUERY_SECONDS, err);
        const double ms = (double)(clock_now_us() - began_us) / 1000;
        const bool is_done = rows != NULL;
        PQclear(rows);
        if (err->kind != ERROR_NONE) {
            return false;
        }
        if (!is_done && !asking->has_timed_out) {
            pattern->slowest_ms = pattern->fastest_ms = -1;
            return true;
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

/* What the slowest pattern says. One that failed may have been slower: then only that they are slow is known. */
static void set_slowest(struct asking *asking, const struct pattern *slowest, bool has_failed)
{
    if (has_failed && slowest->slowest_ms <= EDGE_MS) {
        return;
    }
    asking_set(asking, "query_p95_ms", json_real(slowest->slowest_ms));
    asking_set(asking, "query_source", json_string("probe"));
    asking_set(asking, "query_runs", json_integer(1));
    asking_set(asking, "query_is_consistent", json_boolean(slowest->fastest_ms > EDGE_MS));
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
    for (int i = 0; i < SLOW_SHOWN && is_fine && patterns[i].slowest_ms >= 0; i++) {
        is_fine = add_pattern(asking, &patterns[i], slow, err);
    }
    set_slowest(asking, &patterns[0], patterns[PATTERNS - 1].slowest_ms < 0);
    asking_set(asking, "slow_queries", slow);
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
                         ? asking_try(asking, "earlier runs", advise_runs_sql, NULL, QUERY_SECONDS, err)
                         : NULL;
    const int before = runs ? PQntuples(runs) : 0;
    int slow = now_ms > EDGE_MS;
    for (int row = 0; row < before; row++) {
        slow += (double)answer_int(runs, row, "query_p95_us") / 1000 > EDGE_MS;
    }
    PQclear(runs);
    asking_set(asking, "query_runs", json_integer(before + 1));
    asking_set(asking, "query_is_consistent", slow <= before ? json_false() : before < 2 ? NULL : json_true());
    return err->kind == ERROR_NONE;
}

bool advise_queries_ask(struct asking *asking, bool is_probe, const char *names, struct error *err)
{
    return (is_probe ? probe(asking, err) : !names || ask_statements(asking, names, err)) && ask_runs(asking, err);
}
