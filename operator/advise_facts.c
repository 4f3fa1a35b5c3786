/* advise_facts.c - see advise_facts.h: the form of the facts. advise_ask.c asks for them.
 *
 * One table says which facts there are, and of which type; a file is held against it, so that a fact with a slip in its name is not
 * taken for one that is unknown.
 */
#include "operator/advise_facts.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"

enum fact_type { FACT_TEXT, FACT_COUNT, FACT_NUMBER, FACT_FLAG, FACT_LIST };

static const struct {
    const char *name;
    enum fact_type type;
} known_facts[] = {
    {"taken_at", FACT_TEXT},
    {"database", FACT_TEXT},
    {"has_schema", FACT_FLAG},
    {"events", FACT_COUNT},
    {"events_are_counted", FACT_FLAG},
    {"bytes", FACT_COUNT},
    {"daily_events", FACT_COUNT},
    {"query_p95_ms", FACT_NUMBER},
    {"query_source", FACT_TEXT},
    {"query_runs", FACT_COUNT},
    {"query_is_consistent", FACT_FLAG},
    {"refresh_ms", FACT_NUMBER},
    {"refresh_source", FACT_TEXT},
    {"phase_in_place", FACT_COUNT},
    {"months_attached", FACT_COUNT},
    {"months_missing", FACT_LIST},
    {"cold_months", FACT_COUNT},
    {"cold_bytes", FACT_COUNT},
    {"window_oldest", FACT_TEXT},
    {"index_statements", FACT_LIST},
    {"slow_queries", FACT_LIST},
    {"notes", FACT_LIST},
};

static const char *const type_names[] = {[FACT_TEXT] = "a text",
                                         [FACT_COUNT] = "a whole number from 0",
                                         [FACT_NUMBER] = "a number from 0",
                                         [FACT_FLAG] = "true or false",
                                         [FACT_LIST] = "an array"};

static bool is_of_type(const json_t *value, enum fact_type type)
{
    switch (type) {
    case FACT_TEXT: return json_is_string(value);
    case FACT_COUNT: return json_is_integer(value) && json_integer_value(value) >= 0;
    case FACT_NUMBER: return json_is_number(value) && json_number_value(value) >= 0;
    case FACT_FLAG: return json_is_boolean(value);
    case FACT_LIST: return json_is_array(value);
    }
    return false;
}

static bool check_fact(const char *path, const char *name, const json_t *value, struct error *err)
{
    for (size_t i = 0; i < sizeof known_facts / sizeof known_facts[0]; i++) {
        if (strcmp(known_facts[i].name, name) == 0) {
            return json_is_null(value) || is_of_type(value, known_facts[i].type) ||
                   error_set(err, ERROR_USAGE, "%s: fact %s is not %s, or null where it is not known", path, name,
                             type_names[known_facts[i].type]);
        }
    }
    return error_set(err, ERROR_USAGE, "%s: %s is none of the facts; tallymill advise --save-facts FILE writes all of them", path,
                     name);
}

static bool check_facts(const char *path, const json_t *facts, struct error *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(facts)) {
        return error_set(err, ERROR_USAGE, "%s: the facts are one JSON object", path);
    }
    json_object_foreach((json_t *)facts, name, value) {
        if (!check_fact(path, name, value, err)) {
            return false;
        }
    }
    return json_object_get(facts, "events") || error_set(err, ERROR_USAGE, "%s: without the fact events nothing can be said", path);
}

json_t *advise_facts_new(void)
{
    json_t *facts = json_object();
    for (size_t i = 0; facts && i < sizeof known_facts / sizeof known_facts[0]; i++) {
        json_object_set_new(facts, known_facts[i].name, json_null());
    }
    return facts;
}

json_t *advise_facts_read(const char *path, struct error *err)
{
    json_error_t where;
    json_t *facts = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    if (!facts) {
        error_set(err, ERROR_USAGE, "%s: %s (line %d)", path, where.text, where.line);
        return NULL;
    }
    if (!check_facts(path, facts, err)) {
        json_decref(facts);
        return NULL;
    }
    return facts;
}

bool advise_facts_save(const json_t *facts, const char *path, struct error *err)
{
    return json_dump_file(facts, path, JSON_INDENT(2)) == 0 ||
           error_set(err, ERROR_RETRY, "--save-facts: %s could not be written", path);
}

int64_t advise_fact(const json_t *facts, const char *name)
{
    const json_t *value = json_object_get(facts, name);
    return json_is_integer(value) ? json_integer_value(value) : json_is_boolean(value) ? json_is_true(value) : -1;
}

double advise_fact_ms(const json_t *facts, const char *name)
{
    const json_t *value = json_object_get(facts, name);
    return json_is_number(value) ? json_number_value(value) : -1;
}

const char *advise_fact_text(const json_t *facts, const char *name)
{
    const char *text = json_string_value(json_object_get(facts, name));
    return text ? text : "";
}

bool advise_is_near_edge(int64_t events)
{
    static const int64_t edges[] = {100000, 500000, 2000000, 10000000};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        if (events >= edges[i] - edges[i] / 10 && events <= edges[i] + edges[i] / 10) {
            return true;
        }
    }
    return events < edges[0];
}
