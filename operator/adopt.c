/* adopt.c - `tallymill adopt`: takes an existing analytics_events over, beside the application that goes on writing it.
 *
 * A copy beside the old table, month by month, with a log of what changes meanwhile; then both are compared, and change names.
 * Until that moment the old table is the one in use and
 * --abandon leaves it as it was. Whatever kills this command, the next run goes on.
 */
#include <stdio.h>
#include <string.h>

#include "common/array_text.h"
#include "common/cli.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/number_text.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "operator/adopt.h"
#include "operator/answer.h"
#include "operator/command.h"
#include "operator/rollups.h"
#include "operator/schema.h"
#include "operator/terminal.h"

#define OPEN_US (10 * CLOCK_SECOND_US)

enum { STALE_BYTES = 512 };

struct adopt_command {
    struct adopt adopt;
    bool is_plan, is_abandon, is_undo, is_finish;
};

static bool plan(struct adopt *adopt, struct error *err)
{
    int stops = 0;
    struct schema_ground ground;
    if (strcmp(adopt->step, "swapped") == 0) {
        puts("adopted: the old table is analytics_events_before; tallymill adopt --finish drops it, --undo goes back");
        return adopt_print_statistics(adopt, err);
    }
    if (adopt->step[0] != '\0') {
        return error_set(err, ERROR_USAGE, "an adoption is under way (%s): tallymill adopt goes on with it", adopt->step);
    }
    if (!adopt_print_columns(adopt, err) || !adopt_find_stops(adopt, stdout, &stops, err)) {
        return false;
    }
    if (stops > 0) {
        return error_set(err, ERROR_USAGE, "%d things stop the adoption: each line says what to do", stops);
    }
    adopt_print_plan(adopt);
    if (!adopt_print_zones(adopt, err) || !adopt_print_statistics(adopt, err) || !schema_look_beside(adopt->conn, &ground, err)) {
        return false;
    }
    puts("nothing stops it: tallymill adopt begins");
    return true;
}

static bool begin(struct adopt *adopt, struct error *err)
{
    int stops = 0;
    struct schema_ground ground;
    if (!adopt_find_stops(adopt, stderr, &stops, err)) {
        return false;
    }
    if (stops > 0) {
        return error_set(err, ERROR_USAGE, "%d things stop the adoption: each line says what to do; nothing was changed", stops);
    }
    return schema_look_beside(adopt->conn, &ground, err) && adopt_lay_ground(adopt, err);
}

/* Behind the swap, more than once: materialized views on the statistics wait for the aggregator. */
static bool renew_views(struct adopt *adopt, struct error *err)
{
    char names[STALE_BYTES];
    if (!adopt_renew_views(adopt, err) || !adopt_stale_views(adopt, names, sizeof names, err)) {
        return false;
    }
    if (names[0] != '\0') {
        fprintf(stderr,
                "tallymill adopt: until the aggregator has made the statistics of all days, %s show those of before; then "
                "tallymill adopt (or --finish) makes them anew\n",
                names);
    }
    return true;
}

static void tell(const struct adopt *adopt, int64_t took_us)
{
    char number[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES];
    printf("adopted: %s rows in months, compared row by row, in %s; analytics_events was locked for %.0f ms at most\n",
           number_text(number, adopt->rows), terminal_age(age, took_us), (double)adopt->locked_us / 1000);
    puts("the old table is analytics_events_before, with what it had when they changed names");
    if (adopt->look && answer_int(adopt->look, 0, "foreign_keys") > 0) {
        puts("its foreign keys are gone: a user who is deleted stays in user_id of his events, until tallymill erase takes them");
    }
    puts("next: tallymill migrate (topic, rollups, months ahead), then workers and aggregator, which makes the statistics; "
         "tallymill adopt --finish drops the old table, --undo goes back to it");
}

static bool adopt_all(struct adopt *adopt, struct error *err)
{
    const int64_t began_us = clock_now_us();
    if (strcmp(adopt->step, "swapped") == 0) {
        if (renew_views(adopt, err)) {
            puts("adopted already: the old table is analytics_events_before; tallymill adopt --finish drops it, --undo goes back");
        }
        return err->kind == ERROR_NONE;
    }
    if (strcmp(adopt->step, "abandoning") == 0) {
        return error_set(err, ERROR_USAGE, "this adoption is being given up: tallymill adopt --abandon goes on with that");
    }
    const bool is_logged = strcmp(adopt->step, "copying") == 0;
    const bool is_done = (adopt->step[0] != '\0' || begin(adopt, err)) && (is_logged || adopt_log_changes(adopt, err)) &&
                         adopt_copy(adopt, err) && adopt_replay(adopt, err) && adopt_compare(adopt, err) &&
                         adopt_swap(adopt, err) && renew_views(adopt, err);
    if (is_done) {
        tell(adopt, clock_now_us() - began_us);
    }
    return is_done;
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct adopt_command *this = context;
    struct adopt *adopt = &this->adopt;
    struct array_text tables = {0};
    bool is_done = false;
    if (command->argument_count > 0) {
        error_set(err, ERROR_USAGE, "%s: adopt takes no arguments", command->arguments[0]);
    } else if (this->is_plan + this->is_abandon + this->is_undo + this->is_finish > 1) {
        error_set(err, ERROR_USAGE, "--plan, --abandon, --undo and --finish: one at a time");
    } else if (rollups_tables(command->settings, &tables, err) &&
               (adopt->conn = postgres_open(settings_text(command->settings, "postgres.dsn"), "tallymill adopt", OPEN_US, err)) &&
               adopt_look(adopt, err)) {
        adopt->rollup_tables = tables.bytes;
        if (this->is_abandon) {
            is_done = adopt_abandon(adopt, err);
        } else if (this->is_undo) {
            is_done = adopt_undo(adopt, err);
        } else if (this->is_finish) {
            is_done = adopt_finish(adopt, err);
        } else if (this->is_plan || command->check) {
            is_done = plan(adopt, err);
        } else {
            is_done = adopt_all(adopt, err);
        }
    }
    PQclear(adopt->look);
    PQfinish(adopt->conn);
    array_text_free(&tables);
    return is_done || err->kind != ERROR_NONE ? 0 : 1;
}

int adopt_run(int argc, char **argv)
{
    struct adopt_command this = {.adopt.time_zone = ""};
    const struct cli_option options[] = {
        {.name = "plan", .help = "only say how each column is taken over, what stops it, and what it costs", .flag = &this.is_plan},
        {.name = "abandon", .help = "before the swap: drop the copy; the old table is as it was", .flag = &this.is_abandon},
        {.name = "undo",
         .help = "after the swap: take back into the old table what changed since, and put it in its place again",
         .flag = &this.is_undo},
        {.name = "with-stored", .help = "with --undo: also what workers stored", .flag = &this.adopt.with_stored},
        {.name = "finish", .help = "after the swap: drop the old table", .flag = &this.is_finish},
        {.name = "time-zone",
         .argument = "NAME",
         .help = "of a created_at that has none, as Europe/Berlin",
         .value = &this.adopt.time_zone},
        {.name = "ids-become-uuid",
         .help = "ids that are numbers become UUIDs: the application does not read them as numbers",
         .flag = &this.adopt.ids_become_uuid},
        {.name = "months-are-published",
         .help = "a publication of all tables publishes the copy, too: its subscribers have the months' tables, or take no notice",
         .flag = &this.adopt.months_are_published},
        {.name = NULL},
    };
    const struct cli cli = {
        .program = "tallymill adopt",
        .usage = "[OPTION ...]",
        .summary =
            "Takes an existing table public.analytics_events over, beside the application that goes on writing it: copies it\n"
            "month by month into partitioned tables, replays what changed meanwhile, compares all of it, and swaps the names.\n"
            "The table is locked twice, each time for less than a tenth of a second as a rule. Killed at any moment, the next\n"
            "run goes on. Statistics of all its days are made by the aggregator afterwards. Needs what the first migrate needs,\n"
            "and a login that owns the table, the views on it and schema public.\n",
        .examples = "  tallymill adopt --config settings.ini --plan\n"
                    "  tallymill adopt --config settings.ini\n"
                    "  tallymill migrate --config settings.ini\n"
                    "  tallymill adopt --config settings.ini --finish\n",
        .options = options,
        .programs = FOR_OPERATOR,
    };
    return command_work(&cli, argc, argv, work, &this);
}
