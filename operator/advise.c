/* advise.c - `tallymill advise`: which of the plan's phases a table is in, which it should be in, and what to do about it.
 *
 * Facts first, then rules, then text: the facts are a file that can be saved and given back, so the same rules judge a table of ten
 * million rows and a line that somebody typed. Only reads, but for one row that it keeps where it may (tallymill.advice):
 * "consistently" needs more than one run.
 */
#include <math.h>
#include <stdio.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/settings.h"
#include "operator/advise_facts.h"
#include "operator/advise_print.h"
#include "operator/advise_rules.h"
#include "operator/answer.h"
#include "operator/command.h"
#include "operator/ground.h"
#include "operator/run_metrics.h"

enum { ALERTED = 1 };

struct advise {
    bool is_probe, is_alert, as_json;
    const char *facts_file, *save_file, *metrics_file;
    json_t *facts, *advice;
    int64_t began_us;
};

static void add_figure(struct run_figure *figures, int *count, const char *name, const char *help, int64_t value)
{
    if (value >= 0) {
        figures[(*count)++] = (struct run_figure){.name = name, .help = help, .value = value};
    }
}

static int64_t whole_ms(double ms)
{
    return ms < 0 ? -1 : (int64_t)llround(ms);
}

/* What is not known is left out: a 0 would be a claim. */
static void write_metrics(const struct advise *advise, int exit_code, struct error *err)
{
    struct run_figure figures[RUN_FIGURES_MAX];
    int count = 0;
    size_t i;
    json_t *alert;
    const json_t *facts = advise->facts; /* NULL where none were had: then only how the run ended is written */
    add_figure(figures, &count, "events", "events in analytics_events", advise_fact(facts, "events"));
    add_figure(figures, &count, "table_bytes", "size of analytics_events with indexes", advise_fact(facts, "bytes"));
    add_figure(figures, &count, "daily_events", "median of the last 28 days", advise_fact(facts, "daily_events"));
    add_figure(figures, &count, "query_p95_milliseconds", "of dashboard queries", whole_ms(advise_fact_ms(facts, "query_p95_ms")));
    add_figure(figures, &count, "refresh_milliseconds", "the slowest newest refresh of a materialized view",
               whole_ms(advise_fact_ms(facts, "refresh_ms")));
    add_figure(figures, &count, "phase_in_place", "of the plan, 1 to 4", advise_fact(facts, "phase_in_place"));
    add_figure(figures, &count, "phase_recommended", "of the plan, 1 to 4", advise_fact(advise->advice, "phase"));
    json_array_foreach(json_object_get(advise->advice, "alerts"), i, alert) {
        const json_t *fired = json_object_get(alert, "fired");
        add_figure(figures, &count, json_string_value(json_object_get(alert, "alert")), "1 if the alert fired",
                   json_is_null(fired) ? -1 : json_is_true(fired));
    }
    run_metrics_end(advise->metrics_file, "tallymill_advise", advise->began_us, exit_code, figures, count, err);
}

static bool tell(const struct advise *advise)
{
    if (!advise->as_json) {
        advise_print(advise->facts, advise->advice);
        return fflush(stdout) == 0;
    }
    json_t *all = json_pack("{s:O, s:O}", "facts", advise->facts, "advice", advise->advice);
    const bool is_written = answer_print(all);
    json_decref(all);
    return is_written;
}

static json_t *get_facts(const struct advise *advise, const struct settings *settings, struct error *err)
{
    struct error unkept = {0};
    if (advise->facts_file) {
        return advise_facts_read(advise->facts_file, err);
    }
    json_t *facts = advise_facts_ask(settings, advise->is_probe, err);
    if (facts) {
        if (!advise_facts_keep(settings, facts, &unkept) && unkept.kind != ERROR_NONE) {
            fprintf(stderr, "tallymill advise: this run is not kept for later ones: %s\n", unkept.text);
        }
    }
    return facts;
}

static int run(struct advise *advise, const struct settings *settings, struct error *err)
{
    advise->facts = get_facts(advise, settings, err);
    if (!advise->facts || (advise->save_file && !advise_facts_save(advise->facts, advise->save_file, err))) {
        return 0;
    }
    advise->advice = advise_rules(advise->facts);
    if (!advise->advice) {
        error_set(err, ERROR_RETRY, "out of memory");
        return 0;
    }
    return !tell(advise) ? 1 : advise->is_alert && advise_has_alert(advise->advice) ? ALERTED : 0;
}

/* A bare table needs SELECT and nothing else; ours what the roles say, told all at once. */
static int check(const struct settings *settings, struct error *err)
{
    bool has_schema;
    const bool is_fine = advise_facts_check(settings, &has_schema, err);
    if (!has_schema) {
        return is_fine && puts("settings, server and table are in order") < 0 ? 1 : 0;
    }
    error_clear(err);
    return ground_check(settings, &(struct ground){.program = "tallymill advise", .role = "tallymill_read"});
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct advise *advise = context;
    int exit_code = 0;
    advise->began_us = clock_now_us();
    if (command->argument_count > 0) {
        error_set(err, ERROR_USAGE, "%s: advise takes no arguments", command->arguments[0]);
    } else if (advise->facts_file && (advise->is_probe || advise->save_file)) {
        error_set(err, ERROR_USAGE, "--facts asks no database: it goes with neither --probe nor --save-facts");
    } else if (command->check) {
        exit_code = check(command->settings, err);
    } else {
        exit_code = run(advise, command->settings, err);
        write_metrics(advise, exit_code, err);
    }
    json_decref(advise->facts);
    json_decref(advise->advice);
    return exit_code;
}

int advise_run(int argc, char **argv)
{
    struct advise advise = {0};
    const struct cli_option options[] = {
        {.name = "probe",
         .help = "run the plan's four query patterns on the raw rows, five times each, and EXPLAIN ANALYZE the slowest",
         .flag = &advise.is_probe},
        {.name = "save-facts", .argument = "FILE", .help = "also write the facts to FILE, as JSON", .value = &advise.save_file},
        {.name = "facts",
         .argument = "FILE",
         .help = "judge the facts of FILE instead of asking a database",
         .value = &advise.facts_file},
        {.name = "alert", .help = "exit code 1 if one of the plan's alerts fired", .flag = &advise.is_alert},
        {.name = "metrics", .argument = "FILE", .help = RUN_METRICS_HELP, .value = &advise.metrics_file},
        {.name = "json", .help = "answer with one JSON object: facts and advice", .flag = &advise.as_json},
        {.name = NULL},
    };
    const struct cli cli = {
        .program = "tallymill advise",
        .usage = "[OPTION ...]",
        .summary =
            "Says by the scaling plan's own thresholds in which phase analytics_events is and should be, which alerts fired, when "
            "the\n"
            "next edge comes, and what to run. Works on our schema and on a bare analytics_events, with SELECT on it. How long "
            "the\n"
            "dashboard's queries take it learns from pg_stat_statements where that may be read, or by --probe. Runs are kept for\n"
            "\"consistently\" where the login has tallymill_aggregate.\n",
        .examples = "  tallymill advise --config settings.ini\n"
                    "  tallymill advise --config settings.ini --probe --save-facts november.json\n"
                    "  tallymill advise --facts november.json --json | jq .advice.phase\n",
        .exit_codes = "0 told; 1 with --alert: an alert fired, else a server is away; 2 no table that may be read",
        .options = options,
        .programs = FOR_OPERATOR,
    };
    return command_work(&cli, argc, argv, work, &advise);
}
