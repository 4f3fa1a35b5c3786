/* status_print.c - `tallymill status` for a person: a table of topic partitions, what is wrong with them, and the rest in
 * sentences. Text from servers passes terminal_text(). */
#include "operator/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/number_text.h"
#include "operator/answer.h"
#include "operator/table.h"
#include "operator/terminal.h"

enum { DEAD_LETTERS = 4 }; /* the column of print_totals() */

static void print_topic_partitions(const struct status *status)
{
    static const char *const heads[] = {"topic", "topic partition", "lag", "position", "last commit", "owner", "epoch"};
    struct table *table = table_new("lrrrrlr", heads);
    const PGresult *rows = status->topic_partitions;
    for (int row = 0; row < PQntuples(rows); row++) {
        char lag[NUMBER_TEXT_BYTES], position[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES + 8] = "never";
        char number[NUMBER_TEXT_BYTES];
        const int64_t offsets = status_lag(status, row);
        if (!status_is_shown(status, rows, row)) {
            continue;
        }
        number_text(position, answer_int(rows, row, "next_offset"));
        if (!answer_is_null(rows, row, "commit_age_us")) {
            snprintf(age, sizeof age, "%s ago", terminal_age(number, answer_int(rows, row, "commit_age_us")));
        }
        const char *const cells[] = {answer_text(rows, row, "topic"),
                                     answer_text(rows, row, "topic_partition"),
                                     offsets >= 0                   ? number_text(lag, offsets)
                                     : status_is_asked(status, row) ? "unknown"
                                                                    : "not asked",
                                     position,
                                     age,
                                     answer_text(rows, row, "owner"),
                                     answer_text(rows, row, "epoch")};
        table_add(table, cells);
    }
    if (PQntuples(rows) == 0) {
        printf("no topic partition was claimed yet: no worker has run\n");
    } else {
        table_print(table, "", stdout);
    }
    table_free(table);
}

/* What is wrong with single topic partitions, and which topics were not asked about. */
static void print_notes(const struct status *status)
{
    const PGresult *rows = status->topic_partitions;
    char note[STATUS_NOTE_BYTES];
    for (int row = 0; row < PQntuples(rows); row++) {
        if (status_is_shown(status, rows, row) && status_note(status, row, note)[0] != '\0') {
            fputs("topic ", stdout);
            terminal_text(stdout, answer_text(rows, row, "topic"));
            printf(", topic partition %s: ", answer_text(rows, row, "topic_partition"));
            terminal_text(stdout, note);
            fputc('\n', stdout);
        }
    }
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *topic = answer_text(rows, row, "topic");
        const bool is_first = row == 0 || strcmp(topic, answer_text(rows, row - 1, "topic")) != 0;
        if (is_first && status_is_shown(status, rows, row) && !status_is_asked(status, row)) {
            fputs("the lag of topic ", stdout);
            terminal_text(stdout, topic);
            fputs(" was not asked for; it is shown by: tallymill status --topic ", stdout);
            terminal_text(stdout, topic);
            fputc('\n', stdout);
        }
    }
}

static void print_kafka(const struct status *status)
{
    char number[NUMBER_TEXT_BYTES];
    if (status->kafka_silence[0] != '\0') {
        fputs(status->is_kafka_away ? "Kafka: unreachable, so the lag is unknown: " : "Kafka: the lag is unknown: ", stdout);
        terminal_text(stdout, status->kafka_silence);
        fputc('\n', stdout);
    } else if (status_unclaimed(status) > 0) {
        printf("%s events lie in topic partitions that no worker has claimed yet\n", number_text(number, status_unclaimed(status)));
    }
}

static void print_troubles(const PGresult *troubles)
{
    char age[TERMINAL_AGE_BYTES];
    for (int row = 0; row < PQntuples(troubles); row++) {
        fputs("worker ", stdout);
        terminal_text(stdout, answer_text(troubles, row, "owner"));
        printf(" has not stored a batch for %s: ", terminal_age(age, answer_int(troubles, row, "since_us")));
        terminal_text(stdout, answer_text(troubles, row, "reason"));
        if (answer_text(troubles, row, "sqlstate")[0] != '\0') {
            printf(" (SQLSTATE %s)", answer_text(troubles, row, "sqlstate"));
        }
        fputc('\n', stdout);
    }
}

/* Sessions of ours, or on tables of ours, that wait for a lock of somebody. */
static void print_waits(const PGresult *waits)
{
    for (int row = 0; row < PQntuples(waits); row++) {
        if (!answer_bool(waits, row, "is_ours"))
            continue;
        fputs("waiting for a lock: pid ", stdout);
        terminal_text(stdout, answer_text(waits, row, "pid"));
        fputs(" (", stdout);
        terminal_text(stdout, answer_text(waits, row, "application_name"));
        fputs("); ", stdout);
        terminal_text(stdout, answer_text(waits, row, "holder"));
        fputc('\n', stdout);
    }
}

static void print_totals(const struct status *status)
{
    static const char *const heads[] = {"topic", "offsets consumed", "stored", "duplicates", "dead letters", "skipped", "gaps"};
    static const char *const columns[] = {"consumed", "stored", "duplicates", "dead_letters", "skipped", "gaps"};
    struct table *table = table_new("lrrrrrr", heads);
    for (int row = 0; row < PQntuples(status->totals); row++) {
        char numbers[6][NUMBER_TEXT_BYTES], dead_letters[2 * NUMBER_TEXT_BYTES + 16], number[NUMBER_TEXT_BYTES];
        const char *cells[7] = {answer_text(status->totals, row, "topic")};
        const int64_t waiting = status_waiting(status, cells[0]);
        if (!status_is_shown(status, status->totals, row)) {
            continue;
        }
        for (int i = 0; i < 6; i++) {
            cells[i + 1] = number_text(numbers[i], answer_int(status->totals, row, columns[i]));
        }
        if (waiting > 0) {
            snprintf(dead_letters, sizeof dead_letters, "%s (%s wait)", cells[DEAD_LETTERS], number_text(number, waiting));
            cells[DEAD_LETTERS] = dead_letters;
        }
        table_add(table, cells);
    }
    if (PQntuples(status->totals) > 0) {
        fputc('\n', stdout);
        table_print(table, "", stdout);
    }
    table_free(table);
}

static void print_statistics(const struct status *status)
{
    const PGresult *facts = status->statistics;
    char number[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES];
    fputs("\nstatistics: ", stdout);
    if (answer_int(facts, 0, "pending_batches") == 0) {
        fputs("up to date with every stored row", stdout);
    } else {
        printf("%s rows stored and not yet counted, the oldest for %s", number_text(number, answer_int(facts, 0, "pending_rows")),
               terminal_age(age, answer_int(facts, 0, "behind_us")));
    }
    if (answer_is_null(facts, 0, "leader_since")) {
        fputs("; no aggregator has run yet\n", stdout);
    } else if (answer_text(facts, 0, "leader")[0] == '\0') {
        fputs("; no aggregator runs now\n", stdout);
    } else {
        fputs("; aggregator ", stdout);
        terminal_text(stdout, answer_text(facts, 0, "leader"));
        printf(", last seen %s ago\n", terminal_age(age, answer_int(facts, 0, "leader_seen_us")));
    }
    if (answer_int(facts, 0, "dirty_days") > 0) {
        printf("%s days wait for a rebuild, the newest: %s (", number_text(number, answer_int(facts, 0, "dirty_days")),
               answer_text(facts, 0, "dirty_newest"));
        terminal_text(stdout, answer_text(facts, 0, "dirty_reasons"));
        printf("); the oldest waits for %s", terminal_age(age, answer_int(facts, 0, "dirty_oldest_us")));
        if (answer_is_null(facts, 0, "dirty_left_us")) {
            puts("; none was rebuilt in the last minute");
        } else {
            printf("; at the pace of the last minute all are rebuilt in %s\n",
                   terminal_age(age, answer_int(facts, 0, "dirty_left_us")));
        }
    }
}

static void print_rollups(const PGresult *facts)
{
    char number[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES];
    if (answer_int(facts, 0, "rollups") == 0) {
        return;
    }
    printf("rollups: %s days and weeks of %s rollups", number_text(number, answer_int(facts, 0, "periods")),
           answer_text(facts, 0, "rollups"));
    printf(", %s wait to be computed", number_text(number, answer_int(facts, 0, "waiting")));
    if (answer_int(facts, 0, "waiting") > 0 && !answer_is_null(facts, 0, "left_us")) {
        printf(" (%s in the last minute, so %s", number_text(number, answer_int(facts, 0, "done_last_minute")),
               terminal_age(age, answer_int(facts, 0, "left_us")));
        fputs(" are left)", stdout);
    }
    if (answer_int(facts, 0, "not_due") > 0) {
        printf(", %s have changed and are not due yet", number_text(number, answer_int(facts, 0, "not_due")));
    }
    if (!answer_is_null(facts, 0, "ran_age_us")) {
        printf("; the last %s ago", terminal_age(age, answer_int(facts, 0, "ran_age_us")));
        printf(", the slowest %s in %s", answer_text(facts, 0, "slowest"), terminal_age(age, answer_int(facts, 0, "slowest_us")));
    }
    fputc('\n', stdout);
    if (answer_int(facts, 0, "failed") > 0) {
        printf("%s of them failed, the last: ", number_text(number, answer_int(facts, 0, "failed")));
        terminal_text(stdout, answer_text(facts, 0, "failure"));
        fputc('\n', stdout);
    }
}

static void print_unknown_events(const struct status *status)
{
    char number[NUMBER_TEXT_BYTES];
    json_t *unknown = status_unknown_events(status);
    for (size_t i = 0; i < json_array_size(unknown); i++) {
        const json_t *event = json_array_get(unknown, i);
        fputs(i == 0 ? "events that the catalogue does not know, of the last 7 days: " : ", ", stdout);
        terminal_text(stdout, json_string_value(json_object_get(event, "event_name")));
        printf(" %s", number_text(number, json_integer_value(json_object_get(event, "events"))));
    }
    fputs(json_array_size(unknown) > 0 ? "\n" : "", stdout);
    json_decref(unknown);
}

static void print_days(const struct status *status)
{
    static const char *const heads[] = {"day", "events", "event names", "state"};
    struct table *table = table_new("lrrl", heads);
    for (int row = 0; row < PQntuples(status->days); row++) {
        char events[NUMBER_TEXT_BYTES];
        const char *const cells[] = {answer_text(status->days, row, "day"),
                                     number_text(events, answer_int(status->days, row, "events")),
                                     answer_text(status->days, row, "event_names"), answer_text(status->days, row, "state")};
        table_add(table, cells);
    }
    if (PQntuples(status->days) > 0) {
        fputc('\n', stdout);
        table_print(table, "", stdout);
    }
    table_free(table);
}

void status_print(const struct status *status)
{
    print_topic_partitions(status);
    print_kafka(status);
    print_notes(status);
    print_troubles(status->troubles);
    print_waits(status->waits);
    print_totals(status);
    print_statistics(status);
    print_rollups(status->rollups);
    print_unknown_events(status);
    print_days(status);
}

void status_print_brief(const struct status *status)
{
    char number[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES], note[STATUS_NOTE_BYTES];
    int64_t dead_letters = 0;
    int wrong = 0;
    for (int row = 0; row < PQntuples(status->topic_partitions); row++) {
        wrong += status_is_shown(status, status->topic_partitions, row) && status_note(status, row, note)[0] != '\0';
    }
    for (int row = 0; row < PQntuples(status->books); row++) {
        dead_letters += status_is_shown(status, status->books, row) ? answer_int(status->books, row, "waiting") : 0;
    }
    printf("lag %s%s", status->backlog.logs ? number_text(number, status->backlog.waiting) : "unknown",
           status->max_lag ? status->is_too_late ? ", above " : ", not above " : "");
    fputs(status->max_lag ? status->max_lag : "", stdout);
    printf("; %d topic partitions stand still; %d workers cannot store", wrong, PQntuples(status->troubles));
    printf("; statistics %s", answer_int(status->statistics, 0, "pending_batches") == 0
                                  ? "up to date"
                                  : terminal_age(age, answer_int(status->statistics, 0, "behind_us")));
    printf("%s, %s days wait", answer_int(status->statistics, 0, "pending_batches") == 0 ? "" : " behind",
           number_text(number, answer_int(status->statistics, 0, "dirty_days")));
    printf("; %s dead letters wait\n", number_text(number, dead_letters));
}
