/* erase.c - `tallymill erase`: takes away what is kept of a person: events, archived ones too, dead letters; and gives a receipt.
 *
 * First what Kafka holds is stored, so that nothing of before comes after. Then the rows go, with entries in the books, so that
 * `tallymill audit` still counts every offset, and the statistics of their days are made anew, so that they equal the raw events
 * again. What cannot be reached is said, in the receipt and by exit code 1. Invariant: what a receipt counts is gone, and what is
 * gone is counted.
 */
#include "operator/erase.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cli.h"
#include "common/clock.h"
#include "common/number_text.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/archive_store.h"
#include "operator/command.h"
#include "operator/ground.h"
#include "operator/step_teller.h"
#include "operator/terminal.h"

#define CONNECT_US INT64_C(10000000)

static void count_months(struct erase_run *run, const PGresult *days)
{
    for (int row = 0; row < PQntuples(days); row++) {
        run->rows += answer_int(days, row, "rows");
        json_object_set_new(run->months, answer_text(days, row, "month"), json_integer(answer_int(days, row, "month_rows")));
    }
}

static bool look_only(struct erase_run *run, struct error *err)
{
    PGresult *days = erase_find(run, err);
    if (days) {
        count_months(run, days);
    }
    PQclear(days);
    if (!days || !erase_archives_look(run, err)) {
        return false;
    }
    erase_archives_count(run);
    return erase_letters(run, err) && erase_unreached(run, err);
}

/* The guard looks before anything is noted or changed; the rows are looked for again once Kafka's are stored. */
static bool erase(struct erase_run *run, json_t **receipt, struct error *err)
{
    PGresult *days = erase_archives_look(run, err) ? erase_find(run, err) : NULL;
    bool is_good = days && erase_guard(run, days, err) && erase_archives_stay(run, err) && erase_begin(run, err) &&
                   erase_wait_for_kafka(run, err);
    PQclear(days);
    days = is_good ? erase_find(run, err) : NULL;
    is_good = days && erase_guard(run, days, err) && erase_letters(run, err) && erase_first_seen(run, err) &&
              erase_rows(run, days, err) && erase_archives(run, err) && erase_keys(run, err) && erase_unreached(run, err);
    PQclear(days);
    if (is_good) {
        erase_remark(run, false, "not reached: backups, and what was exported before");
    }
    return is_good && erase_end(run, receipt, err);
}

static json_t *dry_answer(const struct erase_run *run)
{
    return json_pack("{s:b, s:O, s:I, s:I, s:I, s:O}", "dry_run", 1, "rows", run->months, "dead_letters", (json_int_t)run->letters,
                     "undecodable", (json_int_t)(run->undecodable + run->perhaps), "unread", (json_int_t)run->unread, "remarks",
                     run->remarks);
}

static int64_t sum_of(const json_t *counts)
{
    int64_t sum = 0;
    const char *month;
    json_t *rows;
    json_object_foreach((json_t *)counts, month, rows) {
        sum += json_integer_value(rows);
    }
    return sum;
}

static void tell(const struct erase_run *run, const json_t *receipt)
{
    char rows[NUMBER_TEXT_BYTES], letters[NUMBER_TEXT_BYTES];
    const json_t *counts = json_object_get(receipt, "counts"), *months = receipt ? json_object_get(counts, "rows") : run->months;
    const int64_t dead = receipt ? json_integer_value(json_object_get(counts, "dead_letters")) +
                                       json_integer_value(json_object_get(counts, "undecodable"))
                                 : run->letters + run->undecodable;
    printf("%s %s events of %zu months and %s dead letters\n", run->is_dry ? "would erase" : "erased",
           number_text(rows, sum_of(months)), json_object_size(months), number_text(letters, dead));
    const char *month;
    json_t *count;
    json_object_foreach((json_t *)months, month, count) {
        printf("  %s  %15s\n", month, number_text(rows, json_integer_value(count)));
    }
    if (!receipt) {
        return;
    }
    printf("receipt %" JSON_INTEGER_FORMAT ": SHA-256 %s\n", json_integer_value(json_object_get(receipt, "receipt")),
           json_string_value(json_object_get(receipt, "hash")));
    json_object_foreach((json_t *)json_object_get(counts, "archives"), month, count) {
        if (json_integer_value(count) > 0) {
            printf("the archive of %s was written anew without them (generation %" JSON_INTEGER_FORMAT ")\n", month,
                   json_integer_value(count));
        }
    }
    const char *until = json_string_value(json_object_get(receipt, "kafka_until"));
    if (until) {
        printf("Kafka's own copies are gone by %s\n", until);
    }
    puts(run->is_complete ? "complete" : "NOT COMPLETE: what was not reached is named above; erase again once it can be");
}

/* Those of all receipts in the database, whose chain `tallymill audit` checks, and of the files that are named. */
static bool take_receipts(struct erase_run *run, const struct cli_result *command, struct error *err)
{
    PGresult *kept = postgres_query(
        run->conn,
        "SELECT jsonb_build_object('users', e.users, 'sessions', e.sessions)::text FROM tallymill.erasures e ORDER BY e.erasure",
        ERASE_QUERY_US, err);
    json_error_t fault;
    bool is_good = kept != NULL;
    for (int row = 0; is_good && row < PQntuples(kept); row++) {
        json_t *receipt = json_loads(PQgetvalue(kept, row, 0), 0, &fault);
        is_good = erase_subject_add_receipt(&run->subject, receipt, err);
        json_decref(receipt);
    }
    PQclear(kept);
    for (int i = 0; is_good && i < command->argument_count; i++) {
        json_t *receipt = json_load_file(command->arguments[i], 0, &fault);
        is_good = receipt ? erase_subject_add_receipt(&run->subject, receipt, err) && erase_receipt_check(run, receipt, err)
                          : error_set(err, ERROR_USAGE, "%s", fault.text);
        json_decref(receipt);
        is_good = is_good || error_wrap(err, "%s", command->arguments[i]);
    }
    return is_good;
}

static bool choose_subject(struct erase_run *run, const struct cli_result *command, struct error *err)
{
    const bool is_named = run->subject.user_count + run->subject.session_count > 0;
    if (run->is_again && is_named) {
        return error_set(err, ERROR_USAGE, "--again erases what the receipts name, and no other");
    }
    if (!run->is_again && command->argument_count > 0) {
        return error_set(err, ERROR_USAGE, "unexpected argument %.60s: tallymill erase --user ID, or --session ID",
                         command->arguments[0]);
    }
    if (!run->is_again && !is_named) {
        return error_set(err, ERROR_USAGE, "whose? tallymill erase --user ID, or --session ID");
    }
    return true;
}

static bool run_all(struct erase_run *run, const struct cli_result *command, struct error *err)
{
    json_t *receipt = NULL;
    run->conn = postgres_open(settings_text(run->settings, "postgres.dsn"), "tallymill erase", CONNECT_US, err);
    if (!run->conn || !postgres_check_schema(run->conn, err) || (run->is_again && !take_receipts(run, command, err)) ||
        !erase_subject_end(&run->subject, err)) {
        return false;
    }
    if (run->subject.user_count + run->subject.session_count == 0) {
        return error_set(err, ERROR_USAGE, "--again: there is no receipt; name the files of those that were given out");
    }
    const bool is_done = run->is_dry ? look_only(run, err) : erase(run, &receipt, err);
    step_teller_end();
    if (is_done && run->as_json) {
        json_t *answer = run->is_dry ? dry_answer(run) : json_incref(receipt);
        answer_print(answer);
        json_decref(answer);
    } else if (is_done) {
        tell(run, receipt);
    }
    json_decref(receipt);
    return is_done;
}

static bool check_target(struct check *check, const struct cli_result *command)
{
    struct error err = {0};
    return archive_store_check_target(command->settings, &err) || check_found(check, &err);
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct erase_run *run = context;
    bool is_done = false;
    run->settings = command->settings;
    run->months = json_object();
    run->remarks = json_array();
    if (!run->months || !run->remarks) {
        error_set(err, ERROR_RETRY, "out of memory");
    } else if (command->check) {
        return ground_check_also(command,
                                 &(struct ground){"tallymill erase", "tallymill_admin",
                                                  settings_text(command->settings, "topics.events"),
                                                  RD_KAFKA_ACL_OPERATION_DESCRIBE},
                                 check_target);
    } else {
        is_done = choose_subject(run, command, err) && run_all(run, command, err);
    }
    PQfinish(run->conn);
    erase_archives_close(run);
    json_decref(run->months);
    json_decref(run->remarks);
    erase_subject_reset(&run->subject);
    return is_done && !run->is_complete && !run->is_dry ? 1 : 0;
}

static bool take_user(void *context, const char *value, struct error *err)
{
    return erase_subject_add_user(context, value, err);
}

static bool take_session(void *context, const char *value, struct error *err)
{
    return erase_subject_add_session(context, value, err);
}

static bool take_wait(void *context, const char *value, struct error *err)
{
    char *end;
    const long seconds = strtol(value, &end, 10);
    *(int64_t *)context = seconds * CLOCK_SECOND_US;
    return (*value && !*end && seconds >= 0 && seconds <= 86400) ||
           error_set(err, ERROR_USAGE, "--wait %.20s: seconds, 0 to 86400", value);
}

static const struct cli erase_cli = {
    .program = "tallymill erase",
    .usage = "--user ID | --session ID ... [OPTION ...]",
    .summary =
        "Takes away what is kept of a user or a session: events of all months, archived ones too, and dead letters. A month that\n"
        "is archived and holds them comes back, and leaves again without them. The statistics of their days are made anew, and a\n"
        "receipt is kept and given out. An application that sends the events again makes new rows. Events without the user's "
        "number\n"
        "are erased by their --session.\n"
        "Needs a login with tallymill_admin.\n",
    .examples = "  tallymill erase --config settings.ini --user 1001 --dry-run\n"
                "  tallymill erase --config settings.ini --user 1001 --session s-42 --json > receipt.json\n"
                "  tallymill erase --config settings.ini --again receipts/*.json    (after a restored backup)\n",
    .exit_codes =
        "0 complete; 1 not complete, what was not reached is named, or failed, a restart may help; 2 usage, settings or schema,\n"
        "or more would go than goes without --yes; 3 needs a person.",
    .programs = FOR_OPERATOR,
};

int erase_run(int argc, char **argv)
{
    struct erase_run run = {.is_complete = true, .kafka_keeps_s = -1, .wait_us = 300 * CLOCK_SECOND_US};
    const struct cli_option options[] = {
        {.name = "user", .argument = "ID", .help = "a user_id; again for more", .each = take_user, .context = &run.subject},
        {.name = "session",
         .argument = "ID",
         .help = "a session_id; again for more",
         .each = take_session,
         .context = &run.subject},
        {.name = "dry-run", .help = "say what would go, and do nothing", .flag = &run.is_dry},
        {.name = "yes",
         .help = "also where more than 100,000 events would go, or more than a hundredth of a month's",
         .flag = &run.is_confirmed},
        {.name = "undecodable",
         .help = "also drop the bytes of dead letters that cannot be read and hold the session's text",
         .flag = &run.takes_undecodable},
        {.name = "wait",
         .argument = "SECONDS",
         .help = "how long to wait until what Kafka holds is stored, and for an archived month to leave again (300 unless said), "
                 "and at most for an aggregator (30)",
         .each = take_wait,
         .context = &run.wait_us},
        {.name = "again", .help = "what all receipts name, those in the database and in the files named", .flag = &run.is_again},
        {.name = "json", .help = "answer with the receipt, as JSON", .flag = &run.as_json},
        {.name = NULL},
    };
    struct cli cli = erase_cli;
    cli.options = options;
    return command_work(&cli, argc, argv, work, &run);
}
