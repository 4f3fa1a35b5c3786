/* audit.c - `tallymill audit`: the proof that every event which Kafka delivered is stored once, is a dead letter, or is accounted
 * for.
 *
 * offsets consumed = stored + duplicates + dead letters + skipped + gaps, without hole or overlap, and the rows are really there.
 * All questions are answered by one snapshot, so a live system can be audited. Each check is one query of operator/sql that answers
 * with its damages, and with rows of kind "counted" or "note", which are none, so anybody can run it in psql. Trusting counters
 * that the programs keep would be cheaper, and would prove only that they agree with themselves: rows, dead letters and offsets are
 * counted here.
 */
#include "operator/audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/number_text.h"
#include "common/settings.h"
#include "common/utf8.h"
#include "operator/answer.h"
#include "operator/command.h"
#include "operator/ground.h"
#include "operator/proof.h"
#include "operator/run_metrics.h"
#include "operator/snapshot.h"
#include "operator/terminal.h"

extern const char audit_totals_sql[], audit_offsets_sql[], audit_equation_sql[], audit_rows_sql[], audit_dead_letters_sql[],
    audit_guards_sql[], audit_erasures_sql[], audit_deep_sql[];

enum { SHOWN_MAX = 1000 }; /* damages of one check; the rest is counted */

struct check {
    const char *name; /* for programs */
    const char *sql;
    const char *promise; /* what holds when the query finds nothing */
    bool is_deep;
};

static const struct check checks[] = {
    {"offsets", audit_offsets_sql, "every offset below the position has one outcome: no hole, no overlap", false},
    {"equation", audit_equation_sql, "in every batch, offsets = stored + duplicates + dead letters + skipped", false},
    {"rows", audit_rows_sql, "every batch has as many rows as the ledger says, and no row is of an unknown batch", false},
    {"dead letters", audit_dead_letters_sql, "every batch has as many dead letters as the ledger says, each at one of its offsets",
     false},
    {"guards", audit_guards_sql, "every month is part of analytics_events, and the keys against storing twice are in place", false},
    {"erasures", audit_erasures_sql, "every receipt of an erasure is as it was written, and none is missing", false},
    {"deep", audit_deep_sql, "no event is stored twice, and every row lies on a day that its batch names", true},
};

enum { CHECKS = sizeof checks / sizeof checks[0] };

void audit_damage(struct audit *audit, const struct finding *finding)
{
    audit->damages++;
    audit->check_damages++;
    if (audit->as_json) {
        json_array_append_new(json_object_get(audit->json, "damages"), finding_json(finding));
    } else if (audit->check_damages <= SHOWN_MAX) {
        fputs("  DAMAGE  ", stdout);
        finding_print(finding, stdout);
    }
}

void audit_note(struct audit *audit, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    utf8_trim(text);
    if (audit->as_json) {
        json_array_append_new(json_object_get(audit->json, "notes"), json_string(text));
    } else {
        fputs("  note    ", stdout);
        terminal_text(stdout, text);
        fputc('\n', stdout);
    }
}

/* Ends a check: its line when all is well, or how many damages were not shown. */
static void close_check(struct audit *audit, const char *name, const char *promise)
{
    if (audit->as_json) {
        json_array_append_new(json_object_get(audit->json, "checks"), json_pack("{s:s, s:s, s:I}", "name", name, "promise", promise,
                                                                                "damages", (json_int_t)audit->check_damages));
    } else if (audit->check_damages == 0) {
        printf("  ok      %s\n", promise);
    } else if (audit->check_damages > SHOWN_MAX) {
        printf("  DAMAGE  and %" PRId64 " more of this check\n", audit->check_damages - SHOWN_MAX);
    }
    fflush(stdout); /* the next check may take minutes */
    audit->check_damages = 0;
}

static bool run_check(struct audit *audit, const struct check *check, struct error *err)
{
    PGresult *result = snapshot_ask(audit->snapshot, check->sql, err);
    if (!result) {
        return error_wrap(err, "checking %s", check->name);
    }
    for (int row = 0; row < PQntuples(result); row++) {
        struct finding finding = finding_of_row(result, row);
        if (strcmp(finding.kind, "counted") == 0) {
            audit->rows_counted = answer_int(result, row, "damage");
        } else if (strcmp(finding.kind, "note") == 0) {
            audit_note(audit, "%s", answer_text(result, row, "damage"));
        } else if (!audit->is_one_topic || !finding.topic || strcmp(finding.topic, audit->own_topic) == 0) {
            audit_damage(audit, &finding); /* what belongs to no topic is everybody's */
        }
    }
    PQclear(result);
    close_check(audit, check->name, check->promise);
    return true;
}

static void print_total(const char *name, int64_t count, const char *meaning)
{
    char number[NUMBER_TEXT_BYTES];
    printf("  %-18s%15s   %s\n", name, number_text(number, count), meaning);
}

static void print_topic(const PGresult *totals, int row)
{
    fputs("topic ", stdout);
    terminal_text(stdout, answer_text(totals, row, "topic"));
    printf(", %" PRId64 " topic partitions", answer_int(totals, row, "topic_partitions"));
    printf(answer_is_null(totals, row, "retired_at") ? "\n" : ", retired: its books were closed at %s\n",
           answer_text(totals, row, "retired_at"));
    print_total("offsets consumed", answer_int(totals, row, "consumed"), "so many places in Kafka's log are dealt with, namely:");
    print_total("= stored", answer_int(totals, row, "stored"), "events that became rows");
    print_total("+ duplicates", answer_int(totals, row, "duplicates"), "sent again by their producer, stored once");
    print_total("+ dead letters", answer_int(totals, row, "dead_letters"),
                "events that break the rules, kept with their bytes and the reason");
    print_total("+ skipped", answer_int(totals, row, "skipped"),
                "offsets at which Kafka has no message (transactions, compaction)");
    print_total("+ gaps", answer_int(totals, row, "gaps"), "events that Kafka deleted before they were read: lost");
    if (answer_int(totals, row, "removed") != 0) {
        print_total("  removed since", answer_int(totals, row, "removed"), "stored rows that were erased or archived on purpose");
    }
}

/* The ledger's totals of every topic. */
static bool show_totals(struct audit *audit, struct error *err)
{
    PGresult *totals = snapshot_ask(audit->snapshot, audit_totals_sql, err);
    if (!totals) {
        return error_wrap(err, "reading the ledger's totals");
    }
    for (int row = 0; row < PQntuples(totals); row++) {
        const bool is_own = strcmp(answer_text(totals, row, "topic"), audit->own_topic) == 0;
        audit->is_known = audit->is_known || is_own;
        audit->is_retired = audit->is_retired || (is_own && !answer_is_null(totals, row, "retired_at"));
        if (audit->is_one_topic && !is_own) {
            continue;
        }
        audit->consumed += answer_int(totals, row, "consumed");
        audit->gaps += answer_int(totals, row, "gaps");
        audit->skipped += answer_int(totals, row, "skipped");
        if (audit->as_json) {
            json_array_append_new(json_object_get(audit->json, "topics"), answer_object(totals, row));
        } else {
            print_topic(totals, row);
        }
    }
    if (!audit->as_json) {
        printf("checks\n");
    }
    PQclear(totals);
    return !audit->is_one_topic || audit->is_known ||
           error_set(err, ERROR_USAGE, "--topic: the books know no topic %s", audit->own_topic);
}

/* Everything that can be looked at; false only when the looking failed. */
static bool look(struct audit *audit, struct error *err)
{
    if (!show_totals(audit, err)) {
        return false;
    }
    for (int i = 0; i < CHECKS; i++) {
        if ((audit->is_deep || !checks[i].is_deep) && !run_check(audit, &checks[i], err)) {
            return false;
        }
    }
    if (audit->is_without_kafka) {
        snprintf(audit->kafka_silence, sizeof audit->kafka_silence, "it was not asked: --no-kafka");
        return true;
    }
    if (!audit_kafka(audit, err)) {
        return false;
    }
    if (audit->kafka_silence[0] == '\0') {
        close_check(audit, "kafka",
                    "no position lies beyond the end of Kafka's log, and the last stored messages stand where they stood");
    }
    return true;
}

/* What was found out, where looking ended with `err` (or well). */
static enum proof verdict(const struct audit *audit, const struct error *err)
{
    if (audit->damages > 0) {
        return PROOF_DAMAGED;
    }
    const bool is_kafka_silent = audit->kafka_silence[0] != '\0' && !audit->is_without_kafka;
    return err->kind != ERROR_NONE || is_kafka_silent ? PROOF_NOT_PROVEN : PROOF_HOLDS;
}

static void print_holds(const struct audit *audit)
{
    char consumed[NUMBER_TEXT_BYTES], number[NUMBER_TEXT_BYTES];
    printf("OK: all %s offsets that were consumed are accounted for", number_text(consumed, audit->consumed));
    if (audit->gaps > 0) {
        printf("; %s of them were gone from Kafka before they could be read", number_text(number, audit->gaps));
    } else {
        fputs(", nothing is lost and nothing is stored twice", stdout);
    }
    if (audit->is_without_kafka) {
        fputs("; Kafka was not asked", stdout);
    } else if (audit->unread > 0) {
        printf("; %s are still to be read", number_text(number, audit->unread));
    } else {
        fputs("; nothing is left to be read", stdout);
    }
    fputs(".\n", stdout);
}

/* One line, the last of the output. */
static void print_verdict(const struct audit *audit, enum proof proof, const struct error *err)
{
    char number[NUMBER_TEXT_BYTES];
    if (proof == PROOF_HOLDS) {
        print_holds(audit);
    } else if (proof == PROOF_DAMAGED) {
        printf("DAMAGED: %s problems, each named above%s.\n", number_text(number, audit->damages),
               err->kind != ERROR_NONE ? "; the audit ended early by an error, there may be more" : "");
    } else if (err->kind != ERROR_NONE) {
        puts("NOT PROVEN: the audit ended early by an error; no damage was found until then.");
    } else {
        fputs("NOT PROVEN: the database's books hold, but Kafka could not be compared: ", stdout);
        terminal_text(stdout, audit->kafka_silence);
        fputc('\n', stdout);
    }
}

static int finish(struct audit *audit, const struct error *err)
{
    const enum proof proof = verdict(audit, err);
    const int exit_code = proof_exit_code(proof, err);
    if (!audit->as_json) {
        proof_print_next(proof, audit->settings);
        print_verdict(audit, proof, err);
        return exit_code;
    }
    if (err->kind != ERROR_NONE && audit->kafka_silence[0] == '\0') {
        snprintf(audit->kafka_silence, sizeof audit->kafka_silence, "it was not compared: the audit ended early by an error");
    }
    json_object_set_new(audit->json, "rows_counted", json_integer(audit->rows_counted));
    json_object_set_new(audit->json, "unread", audit->kafka_silence[0] ? json_null() : json_integer(audit->unread));
    json_object_set_new(audit->json, "kafka", json_string(audit->kafka_silence[0] ? audit->kafka_silence : "compared"));
    return proof_print_json(audit->json, proof, err) ? exit_code : 1;
}

static void leave_metrics(const struct audit *audit, int64_t began_us, int exit_code, struct error *err)
{
    const struct run_figure figures[] = {
        {"offsets_consumed", "offsets that are accounted for, of all topics that were looked at", audit->consumed},
        {"offsets_unread", "offsets that are still to be read", audit->unread},
        {"gaps", "offsets whose messages were gone before they were read", audit->gaps},
        {"damages", "damages that the last run found", audit->damages},
    };
    run_metrics_end(audit->metrics_path, "tallymill_audit", began_us, exit_code, figures, sizeof figures / sizeof figures[0], err);
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct audit *audit = context;
    const int64_t began_us = clock_now_us();
    int exit_code = 0;
    audit->settings = command->settings;
    audit->is_one_topic = audit->own_topic != NULL;
    audit->own_topic = audit->is_one_topic ? audit->own_topic : settings_text(command->settings, "topics.events");
    if (command->argument_count > 0) {
        error_set(err, ERROR_USAGE, "%s: audit takes no arguments", command->arguments[0]);
    } else if (command->check) {
        exit_code = ground_check(command->settings,
                                 &(struct ground){"tallymill audit", "tallymill_read",
                                                  audit->is_without_kafka ? NULL : audit->own_topic, RD_KAFKA_ACL_OPERATION_READ});
    } else if (!(audit->json = json_pack("{s:[], s:[], s:[], s:[]}", "topics", "checks", "damages", "notes"))) {
        error_set(err, ERROR_RETRY, "out of memory");
    } else if ((audit->snapshot = snapshot_open_whole(command->settings, "tallymill audit", err)) != NULL) {
        look(audit, err);
    }
    if (!command->check && audit->json && proof_is_said(err, audit->damages)) {
        exit_code = finish(audit, err);
    }
    if (!command->check) {
        leave_metrics(audit, began_us, exit_code, err);
    }
    json_decref(audit->json);
    snapshot_close(audit->snapshot);
    return exit_code;
}

static const struct cli audit_cli = {
    .program = "tallymill audit",
    .usage = "[OPTION ...]",
    .summary = "Proves on the live system that no event is lost and none is stored twice:\n"
               "offsets consumed = stored + duplicates + dead letters + skipped + gaps, and the rows are there.\n"
               "Needs a login with tallymill_read.\n",
    .examples = "  tallymill audit --config settings.ini\n  tallymill audit --config settings.ini --deep --json\n"
                "  tallymill audit --config settings.ini --topic old-events\n",
    .exit_codes = "0 it holds; 1 damage, each named; 2 usage, settings or schema; 3 needs a person;\n"
                  "4 not proven: a server did not answer. --json says the same as verdict: ok, damaged, not proven.",
    .programs = FOR_OPERATOR,
};

int audit_run(int argc, char **argv)
{
    struct audit audit = {0};
    const struct cli_option options[] = {
        {.name = "deep",
         .help = "also look for events stored twice and for rows on days their batch does not name (a second pass)",
         .flag = &audit.is_deep},
        {.name = "topic",
         .argument = "NAME",
         .help = "one topic of the books only, that of topics.events or another",
         .value = &audit.own_topic},
        {.name = "no-kafka", .help = "check the database only", .flag = &audit.is_without_kafka},
        {.name = "json", .help = "answer with one JSON object", .flag = &audit.as_json},
        {.name = "metrics", .argument = "FILE", .help = RUN_METRICS_HELP, .value = &audit.metrics_path},
        {.name = NULL},
    };
    struct cli cli = audit_cli;
    cli.options = options;
    return command_work(&cli, argc, argv, work, &audit);
}
