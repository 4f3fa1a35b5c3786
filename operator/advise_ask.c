/* advise_ask.c - see advise_facts.h: asks a database for the facts.
 *
 * Everything is read in one snapshot, and what can take long has a time-out of its own: a fact that costs too much is unknown, and
 * said to be.
 */
#include "operator/advise_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "operator/advise_asking.h"
#include "operator/advise_queries.h"
#include "operator/answer.h"
#include "operator/snapshot.h"

extern const char advise_ground_sql[], advise_table_sql[], advise_count_sql[], advise_days_sql[], advise_daily_stats_sql[],
    advise_refresh_sql[], advise_refresh_statements_sql[], advise_note_sql[], advise_months_sql[], advise_indexes_sql[];

enum { COUNT_SECONDS = 60, QUERY_SECONDS = 30 };

#define SHORT_US (30 * CLOCK_SECOND_US)
#define OPEN_US  (10 * CLOCK_SECOND_US)

/* ask_... answer false only where the connection is gone or the memory: err is set. */
static bool ask_events(struct asking *asking, struct error *err)
{
    PGresult *table = snapshot_ask(asking->snapshot, advise_table_sql, err);
    if (!table) {
        return false;
    }
    const int64_t estimate = answer_int(table, 0, "events");
    const bool is_unknown = answer_bool(table, 0, "is_unknown");
    asking_set(asking, "bytes", json_integer(answer_int(table, 0, "bytes")));
    PQclear(table);
    PGresult *count = is_unknown || advise_is_near_edge(estimate)
                          ? asking_try(asking, "the exact count of events", advise_count_sql, NULL, COUNT_SECONDS, err)
                          : NULL;
    if (err->kind != ERROR_NONE) {
        return false;
    }
    asking_set(asking, "events", count ? json_integer(answer_int(count, 0, "events")) : is_unknown ? NULL : json_integer(estimate));
    asking_set(asking, "events_are_counted", json_boolean(count != NULL));
    PQclear(count);
    return true;
}

static bool ask_days(struct asking *asking, struct error *err)
{
    PGresult *days = asking_try(asking, "events a day", advise_days_sql, NULL, COUNT_SECONDS, err);
    asking_set(asking, "daily_events", days && PQntuples(days) == 1 ? json_integer(answer_int(days, 0, "daily_events")) : NULL);
    PQclear(days);
    return err->kind == ERROR_NONE;
}

static bool set_refresh(struct asking *asking, PGresult *refresh, const char *source)
{
    const bool is_known = refresh && !answer_is_null(refresh, 0, "refresh_ms");
    if (is_known) {
        asking_set(asking, "refresh_ms", json_real(strtod(answer_text(refresh, 0, "refresh_ms"), NULL)));
        asking_set(asking, "refresh_source", json_string(source));
    }
    PQclear(refresh);
    return is_known;
}

static bool ask_refresh(struct asking *asking, const char *names, struct error *err)
{
    if (advise_fact(asking->facts, "has_schema") == 1 &&
        set_refresh(asking, asking_try(asking, "refreshes", advise_refresh_sql, NULL, QUERY_SECONDS, err), "tallymill.refreshes")) {
        return true;
    }
    if (err->kind == ERROR_NONE && names) {
        set_refresh(asking, asking_try(asking, "refreshes", advise_refresh_statements_sql, names, QUERY_SECONDS, err),
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
        PGresult *kept = asking_try(asking, "analytics_daily_stats", advise_daily_stats_sql, NULL, QUERY_SECONDS, err);
        phase = kept && answer_bool(kept, 0, "is_kept") ? 3 : phase;
        PQclear(kept);
    }
    asking_set(asking, "phase_in_place", json_integer(phase));
    asking_set(asking, "months_attached", json_integer(answer_int(ground, 0, "months_attached")));
    return err->kind == ERROR_NONE;
}

static bool ask_months(struct asking *asking, struct error *err)
{
    char ahead[16], cold_before[CLOCK_DAY_BYTES];
    clock_format_day(cold_before, clock_day_of(settings_oldest_us(asking->settings, "archive.after", clock_wall_us())));
    snprintf(ahead, sizeof ahead, "%d", (int)settings_int(asking->settings, "aggregator.months_ahead"));
    if (advise_fact(asking->facts, "has_schema") != 1) {
        return true;
    }
    PGresult *months = snapshot_set(asking->snapshot, "months_ahead", ahead, err) &&
                               snapshot_set(asking->snapshot, "cold_before", cold_before, err)
                           ? snapshot_ask(asking->snapshot, advise_months_sql, err)
                           : NULL;
    if (!months) {
        return false;
    }
    asking_set(asking, "months_missing", json_loads(answer_text(months, 0, "months_missing"), 0, NULL));
    asking_set(asking, "cold_months", json_integer(answer_int(months, 0, "cold_months")));
    asking_set(asking, "cold_bytes", json_integer(answer_int(months, 0, "cold_bytes")));
    PQclear(months);
    return true;
}

static bool ask_indexes(struct asking *asking, struct error *err)
{
    json_t *statements = json_array();
    PGresult *indexes = asking_try(asking, "indexes", advise_indexes_sql, NULL, QUERY_SECONDS, err);
    if (indexes && PQntuples(indexes) > 0 && advise_fact(asking->facts, "has_schema") == 1) {
        json_array_append_new(statements, json_string("SET ROLE tallymill_admin"));
    }
    for (int row = 0; indexes && row < PQntuples(indexes); row++) {
        json_array_append_new(statements, json_string(answer_text(indexes, row, "statement")));
    }
    PQclear(indexes);
    asking_set(asking, "index_statements", statements);
    return err->kind == ERROR_NONE;
}

/* What the ground says, and whether there is anything to ask. */
static bool take_ground(struct asking *asking, const PGresult *ground, struct error *err)
{
    json_t *taken = answer_object(ground, 0);
    asking_set(asking, "taken_at", json_incref(json_object_get(taken, "taken_at")));
    json_decref(taken);
    asking_set(asking, "database", json_string(answer_text(ground, 0, "database")));
    asking_set(asking, "has_schema", json_boolean(answer_bool(ground, 0, "has_schema")));
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
    bool is_fine = take_ground(asking, ground, err) && ask_events(asking, err) && ask_days(asking, err) &&
                   ask_phase(asking, ground, err) && advise_queries_ask(asking, is_probe, statements, err) &&
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
        asking_set(&asking, "window_oldest", json_string(settings_written(settings, "window.oldest")));
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
