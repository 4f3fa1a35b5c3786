/* migrate_report.h - what `tallymill migrate` did, or with --check would do, and how it says so. One thread. */
#ifndef TALLYMILL_OPERATOR_MIGRATE_REPORT_H
#define TALLYMILL_OPERATOR_MIGRATE_REPORT_H

#include <stdbool.h>

#include "operator/month_indexes.h"
#include "operator/months.h"
#include "operator/rollups.h"
#include "operator/schema.h"
#include "operator/subjects.h"

struct migrate_report {
    struct schema_ground ground;
    struct rollups_report rollups;
    struct subjects_report subjects;
    struct schema_done done;
    int given_back;
    struct months_report months;
    struct month_indexes_report indexes;
    const char *topic;
    bool topic_asked, topic_made;
    int topic_partitions;
    char topic_warning[512];
    char topic_refusal[512]; /* why it is not the ledger's topic: exit code 2 */
};

/* A line each, on stdout. is_check: of what would be done. */
void migrate_report_schema(const struct migrate_report *report, bool is_check);
void migrate_report_rollups(const struct migrate_report *report, bool is_check);
void migrate_report_subjects(const struct migrate_report *report, bool is_check);

/* All of what was done; the same as one JSON object, which answers with the exit code. */
void migrate_report_print(const struct migrate_report *report);
int migrate_report_json(const struct migrate_report *report);

/* What a person should know beside it, in whatever form it is: refused files, a topic that is not as ours would be. */
void migrate_report_talk(const struct migrate_report *report, bool is_check);

#endif
