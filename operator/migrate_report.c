/* migrate_report.c - see migrate_report.h. */
#include "operator/migrate_report.h"

#include <stdio.h>

#include <jansson.h>

#include "operator/answer.h"
#include "operator/terminal.h"

void migrate_report_schema(const struct migrate_report *report, bool is_check)
{
    const struct schema_ground *ground = &report->ground;
    const int migrations = is_check ? ground->known - ground->version : report->done.migrations;
    const int objects = is_check ? ground->objects_due : report->done.objects;
    const char *end = is_check ? "to apply" : "applied";
    printf("schema  version %d, ", is_check ? ground->version : ground->known);
    if (migrations > 0) {
        printf("%d migrations %s%s", migrations, end, objects > 0 ? ", " : "");
    }
    if (objects > 0) {
        printf("%d functions and views %s", objects, end);
    }
    printf("%s (database ", migrations + objects > 0 ? "" : "nothing to do");
    terminal_text(stdout, ground->database);
    printf(")\n");
}

/* What --check found out is its answer; what a person should know of a migration is talk. */
static void print_lines(const struct migrate_report *report, bool is_check)
{
    for (size_t i = 0; i < json_array_size(report->rollups.lines); i++) {
        fputs(is_check ? "        " : "tallymill migrate: ", is_check ? stdout : stderr);
        terminal_text(is_check ? stdout : stderr, json_string_value(json_array_get(report->rollups.lines, i)));
        fputc('\n', is_check ? stdout : stderr);
    }
    if (report->topic_warning[0] != '\0') {
        fprintf(stderr, "tallymill migrate: topic %s was there and is left as it is: %s\n", report->topic, report->topic_warning);
    }
    if (report->topic_refusal[0] != '\0') {
        fprintf(stderr, "tallymill migrate: topic %s: %s\n", report->topic, report->topic_refusal);
    }
}

/* Refused files are talk, and go to stderr in every form of the report. */
static void print_refused(const struct migrate_report *report)
{
    for (size_t i = 0; i < json_array_size(report->rollups.refused); i++) {
        fputs("tallymill migrate: refused ", stderr);
        terminal_text(stderr, json_string_value(json_array_get(report->rollups.refused, i)));
        fputc('\n', stderr);
    }
}

void migrate_report_rollups(const struct migrate_report *report, bool is_check)
{
    const struct rollups_report *rollups = &report->rollups;
    if (rollups->is_missing) {
        printf("rollups none: there is no directory ");
    } else if (is_check) {
        printf("rollups %d files, %zu of them refused: ", rollups->files, json_array_size(rollups->refused));
    } else {
        printf("rollups %d files: %d made, %d changed, %zu refused, %d retired: ", rollups->files, rollups->made, rollups->changed,
               json_array_size(rollups->refused), rollups->retired);
    }
    terminal_text(stdout, rollups->directory);
    fputc('\n', stdout);
}

void migrate_report_subjects(const struct migrate_report *report, bool is_check)
{
    const struct subjects_report *subjects = &report->subjects;
    printf("uniques %d subjects", subjects->count);
    if (!is_check) {
        printf(": %d made, %d retired", subjects->made, subjects->retired);
    }
    putchar('\n');
}

void migrate_report_print(const struct migrate_report *report)
{
    migrate_report_schema(report, false);
    if (report->given_back > 0) {
        printf("owners  %d objects given back to tallymill_admin (a restore with --no-owner had taken them)\n", report->given_back);
    }
    migrate_report_rollups(report, false);
    migrate_report_subjects(report, false);
    if (report->topic_asked) {
        printf("topic   %s, %s, %d topic partitions\n", report->topic, report->topic_made ? "made" : "there already",
               report->topic_partitions);
    } else {
        printf("topic   %s, left alone (%s)\n", report->topic,
               report->topic_refusal[0] ? "it is of another cluster" : "--no-topic");
    }
    printf("months  this one and the next %d, %d of them made\n", report->months.ahead, report->months.made);
    if (report->indexes.built > 0) {
        printf("indexes %d built for months that had none for internal events\n", report->indexes.built);
    }
}

int migrate_report_json(const struct migrate_report *report)
{
    json_t *json = json_pack(
        "{s:{s:s, s:i, s:i, s:i}, s:{s:s, s:b, s:b, s:i, s:s}, s:{s:i, s:i}, s:{s:s, s:i, s:i, s:i, s:i, s:O}, s:{s:i, s:i, s:i}}",
        "schema", "database", report->ground.database, "version", report->ground.known, "applied", report->done.migrations,
        "objects", report->done.objects, "topic", "name", report->topic, "asked", report->topic_asked, "made", report->topic_made,
        "topic_partitions", report->topic_partitions, "warning", report->topic_warning, "months", "ahead", report->months.ahead,
        "made", report->months.made, "rollups", "directory", report->rollups.directory, "files", report->rollups.files, "made",
        report->rollups.made, "changed", report->rollups.changed, "retired", report->rollups.retired, "refused",
        report->rollups.refused, "uniques", "subjects", report->subjects.count, "made", report->subjects.made, "retired",
        report->subjects.retired);
    bool is_written = answer_print(json);
    json_decref(json);
    return is_written ? 0 : 1;
}

void migrate_report_talk(const struct migrate_report *report, bool is_check)
{
    print_refused(report);
    print_lines(report, is_check);
}
