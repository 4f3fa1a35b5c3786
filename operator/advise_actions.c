/* advise_actions.c - see advise_actions.h: what is left to do, by the phase that is in place and the one that the rules name. */
#include "operator/advise_actions.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

#include "operator/advise_facts.h"

enum { IN_PLACE = 4, MONITORED_EVENTS = 100000 };

static const int64_t EXTERNAL_EVENTS = 10000000;

/* The plan's Phase 2 and 3, word for word but for what is not needed twice. */
static const char plan_view[] =
    "CREATE MATERIALIZED VIEW analytics_daily_rollup AS SELECT DATE(created_at) as date, event_name, COUNT(*) as event_count, "
    "COUNT(DISTINCT session_id) as unique_sessions, "
    "COUNT(DISTINCT user_id) as unique_users FROM analytics_events WHERE is_internal = FALSE GROUP BY DATE(created_at), event_name";
static const char plan_view_key[] = "CREATE UNIQUE INDEX ON analytics_daily_rollup (date, event_name)";
static const char plan_refresh[] = "REFRESH MATERIALIZED VIEW CONCURRENTLY analytics_daily_rollup";
static const char plan_stats[] =
    "CREATE TABLE analytics_daily_stats (date DATE NOT NULL, event_name VARCHAR(100) NOT NULL, event_count INTEGER NOT NULL "
    "DEFAULT 0, unique_sessions INTEGER NOT NULL DEFAULT 0, "
    "unique_users INTEGER NOT NULL DEFAULT 0, created_at TIMESTAMPTZ DEFAULT NOW(), PRIMARY KEY (date, event_name))";

/* sql, commands: arrays, or NULL where there is none. */
static void add(json_t *actions, const char *what, json_t *reason, json_t *sql, json_t *commands)
{
    json_array_append_new(actions, json_pack("{s:s, s:o, s:o, s:o}", "what", what, "reason", reason, "sql",
                                             sql ? sql : json_array(), "commands", commands ? commands : json_array()));
}

static void add_phase(json_t *actions, int phase)
{
    if (phase == 2) {
        add(actions, "add the plan's materialized view, and refresh it hourly or nightly",
            json_string("Phase 2: the same figures are asked for again and again"),
            json_pack("[s, s, s]", plan_view, plan_view_key, plan_refresh), NULL);
    } else if (phase == 3) {
        add(actions, "keep statistics in tables instead of computing them from raw events",
            json_string("Phase 3: refreshes cost a scan of all events each time"), json_pack("[s]", plan_stats), NULL);
    }
    if (phase >= 3) {
        add(actions, "have Tallymill keep the statistics and the months of the table",
            json_string("what Phase 3 and 4 ask for is kept as events come, late ones included"), NULL,
            json_pack("[s, s, s]", "tallymill adopt --config FILE --plan", "tallymill adopt --config FILE",
                      "tallymill migrate --config FILE"));
    }
}

static void add_months(json_t *actions, const json_t *facts)
{
    const json_t *missing = json_object_get(facts, "months_missing");
    const int64_t cold = advise_fact(facts, "cold_months"), cold_bytes = advise_fact(facts, "cold_bytes");
    if (json_array_size(missing) > 0) {
        add(actions, "make the months ahead",
            json_sprintf("%zu of them are missing, %s the first: events of a month without a table wait", json_array_size(missing),
                         json_string_value(json_array_get(missing, 0))),
            NULL, json_pack("[s]", "tallymill migrate --config FILE"));
    }
    if (cold > 0) {
        add(actions, "archive the cold months",
            json_sprintf("%" PRId64 " months ended longer ago than archive.after says, %.1f GB; window.oldest (%s) says from when "
                         "on events are still accepted: a month that it takes in must stay",
                         cold, (double)(cold_bytes > 0 ? cold_bytes : 0) / (double)(INT64_C(1) << 30),
                         advise_fact_text(facts, "window_oldest")),
            NULL, json_pack("[s]", "tallymill archive --config FILE --due"));
    }
}

static void add_indexes(json_t *actions, const json_t *facts)
{
    json_t *statements = json_object_get(facts, "index_statements");
    if (json_array_size(statements) > 0) {
        add(actions, "make the indexes with created_at DESC ascending",
            json_string(
                "events that come in the order of their times then lie at the end of each index: COPY of such was measured 8 to "
                "15 % cheaper, two of them 40 to 45 % smaller; of events in any order nothing was gained. An index is read "
                "backwards as fast. "
                "Outside of a transaction, one after the other; writers and readers go on. If one fails, drop what it left "
                "and run it again"),
            json_incref(statements), NULL);
    }
}

json_t *advise_actions(const json_t *facts, int phase)
{
    json_t *actions = json_array();
    const bool is_partitioned = advise_fact(facts, "phase_in_place") >= IN_PLACE;
    const int64_t events = advise_fact(facts, "events");
    if (advise_fact_ms(facts, "query_p95_ms") < 0) {
        add(actions, "find out how long dashboard queries take",
            json_string(
                "--probe runs the plan's four patterns; pg_stat_statements, where the server loads it, sees the dashboard's own"),
            json_pack("[s]", "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"),
            json_pack("[s]", "tallymill advise --config FILE --probe"));
    }
    if (!is_partitioned && phase > advise_fact(facts, "phase_in_place")) {
        add_phase(actions, phase);
    }
    if (events >= MONITORED_EVENTS && !is_partitioned && phase == 1) {
        add(actions, "watch it", json_string("from 100K events on the plan wants monitoring"), NULL,
            json_pack("[s]", "tallymill advise --config FILE --alert"));
    }
    add_months(actions, facts);
    add_indexes(actions, facts);
    if (events >= EXTERNAL_EVENTS) {
        add(actions, "take deep questions to external tools",
            json_string("10M+ events: the plan's Phase 5 (CSV export, BigQuery, Snowflake, Metabase, Amplitude)"), NULL, NULL);
    }
    return actions;
}
