/* doctor.c - `tallymill doctor`: what is wrong with a running pipeline, or will be soon, and what mends it.
 *
 * One table of checks, each of one question. They share what is dear to ask (the connection, the topic's ends), so their order
 * matters: servers first. A server that does not answer is one finding; whatever needs it is not asked. What may be so for a moment
 * (a lock, a rollup that is due this second) is looked at twice, and only what was there both times is told.
 *
 * Rejected: a check that mends. A remedy ends a session, gives a right or drops an index of somebody; a person reads it first.
 */
#include "operator/doctor.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cli.h"
#include "common/settings.h"
#include "common/utf8.h"
#include "operator/answer.h"
#include "operator/command.h"
#include "operator/terminal.h"

extern const char doctor_server_sql[], doctor_bloat_sql[], doctor_connections_sql[], doctor_dead_letters_sql[], doctor_days_sql[],
    doctor_statistics_sql[], doctor_rollups_sql[], doctor_ledger_sql[];

enum { LOOK_AGAIN_MS = 2500 };

enum need { NEEDS_NOTHING, NEEDS_POSTGRES, NEEDS_SCHEMA, NEEDS_KAFKA, NEEDS_TOPIC };

static const struct check {
    const char *name, *asks;
    enum need need;
    bool is_fleeting;                    /* what it finds may be so for a moment: look twice */
    void (*look)(struct doctor *doctor); /* NULL: the rows of sql are the findings */
    const char *sql;
} checks[] = {
    {"settings", "do the files that the settings name exist, and hold what they should?", NEEDS_NOTHING, false, doctor_settings,
     NULL},
    {"postgres", "does Postgres let us in?", NEEDS_NOTHING, false, doctor_postgres, NULL},
    {"schema", "is the schema the one that this program knows?", NEEDS_POSTGRES, false, doctor_schema, NULL},
    {"rights", "may each role do what its program does, and no more?", NEEDS_SCHEMA, false, doctor_rights, NULL},
    {"trials", "is each role refused what it must not do?", NEEDS_SCHEMA, false, doctor_trials, NULL},
    {"kafka", "does Kafka answer, is the topic there, can each leader be reached?", NEEDS_NOTHING, false, doctor_kafka, NULL},
    {"acls", "may the login read the topic, and join the consumer group?", NEEDS_TOPIC, false, doctor_acls, NULL},
    {"topic", "is it the topic of the books, and does it keep what is sent to it?", NEEDS_TOPIC, false, doctor_topic, NULL},
    {"workers", "is everything that Kafka has stored soon, and by whom?", NEEDS_TOPIC, true, doctor_workers, NULL},
    {"retention", "does Kafka keep events for longer than they wait?", NEEDS_TOPIC, false, doctor_retention, NULL},
    {"clocks", "do the clocks of this host, of Postgres and of Kafka agree?", NEEDS_NOTHING, false, doctor_clocks, NULL},
    {"disk", "how long does the room on Postgres's disk last?", NEEDS_POSTGRES, false, doctor_disk, NULL},
    {"server", "do Postgres's own settings keep what is stored, and let it be stored quickly?", NEEDS_POSTGRES, false, NULL,
     doctor_server_sql},
    {"connections", "does the next program find a connection?", NEEDS_POSTGRES, false, NULL, doctor_connections_sql},
    {"transactions", "does an old transaction or a slot hold back vacuum, or the WAL?", NEEDS_POSTGRES, false, doctor_transactions,
     NULL},
    {"locks", "does somebody keep us waiting?", NEEDS_POSTGRES, true, doctor_waits, NULL},
    {"bloat", "are our tables mostly dead rows?", NEEDS_POSTGRES, false, NULL, doctor_bloat_sql},
    {"months", "is there a month for every event that comes, and is each of them whole?", NEEDS_SCHEMA, false, doctor_months, NULL},
    {"foreign", "what have others hung on our tables?", NEEDS_SCHEMA, false, doctor_foreign, NULL},
    {"dead letters", "do dead letters wait for somebody?", NEEDS_SCHEMA, false, NULL, doctor_dead_letters_sql},
    {"statistics", "are the statistics as new as the rows?", NEEDS_SCHEMA, true, NULL, doctor_statistics_sql},
    {"days", "do days wait for a rebuild?", NEEDS_SCHEMA, false, NULL, doctor_days_sql},
    {"rollups", "is each rollup computed, and in time?", NEEDS_SCHEMA, true, NULL, doctor_rollups_sql},
    {"figures", "do the newest statistics and rollups equal their queries?", NEEDS_SCHEMA, false, doctor_verify, NULL},
    {"ledger", "is the ledger merged?", NEEDS_SCHEMA, false, NULL, doctor_ledger_sql},
    {"processes", "do the programs on this host run with the limits and the files that they should?", NEEDS_NOTHING, false,
     doctor_processes, NULL},
};

enum { CHECKS = sizeof checks / sizeof *checks };

/* The options, and what all checks found. */
struct visit {
    struct doctor doctor;
    bool as_json, is_strict;
    json_t *answer; /* an object for each check: name, asks, state, said, findings */
    int findings, warnings, passed;
};

void doctor_tell(struct doctor *doctor, enum doctor_grade grade, const char *object, const char *what, const char *why,
                 const char *remedy)
{
    json_array_append_new(doctor->findings,
                          json_pack("{s:s, s:s, s:s, s:s, s:s}", "grade", grade == DOCTOR_FINDING ? "finding" : "warning", "object",
                                    object, "what", what, "why", why, "remedy", remedy));
}

void doctor_pass(struct doctor *doctor, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(doctor->said, sizeof doctor->said, format, values);
    va_end(values);
    utf8_trim(doctor->said);
}

const char *doctor_place(const struct doctor *doctor, const char *key, char text[DOCTOR_TEXT_BYTES])
{
    const char *origin = settings_origin(doctor->settings, key);
    snprintf(text, DOCTOR_TEXT_BYTES, "%s (%s)", key, origin ? origin : "not set");
    return text;
}

static bool is_there(const struct doctor *doctor, enum need need)
{
    switch (need) {
    case NEEDS_NOTHING: return true;
    case NEEDS_POSTGRES: return doctor->conn != NULL;
    case NEEDS_SCHEMA: return doctor->has_schema;
    case NEEDS_KAFKA: return doctor->client != NULL;
    case NEEDS_TOPIC: return doctor->has_topic;
    }
    return false;
}

static void look_once(struct doctor *doctor, const struct check *check)
{
    static const char *const missing[] = {[NEEDS_POSTGRES] = "Postgres did not answer",
                                          [NEEDS_SCHEMA] = "there is no schema that it could be asked of",
                                          [NEEDS_KAFKA] = "Kafka did not answer",
                                          [NEEDS_TOPIC] = "Kafka did not tell about the topic"};
    doctor->said[0] = '\0';
    doctor->findings = json_array();
    if (!is_there(doctor, check->need)) {
        doctor_pass(doctor, "%s", missing[check->need]);
    } else if (check->look) {
        check->look(doctor);
    } else {
        doctor_tell_rows(doctor, check->sql);
    }
}

/* Whether a finding about the same object is in the list. */
static bool is_told(const json_t *findings, const json_t *finding)
{
    for (size_t i = 0; i < json_array_size(findings); i++) {
        if (json_equal(json_object_get(json_array_get(findings, i), "object"), json_object_get(finding, "object"))) {
            return true;
        }
    }
    return false;
}

/* Looks, and where something may be so for a moment, again: what the first look did not find as well is left out. */
static void look(struct doctor *doctor, const struct check *check)
{
    look_once(doctor, check);
    if (!check->is_fleeting || json_array_size(doctor->findings) == 0) {
        return;
    }
    json_t *first = doctor->findings;
    poll(NULL, 0, LOOK_AGAIN_MS);
    look_once(doctor, check);
    for (size_t i = json_array_size(doctor->findings); i-- > 0;) {
        if (!is_told(first, json_array_get(doctor->findings, i))) {
            json_array_remove(doctor->findings, i);
        }
    }
    json_decref(first);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static bool is_finding(const json_t *finding)
{
    return strcmp(text_of(finding, "grade"), "finding") == 0;
}

/* One check done: into the answer, and counted. */
static void take(struct visit *visit, const struct check *check)
{
    struct doctor *doctor = &visit->doctor;
    int findings = 0;
    for (size_t i = 0; i < json_array_size(doctor->findings); i++) {
        findings += is_finding(json_array_get(doctor->findings, i));
    }
    const int warnings = (int)json_array_size(doctor->findings) - findings;
    const char *state = findings > 0 ? "finding" : warnings > 0 ? "warning" : doctor->said[0] ? "not asked" : "ok";
    visit->findings += findings;
    visit->warnings += warnings;
    visit->passed += doctor->said[0] != '\0';
    json_array_append_new(visit->answer,
                          json_pack("{s:s, s:s, s:s, s:s*, s:o}", "name", check->name, "asks", check->asks, "state", state, "said",
                                    doctor->said[0] ? doctor->said : NULL, "findings", doctor->findings));
    doctor->findings = NULL;
}

static void print_line(const char *head, const char *text)
{
    fputs(head, stdout);
    terminal_text(stdout, text);
    fputc('\n', stdout);
}

static void print_finding(const char *check, const json_t *finding)
{
    printf("%s %s: ", is_finding(finding) ? "FINDING" : "warning", check);
    terminal_text(stdout, text_of(finding, "what"));
    fputc('\n', stdout);
    print_line("        why:    ", text_of(finding, "why"));
    print_line("        remedy: ", text_of(finding, "remedy"));
}

/* What was seen of the programs: how many there should be nobody has said, so what was looked at is told. */
static void print_sessions(const struct doctor *doctor)
{
    char age[TERMINAL_AGE_BYTES];
    if (doctor->has_schema) {
        printf("; %d workers are connected, ", doctor->consumers);
        if (doctor->is_led || doctor->has_aggregator || !doctor->last_leader[0] || doctor->last_seen_us < 0) {
            printf("%s aggregator leads", doctor->is_led ? "an" : "no");
        } else {
            fputs("no aggregator is: ", stdout);
            terminal_text(stdout, doctor->last_leader);
            printf(" was last seen to lead %s ago", terminal_age(age, doctor->last_seen_us));
        }
    }
    printf("; %s", doctor->failed_units < 0    ? "systemd was not asked which units have failed"
                   : doctor->failed_units == 0 ? "no unit of this host has failed"
                                               : "units of this host have failed, see above");
}

static void print_text(const struct visit *visit)
{
    for (int grade = DOCTOR_FINDING; grade >= DOCTOR_WARNING; grade--) {
        for (size_t i = 0; i < json_array_size(visit->answer); i++) {
            const json_t *check = json_array_get(visit->answer, i), *findings = json_object_get(check, "findings");
            for (size_t f = 0; f < json_array_size(findings); f++) {
                const json_t *finding = json_array_get(findings, f);
                if (is_finding(finding) == (grade == DOCTOR_FINDING)) {
                    print_finding(text_of(check, "name"), finding);
                }
            }
        }
    }
    for (size_t i = 0; i < json_array_size(visit->answer); i++) {
        const json_t *check = json_array_get(visit->answer, i);
        if (text_of(check, "said")[0] != '\0') {
            printf("not asked: %s: ", text_of(check, "name"));
            terminal_text(stdout, text_of(check, "said"));
            fputc('\n', stdout);
        }
    }
    const int asked = CHECKS - visit->passed;
    if (visit->findings + visit->warnings == 0) {
        printf("OK: %d of %d checks were made and found nothing", asked, CHECKS);
    } else {
        printf("%s: %d findings and %d warnings, by %d of %d checks", visit->findings > 0 ? "FINDINGS" : "WARNINGS",
               visit->findings, visit->warnings, asked, CHECKS);
    }
    print_sessions(&visit->doctor);
    fputs(".\n", stdout);
}

static bool print_json(struct visit *visit)
{
    json_t *json = json_pack("{s:s, s:i, s:i, s:i, s:O, s:O}", "verdict",
                             visit->findings > 0   ? "findings"
                             : visit->warnings > 0 ? "warnings"
                                                   : "ok",
                             "findings", visit->findings, "warnings", visit->warnings, "not_asked", visit->passed, "versions",
                             visit->doctor.versions, "checks", visit->answer);
    const bool is_written = answer_print(json);
    json_decref(json);
    return is_written;
}

static int examine(struct visit *visit, struct error *err)
{
    struct doctor *doctor = &visit->doctor;
    visit->answer = json_array();
    doctor->versions = json_pack("{s:s, s:s}", "tallymill", TALLYMILL_VERSION, "librdkafka", rd_kafka_version_str());
    if (!visit->answer || !doctor->versions) {
        error_set(err, ERROR_RETRY, "out of memory");
        return 0;
    }
    for (size_t i = 0; i < CHECKS; i++) {
        look(doctor, &checks[i]);
        take(visit, &checks[i]);
    }
    const bool is_written = visit->as_json ? print_json(visit) : (print_text(visit), true);
    return visit->findings > 0 || (visit->is_strict && visit->warnings > 0) || !is_written;
}

static void leave(struct visit *visit)
{
    struct doctor *doctor = &visit->doctor;
    json_decref(visit->answer);
    json_decref(doctor->versions);
    backlog_free(&doctor->backlog);
    PQclear(doctor->positions);
    PQfinish(doctor->conn);
    if (doctor->client) {
        rd_kafka_destroy(doctor->client);
    }
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct visit *visit = context;
    visit->doctor.settings = command->settings;
    visit->doctor.failed_units = -1;
    visit->doctor.last_seen_us = -1;
    if (command->argument_count > 0) {
        error_set(err, ERROR_USAGE, "%s: doctor takes no arguments", command->arguments[0]);
        return 0;
    }
    const int exit_code = examine(visit, err); /* with --check too: it asks, and does nothing else */
    leave(visit);
    return exit_code;
}

static const struct cli doctor_cli = {
    .program = "tallymill doctor",
    .usage = "[OPTION ...]",
    .summary = "Looks at everything that is known to go wrong: servers, rights, topic, clocks, disk, months, statistics, what "
               "others did. Each finding says what,\n"
               "why it matters, and one command or line of SQL that mends it; nothing is changed. Give it the settings file of the "
               "programs.\n"
               "Needs a login with tallymill_read; one that also has pg_monitor sees disk and old transactions of other logins. "
               "With a worker's "
               "settings it\nasks what those may do, and says of the rest that it was not asked.\n",
    .examples = "  tallymill doctor --config settings.ini\n"
                "  tallymill doctor --config settings.ini --json | jq -r '.checks[].findings[].remedy'\n",
    .exit_codes = "0 nothing, or warnings only; 1 findings, with --strict warnings too; 2 usage or settings;\n3 needs a person.",
    .programs = FOR_OPERATOR,
};

int doctor_run(int argc, char **argv)
{
    struct visit visit = {0};
    const struct cli_option options[] = {
        {.name = "strict", .help = "exit code 1 with warnings too", .flag = &visit.is_strict},
        {.name = "json", .help = "answer with one JSON object: every check, with what it asks", .flag = &visit.as_json},
        {.name = NULL},
    };
    struct cli cli = doctor_cli;
    cli.options = options;
    return command_work(&cli, argc, argv, work, &visit);
}
