/* advise_rules.c - see advise_rules.h.
 *
 * Exactly the plan's: its decision matrix, volume table, triggers and alert thresholds. Where it says "< 500K", 500,000 is not
 * less; where it says "> 2s", 2.000 s is not more. What is not known fires nothing and is shown as unknown: a monitor that takes
 * silence for health would be worse than none.
 */
#include "operator/advise_rules.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "operator/advise_actions.h"
#include "operator/advise_facts.h"

#define GB (INT64_C(1) << 30) /* as pg_size_pretty() prints it */

enum { RAW_EVENTS = 500000, VIEWS_EVENTS = 2000000, ROLLUPS_EVENTS = 10000000, DAILY_EVENTS = 10000 };

static const double QUERY_MS = 2000, REFRESH_MS = 5 * 60 * 1000;

static const struct {
    int64_t below;
    const char *volume, *approach;
} volumes[] = {
    {100000, "< 100K", "Raw queries"},
    {RAW_EVENTS, "100K - 500K", "Raw queries + monitoring"},
    {VIEWS_EVENTS, "500K - 2M", "Add materialized views"},
    {ROLLUPS_EVENTS, "2M - 10M", "Pre-aggregated rollups"},
    {INT64_MAX, "10M+", "Partitioning + external tools"},
};

static const char *const phase_names[] = {NULL, "Raw queries (Phase 1)", "Materialized views (Phase 2)",
                                          "Pre-aggregated tables (Phase 3)", "Partitioning (Phase 4) + external tools"};

/* 1 yes, 0 no, -1 not known. */
static json_t *answer_of(int fired)
{
    return fired < 0 ? json_null() : json_boolean(fired);
}

static int more_than(double value, double edge)
{
    return value < 0 ? -1 : value > edge;
}

/* The matrix behind its second question, for queries that are not fast; the last phase, where nobody knows how many events there
 * are. */
static int phase_of_slow(int64_t events)
{
    if (events < 0) {
        return 4;
    }
    return events < VIEWS_EVENTS ? 2 : events < ROLLUPS_EVENTS ? 3 : 4;
}

/* 0: it hangs on what is not known. */
static int matrix_phase(const json_t *facts)
{
    const int64_t events = advise_fact(facts, "events");
    const double p95_ms = advise_fact_ms(facts, "query_p95_ms");
    if ((events >= 0 && events < RAW_EVENTS) || (p95_ms >= 0 && p95_ms < QUERY_MS)) {
        return 1;
    }
    return events < 0 || p95_ms < 0 ? 0 : phase_of_slow(events);
}

static json_t *matrix(const json_t *facts)
{
    const int64_t events = advise_fact(facts, "events");
    const int phase = matrix_phase(facts);
    if (phase == 0 && events < 0) {
        return json_pack("{s:n, s:s}", "phase", "answer", "it is not known how many events there are");
    }
    if (phase == 0) {
        return json_pack("{s:n, s:s, s:i, s:i}", "phase", "answer", "it is not known how long dashboard queries take",
                         "if_under_2_s", 1, "otherwise", phase_of_slow(events));
    }
    return json_pack("{s:i, s:s}", "phase", phase, "answer",
                     phase == 1 && events >= RAW_EVENTS ? "Stay with raw queries" : phase_names[phase]);
}

static json_t *volume(const json_t *facts)
{
    const int64_t events = advise_fact(facts, "events");
    size_t row = 0;
    while (row + 1 < sizeof volumes / sizeof volumes[0] && events >= volumes[row].below) {
        row++;
    }
    if (events < 0) {
        return json_pack("{s:n, s:s}", "events", "approach", "unknown");
    }
    return json_pack("{s:s, s:s}", "events", volumes[row].volume, "approach", volumes[row].approach);
}

/* "> 2 s consistently": not, where it is not more; and not known, where too few runs say so. */
static int is_slow_consistently(const json_t *facts)
{
    const int is_slow = more_than(advise_fact_ms(facts, "query_p95_ms"), QUERY_MS);
    const int is_consistent = (int)advise_fact(facts, "query_is_consistent");
    return is_slow == 1 ? is_consistent : is_slow == 0 ? 0 : -1;
}

static int is_larger(const json_t *facts, int64_t edge)
{
    const int64_t bytes = advise_fact(facts, "bytes");
    return bytes < 0 ? -1 : bytes > edge;
}

static void add_trigger(json_t *triggers, int to, const char *rule, int fired)
{
    json_array_append_new(triggers,
                          json_pack("{s:i, s:i, s:s, s:o}", "from", to - 1, "to", to, "rule", rule, "fired", answer_of(fired)));
}

static json_t *triggers(const json_t *facts)
{
    json_t *all = json_array();
    add_trigger(all, 2, "queries > 2s consistently: add materialized views", is_slow_consistently(facts));
    add_trigger(all, 3, "refresh time > 5 min: switch to pre-aggregated tables",
                more_than(advise_fact_ms(facts, "refresh_ms"), REFRESH_MS));
    add_trigger(all, 4, "table > 10GB: implement partitioning", is_larger(facts, 10 * GB));
    return all;
}

static int fired_phase(const json_t *all)
{
    int phase = 0;
    size_t i;
    json_t *trigger;
    json_array_foreach(all, i, trigger) {
        if (json_is_true(json_object_get(trigger, "fired"))) {
            phase = (int)json_integer_value(json_object_get(trigger, "to"));
        }
    }
    return phase;
}

static void add_alert(json_t *alerts, const char *name, const char *rule, const char *advice, int fired)
{
    json_array_append_new(
        alerts, json_pack("{s:s, s:s, s:s, s:o}", "alert", name, "rule", rule, "advice", advice, "fired", answer_of(fired)));
}

static json_t *alerts(const json_t *facts)
{
    json_t *all = json_array();
    const bool is_partitioned = advise_fact(facts, "phase_in_place") == 4;
    const int64_t daily = advise_fact(facts, "daily_events");
    add_alert(all, "table_over_1_gb", "Table size > 1GB",
              is_partitioned ? "it is partitioned: see that cold months leave" : "Consider optimization", is_larger(facts, GB));
    add_alert(all, "query_over_2_s", "Query p95 > 2s",
              is_partitioned ? "ask the kept tables (analytics_daily_stats, the rollups) instead of raw events"
                             : "Add materialized views",
              more_than(advise_fact_ms(facts, "query_p95_ms"), QUERY_MS));
    add_alert(all, "daily_over_10k", "Daily events > 10K",
              is_partitioned ? "Phase 2 is behind you: statistics are kept as events come" : "Plan for Phase 2",
              daily < 0 ? -1 : daily > DAILY_EVENTS);
    add_alert(all, "table_over_10_gb", "Table size > 10GB",
              is_partitioned ? "it is partitioned: see that cold months leave" : "Plan for partitioning",
              is_larger(facts, 10 * GB));
    return all;
}

static void add_edge(json_t *edges, const char *name, double now, double edge, double pace)
{
    if (now >= 0 && now < edge && pace > 0) {
        const double days = ceil((edge - now) / pace);
        json_array_append_new(edges, json_pack("{s:s, s:I}", "edge", name, "days", (json_int_t)(days < 1e9 ? days : 1e9)));
    }
}

/* Days at the pace of today. */
static json_t *edges(const json_t *facts)
{
    json_t *all = json_array();
    const double events = (double)advise_fact(facts, "events"), bytes = (double)advise_fact(facts, "bytes"),
                 daily = (double)advise_fact(facts, "daily_events");
    const double daily_bytes = events > 0 && bytes > 0 ? daily * bytes / events : 0;
    add_edge(all, "100K events", events, 100000, daily);
    add_edge(all, "500K events", events, RAW_EVENTS, daily);
    add_edge(all, "2M events", events, VIEWS_EVENTS, daily);
    add_edge(all, "10M events", events, ROLLUPS_EVENTS, daily);
    add_edge(all, "1 GB", bytes, (double)GB, daily_bytes);
    add_edge(all, "10 GB", bytes, 10.0 * (double)GB, daily_bytes);
    return all;
}

/* The greatest of the matrix and the triggers that fired. 0: the matrix is not known, and nothing that fired settles it. */
static int name_phase(const json_t *facts, int fired)
{
    const int by_matrix = matrix_phase(facts);
    if (by_matrix == 0) {
        return fired >= phase_of_slow(advise_fact(facts, "events")) ? fired : 0;
    }
    return fired > by_matrix ? fired : by_matrix;
}

static json_t *phase_reason(const json_t *facts, int phase, int fired)
{
    const int by_matrix = matrix_phase(facts), least = fired > 1 ? fired : 1;
    const int64_t events = advise_fact(facts, "events");
    if (phase == 0 && events < 0) {
        return json_sprintf("Phase %d or a later one: it is not known how many events there are", least);
    }
    if (phase == 0) {
        return json_sprintf("Phase %d%s where dashboard queries take less than 2 s, Phase %d otherwise: --probe finds out", least,
                            fired > 0 ? ", whose trigger fired," : "", phase_of_slow(events));
    }
    if (by_matrix == 0) {
        return json_sprintf("a trigger of Phase %d fired; %s is not known", fired,
                            events < 0 ? "how many events there are" : "how long dashboard queries take");
    }
    if (fired > by_matrix) {
        return json_sprintf("the decision matrix says Phase %d, but a trigger of Phase %d fired", by_matrix, fired);
    }
    if (fired > 0 && fired < by_matrix) {
        return json_sprintf("the decision matrix says Phase %d; a trigger of Phase %d fired too", by_matrix, fired);
    }
    return json_string(fired == by_matrix ? "the decision matrix says so, and the phase's trigger fired"
                                          : "the decision matrix says so; no trigger fired");
}

json_t *advise_rules(const json_t *facts)
{
    json_t *all_triggers = triggers(facts);
    const int fired = fired_phase(all_triggers), phase = name_phase(facts, fired);
    const int in_place = (int)advise_fact(facts, "phase_in_place");
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "phase", phase > 0 ? json_integer(phase) : json_null(),
                     "phase_name", phase > 0 ? phase_names[phase] : "it depends", "phase_reason", phase_reason(facts, phase, fired),
                     "matrix", matrix(facts), "volume", volume(facts), "triggers", all_triggers, "alerts", alerts(facts), "edges",
                     edges(facts), "phase_in_place", in_place > 0 ? json_integer(in_place) : json_null(), "actions",
                     advise_actions(facts, phase > fired ? phase : fired));
}

bool advise_has_alert(const json_t *advice)
{
    size_t i;
    json_t *alert;
    json_array_foreach(json_object_get(advice, "alerts"), i, alert) {
        if (json_is_true(json_object_get(alert, "fired"))) {
            return true;
        }
    }
    return false;
}
