/* status.c - `tallymill status`: where everything stands now, for a person or (--json) a program.
 *
 * The database answers in one snapshot, then Kafka is asked for the ends of its logs; so a lag is never too small. Kafka may be
 * away: that is something to show, not a failure. The lag shown is from the ledger, which is the truth; the consumer group's own
 * offsets are advice to other tools and are not read.
 *
 * What stands still is told from here too: a log that ends below the position, another topic under the name, or messages that wait
 * while nothing is committed. The worker that stopped says more in its log; but whoever asks does not know yet on which host that
 * is.
 */
#include "operator/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/catalogue.h"
#include "common/cli.h"
#include "common/clock.h"
#include "common/lock_watch.h"
#include "common/number_text.h"
#include "common/settings.h"
#include "common/settings_value.h"
#include "operator/answer.h"
#include "operator/command.h"
#include "operator/ground.h"
#include "operator/snapshot.h"
#include "operator/terminal.h"
#include "operator/topic.h"
#include "operator/watch.h"

extern const char status_statistics_sql[], status_days_sql[], status_rollups_sql[], status_troubles_sql[], status_books_sql[],
    status_names_sql[], audit_totals_sql[];

enum { KAFKA_TIMEOUT_MS = 5000, UNKNOWN_EVENTS_MAX = 8 };

static bool ask_database(struct status *status, struct error *err)
{
    struct snapshot *snapshot = snapshot_open(status->settings, "tallymill status", err);
    bool is_read = snapshot && (status->topic_partitions = snapshot_ask(snapshot, backlog_positions_sql, err)) &&
                   (status->totals = snapshot_ask(snapshot, audit_totals_sql, err)) &&
                   (status->books = snapshot_ask(snapshot, status_books_sql, err)) &&
                   (status->statistics = snapshot_ask(snapshot, status_statistics_sql, err)) &&
                   (status->days = snapshot_ask(snapshot, status_days_sql, err)) &&
                   (status->names = snapshot_ask(snapshot, status_names_sql, err)) &&
                   (status->rollups = snapshot_ask(snapshot, status_rollups_sql, err)) &&
                   (status->troubles = snapshot_ask(snapshot, status_troubles_sql, err)) &&
                   (status->waits = snapshot_ask(snapshot, lock_waits_sql, err));
    snapshot_close(snapshot);
    return is_read;
}

/* Whether a message waits for longer; what nobody knows is too long. */
static bool is_older(struct status *status, int64_t age_us)
{
    struct error err = {0};
    bool is_any = !backlog_mark_older(&status->backlog, status->client, status->topic, age_us, KAFKA_TIMEOUT_MS, &err);
    for (int i = 0; i < status->backlog.count; i++) {
        is_any |= status->backlog.logs[i].is_older;
    }
    return is_any;
}

static void ask_kafka(struct status *status)
{
    struct error err = {0};
    status->kafka_silence[0] = '\0';
    if ((!status->client && !(status->client = topic_client(status->settings, &err))) ||
        !backlog_read(status->topic_partitions, status->client, status->topic, KAFKA_TIMEOUT_MS, false, &status->backlog, NULL,
                      &err)) {
        snprintf(status->kafka_silence, sizeof status->kafka_silence, "%s", err.text);
        status->is_kafka_away = err.kind == ERROR_RETRY;
        status->is_too_late = true;
        return;
    }
    status->is_too_late = status->max_us >= 0 ? is_older(status, status->max_us)
                                              : status->max_offsets >= 0 && status->backlog.waiting > status->max_offsets;
    is_older(status, STATUS_STANDING_SECONDS * CLOCK_SECOND_US); /* the mark itself is what status_note() looks at */
}

bool status_is_shown(const struct status *status, const PGresult *rows, int row)
{
    return !status->is_one_topic || strcmp(answer_text(rows, row, "topic"), status->topic) == 0;
}

bool status_is_asked(const struct status *status, int row)
{
    return strcmp(answer_text(status->topic_partitions, row, "topic"), status->topic) == 0;
}

/* NULL: Kafka was not asked about it. */
static const struct backlog_log *log_of(const struct status *status, int row)
{
    const int64_t topic_partition = answer_int(status->topic_partitions, row, "topic_partition");
    return status->backlog.logs && status_is_asked(status, row) && topic_partition < status->backlog.count
               ? &status->backlog.logs[topic_partition]
               : NULL;
}

int64_t status_lag(const struct status *status, int row)
{
    const struct backlog_log *log = log_of(status, row);
    return log && log->is_in_kafka ? log->high - log->next_offset : -1;
}

/* The topic's id in the books; "" where they know none. */
static const char *id_in_books(const struct status *status, const char *topic)
{
    for (int row = 0; row < PQntuples(status->books); row++) {
        if (strcmp(answer_text(status->books, row, "topic"), topic) == 0) {
            return answer_text(status->books, row, "topic_id");
        }
    }
    return "";
}

const char *status_note(const struct status *status, int row, char note[STATUS_NOTE_BYTES])
{
    const struct backlog_log *log = log_of(status, row);
    char age[TERMINAL_AGE_BYTES], number[NUMBER_TEXT_BYTES];
    note[0] = '\0';
    if (!log) {
        return note;
    }
    const char *known = id_in_books(status, status->topic);
    if (known[0] && status->backlog.topic_id[0] && strcmp(known, status->backlog.topic_id) != 0) {
        snprintf(
            note, STATUS_NOTE_BYTES,
            "stopped: the topic was made anew, and is not the one that the books are about: tallymill topic renew %.200s --yes",
            status->topic);
    } else if (!log->is_in_kafka) {
        snprintf(note, STATUS_NOTE_BYTES,
                 "stopped: Kafka has no such topic partition: tallymill audit says what became of the topic");
    } else if (log->high < log->next_offset) {
        snprintf(note, STATUS_NOTE_BYTES,
                 "stopped: Kafka's log ends at %" PRId64 ", below what is stored: it was truncated, or made anew; tallymill audit "
                 "names it, and behind a look: tallymill reset --at %s:%" PRId64 " --yes",
                 log->high, answer_text(status->topic_partitions, row, "topic_partition"), log->high);
    } else if (log->lost > 0) {
        snprintf(note, STATUS_NOTE_BYTES,
                 "Kafka has deleted %s events that were not stored yet: a worker notes them as a gap, and goes on behind it",
                 number_text(number, log->lost));
    } else if (log->is_older && (log->commit_age_us < 0 || log->commit_age_us > STATUS_STANDING_SECONDS * CLOCK_SECOND_US)) {
        snprintf(note, STATUS_NOTE_BYTES, "stands still: %s events wait, and %s%.100s %s%s%s: see its log, or tallymill doctor",
                 number_text(number, log->waiting), log->owner[0] ? "its owner " : "nobody", log->owner,
                 log->owner[0] ? "has committed nothing" : "stores it", log->commit_age_us >= 0 ? " for " : "",
                 log->commit_age_us >= 0 ? terminal_age(age, log->commit_age_us) : "");
    }
    return note;
}

int64_t status_unclaimed(const struct status *status)
{
    int64_t offsets = 0;
    for (int i = 0; i < status->backlog.count; i++) {
        offsets += status->backlog.logs[i].is_claimed ? 0 : status->backlog.logs[i].waiting;
    }
    return offsets;
}

int64_t status_waiting(const struct status *status, const char *topic)
{
    for (int row = 0; row < PQntuples(status->books); row++) {
        if (strcmp(answer_text(status->books, row, "topic"), topic) == 0) {
            return answer_int(status->books, row, "waiting");
        }
    }
    return 0;
}

json_t *status_unknown_events(const struct status *status)
{
    struct error err = {0};
    json_t *unknown = json_array();
    const char *file = settings_text(status->settings, "catalogue.file");
    struct catalogue *catalogue = catalogue_load(file[0] ? file : NULL, &err);
    for (int row = 0; catalogue && row < PQntuples(status->names) && json_array_size(unknown) < UNKNOWN_EVENTS_MAX; row++) {
        const char *name = answer_text(status->names, row, "event_name");
        if (!catalogue_find(catalogue, name, strlen(name))) {
            json_array_append_new(unknown, answer_object(status->names, row));
        }
    }
    catalogue_free(catalogue);
    return unknown;
}

/* The rows that are shown. */
static json_t *shown_array(const struct status *status, const PGresult *rows)
{
    json_t *array = json_array();
    for (int row = 0; row < PQntuples(rows); row++) {
        if (status_is_shown(status, rows, row)) {
            json_array_append_new(array, answer_object(rows, row));
        }
    }
    return array;
}

/* `lag` is null where Kafka did not say. */
static json_t *topic_partitions_json(const struct status *status)
{
    json_t *topic_partitions = json_array();
    char note[STATUS_NOTE_BYTES];
    for (int row = 0; row < PQntuples(status->topic_partitions); row++) {
        if (status_is_shown(status, status->topic_partitions, row)) {
            json_t *one = answer_object(status->topic_partitions, row);
            const int64_t lag = status_lag(status, row);
            json_object_set_new(one, "lag", lag >= 0 ? json_integer(lag) : json_null());
            json_object_set_new(one, "note", status_note(status, row, note)[0] ? json_string(note) : json_null());
            json_array_append_new(topic_partitions, one);
        }
    }
    return topic_partitions;
}

static json_t *totals_json(const struct status *status)
{
    json_t *totals = shown_array(status, status->totals);
    for (size_t i = 0; i < json_array_size(totals); i++) {
        json_t *one = json_array_get(totals, i);
        json_object_set_new(one, "dead_letters_waiting",
                            json_integer(status_waiting(status, json_string_value(json_object_get(one, "topic")))));
    }
    return totals;
}

static json_t *waits_json(const struct status *status)
{
    json_t *waits = answer_array(status->waits);
    for (size_t i = json_array_size(waits); i-- > 0;) {
        json_t *wait = json_array_get(waits, i);
        json_object_del(wait, "self");
        if (!json_is_true(json_object_get(wait, "is_ours"))) {
            json_array_remove(waits, i);
        }
    }
    return waits;
}

static bool print_json(const struct status *status)
{
    json_t *json = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kafka", status->kafka_silence[0] ? status->kafka_silence : "reachable",
        "topic_partitions", topic_partitions_json(status), "totals", totals_json(status), "statistics",
        answer_object(status->statistics, 0), "days", answer_array(status->days), "rollups", answer_object(status->rollups, 0),
        "troubles", answer_array(status->troubles), "waits", waits_json(status), "unknown_events", status_unknown_events(status));
    if (json && status->backlog.logs) {
        json_object_set_new(json, "unclaimed_offsets", json_integer(status_unclaimed(status)));
    }
    const bool is_written = status->is_watched ? answer_print_line(json) : answer_print(json);
    json_decref(json);
    return is_written;
}

static bool look(void *context, struct error *err)
{
    struct status *status = context;
    if (!ask_database(status, err)) {
        return false;
    }
    ask_kafka(status);
    return true;
}

static void print(void *context)
{
    struct status *status = context;
    if (status->is_brief) {
        status_print_brief(status);
    } else if (status->as_json) {
        status->is_written = print_json(status);
    } else {
        status_print(status);
    }
}

static void forget(void *context)
{
    struct status *status = context;
    PGresult **const answers[] = {&status->topic_partitions, &status->totals, &status->statistics, &status->days, &status->rollups,
                                  &status->troubles,         &status->waits,  &status->books,      &status->names};
    backlog_free(&status->backlog);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        PQclear(*answers[i]);
        *answers[i] = NULL;
    }
}

/* "10000" or "30 s". */
static bool read_max_lag(struct status *status, struct error *err)
{
    static const struct setting offsets = {.key = "--max-lag", .type = SETTING_COUNT, .fallback = "0", .max = INT64_MAX};
    static const struct setting time = {
        .key = "--max-lag", .type = SETTING_DURATION, .fallback = "0 s", .max = 3650 * CLOCK_DAY_US};
    status->max_offsets = status->max_us = -1;
    if (!status->max_lag) {
        return true;
    }
    const bool is_count = status->max_lag[strspn(status->max_lag, "0123456789")] == '\0';
    return settings_value_parse(is_count ? &offsets : &time, status->max_lag, is_count ? &status->max_offsets : &status->max_us,
                                err) ||
           error_wrap(err, "--max-lag %.60s", status->max_lag);
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct status *status = context;
    int exit_code = 0;
    status->settings = command->settings;
    status->is_one_topic = status->topic != NULL;
    status->is_brief |= status->max_lag && !status->as_json;
    status->topic = status->topic ? status->topic : settings_text(command->settings, "topics.events");
    if (command->argument_count > 0) {
        error_set(err, ERROR_USAGE, "%s: status takes no arguments", command->arguments[0]);
    } else if (command->check) {
        exit_code = ground_check(command->settings, &(struct ground){"tallymill status", "tallymill_read", status->topic,
                                                                     RD_KAFKA_ACL_OPERATION_DESCRIBE});
    } else if (!read_max_lag(status, err)) {
        exit_code = 0; /* the error's own */
    } else if (status->is_watched) {
        error_ignore(
            watch(&(struct watch){"tallymill status", status->as_json, look, print, forget, status}, err)); /* err says it */
    } else if (look(status, err)) {
        print(status);
        exit_code = status->is_written && !(status->max_lag && status->is_too_late) ? 0 : 1;
    }
    forget(status);
    if (status->client) {
        rd_kafka_destroy(status->client);
    }
    return exit_code;
}

static const struct cli status_cli = {
    .program = "tallymill status",
    .usage = "[OPTION ...]",
    .summary =
        "Shows lag, owner and last commit of each topic partition, what became of the events, and how fresh the statistics are.\n"
        "Works while Kafka is away. Needs a login with tallymill_read.\n",
    .examples =
        "  tallymill status --config settings.ini\n  tallymill status --config settings.ini --max-lag '5 min' || echo too late\n"
        "  tallymill status --config settings.ini --json | jq '[.topic_partitions[].lag] | add'\n",
    .exit_codes = "0 shown, also while Kafka is away; 1 no database, or more waits than --max-lag, or nobody knows how much;\n2 "
                  "usage, settings or schema; 3 needs a person.",
    .programs = FOR_OPERATOR,
};

int status_run(int argc, char **argv)
{
    struct status status = {.is_written = true};
    const struct cli_option options[] = {
        {.name = "topic",
         .argument = "TOPIC",
         .help = "only this topic of the books, and its lag instead of that of topics.events",
         .value = &status.topic},
        {.name = "brief", .help = "one line", .flag = &status.is_brief},
        {.name = "max-lag",
         .argument = "N|TIME",
         .help = "one line, and exit code 1 where more events wait, or one for longer: 10000, 5 min",
         .value = &status.max_lag},
        {.name = "watch", .help = "look again every two seconds, until it is ended", .flag = &status.is_watched},
        {.name = "json", .help = "answer with one JSON object; with --watch one a line", .flag = &status.as_json},
        {.name = NULL},
    };
    struct cli cli = status_cli;
    cli.options = options;
    return command_work(&cli, argc, argv, work, &status);
}
