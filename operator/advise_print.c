/* advise_print.c - see advise_print.h. What comes from a database or a file goes through terminal_text(). */
#include "operator/advise_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/number_text.h"
#include "operator/advise_facts.h"
#include "operator/terminal.h"

static const char *member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static void print_line(const char *indent, const char *text)
{
    fputs(indent, stdout);
    terminal_text(stdout, text);
    putchar('\n');
}

/* As pg_size_pretty() has its units. */
static void print_bytes(int64_t bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    int unit = 0;
    for (; value >= 1024 && unit < 4; unit++) {
        value /= 1024;
    }
    printf("%.*f %s", unit == 0 ? 0 : 1, value, units[unit]);
}

static void print_table(const json_t *facts)
{
    char number[NUMBER_TEXT_BYTES];
    if (advise_fact(facts, "events") < 0) {
        fputs("analytics_events: events unknown, ", stdout);
    } else {
        printf("analytics_events: %s events (%s), ", number_text(number, advise_fact(facts, "events")),
               advise_fact(facts, "events_are_counted") == 1 ? "counted" : "estimate");
    }
    if (advise_fact(facts, "bytes") < 0) {
        fputs("size unknown, ", stdout);
    } else {
        print_bytes(advise_fact(facts, "bytes"));
        fputs(" with indexes, ", stdout);
    }
    if (advise_fact(facts, "daily_events") < 0) {
        puts("events a day unknown");
    } else {
        printf("%s events a day (median of up to 28 days)\n", number_text(number, advise_fact(facts, "daily_events")));
    }
}

static void print_times(const json_t *facts)
{
    const double p95_ms = advise_fact_ms(facts, "query_p95_ms"), refresh_ms = advise_fact_ms(facts, "refresh_ms");
    const int64_t consistent = advise_fact(facts, "query_is_consistent");
    if (p95_ms < 0) {
        puts("dashboard queries: unknown");
    } else {
        const int is_estimate = strcmp(advise_fact_text(facts, "query_source"), "pg_stat_statements") == 0;
        printf("dashboard queries: p95 %.3f s (%s%s)%s\n", p95_ms / 1000, advise_fact_text(facts, "query_source"),
               is_estimate ? ", estimate: mean + 1.645 deviations" : "",
               consistent == 1                   ? ", consistently over 2 s"
               : consistent < 0 && p95_ms > 2000 ? ", over 2 s; whether consistently, three runs of different hours say"
                                                 : "");
    }
    if (refresh_ms >= 0) {
        printf("refresh of materialized views: %.1f s\n", refresh_ms / 1000);
    }
}

static void print_phase(const json_t *facts, const json_t *advice)
{
    const json_t *volume = json_object_get(advice, "volume"), *matrix = json_object_get(advice, "matrix");
    const int64_t in_place = json_integer_value(json_object_get(advice, "phase_in_place"));
    if (in_place == 4) {
        printf("\nphases 1 to 4 are in place: the table is partitioned (%" PRId64 " table partitions)\n",
               advise_fact(facts, "months_attached"));
        printf("  for a table that is not: %s\n", member(advice, "phase_name"));
    } else if (in_place > 0) {
        printf("\nrecommended: %s; in place: Phase %" PRId64 "\n", member(advice, "phase_name"), in_place);
    } else {
        printf("\nrecommended: %s\n", member(advice, "phase_name"));
    }
    print_line("  ", member(advice, "phase_reason"));
    printf("  decision matrix: %s\n  volume table%s%s: %s\n", member(matrix, "answer"), member(volume, "events")[0] ? ", " : "",
           member(volume, "events"), member(volume, "approach"));
}

static void print_rules(const json_t *rules, const char *title, const char *second)
{
    size_t i;
    json_t *rule;
    printf("\n%s\n", title);
    json_array_foreach(rules, i, rule) {
        const json_t *fired = json_object_get(rule, "fired");
        printf("  %-8s %s%s%s\n",
               json_is_true(fired)   ? "FIRED"
               : json_is_null(fired) ? "unknown"
                                     : "no",
               member(rule, "rule"), second && json_is_true(fired) ? ": " : "",
               second && json_is_true(fired) ? member(rule, second) : "");
    }
}

static void print_edges(const json_t *edges)
{
    size_t i;
    json_t *edge;
    char number[NUMBER_TEXT_BYTES];
    if (json_array_size(edges) > 0) {
        puts("\nnext edges, at today's pace");
    }
    json_array_foreach(edges, i, edge) {
        printf("  %s in %s days\n", member(edge, "edge"), number_text(number, json_integer_value(json_object_get(edge, "days"))));
    }
}

static void print_lines(const json_t *lines, const char *end)
{
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line) {
        fputs("       ", stdout);
        terminal_text(stdout, json_string_value(line) ? json_string_value(line) : "");
        puts(end);
    }
}

static void print_actions(const json_t *actions)
{
    size_t i;
    json_t *action;
    puts(json_array_size(actions) > 0 ? "\nto do" : "\nnothing to do");
    json_array_foreach(actions, i, action) {
        printf("  %zu. ", i + 1);
        print_line("", member(action, "what"));
        print_line("     ", member(action, "reason"));
        print_lines(json_object_get(action, "commands"), "");
        print_lines(json_object_get(action, "sql"), ";");
    }
}

static void print_slow(const json_t *slow)
{
    size_t i, j;
    json_t *query, *line;
    json_array_foreach(slow, i, query) {
        if (i == 0) {
            puts("\nthe slowest queries");
        }
        printf("  %zu. p95 %.3f s, %" JSON_INTEGER_FORMAT " calls: ", i + 1,
               json_number_value(json_object_get(query, "p95_ms")) / 1000, json_integer_value(json_object_get(query, "calls")));
        print_line("", member(query, member(query, "pattern")[0] != '\0' ? "pattern" : "query"));
        if (!json_is_array(json_object_get(query, "plan")) && member(query, "login")[0] != '\0') {
            print_line("     not planned here, for it is another login's: EXPLAIN it as ", member(query, "login"));
        }
        json_array_foreach(json_object_get(query, "plan"), j, line) {
            print_line("     ", json_string_value(line) ? json_string_value(line) : "");
        }
    }
}

static void print_notes(const json_t *notes)
{
    size_t i;
    json_t *text;
    json_array_foreach(notes, i, text) {
        print_line("not known: ", json_string_value(text) ? json_string_value(text) : "");
    }
}

void advise_print(const json_t *facts, const json_t *advice)
{
    print_table(facts);
    print_times(facts);
    print_notes(json_object_get(facts, "notes"));
    print_phase(facts, advice);
    print_rules(json_object_get(advice, "triggers"), "triggers", NULL);
    print_rules(json_object_get(advice, "alerts"), "alerts", "advice");
    print_edges(json_object_get(advice, "edges"));
    print_actions(json_object_get(advice, "actions"));
    print_slow(json_object_get(facts, "slow_queries"));
}
