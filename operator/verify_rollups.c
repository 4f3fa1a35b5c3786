/* verify_rollups.c - see verify_rollups.h.
 *
 * A rollup says which version of its events its rows are of, so the question is fair whenever that is the version of this snapshot;
 * a period of which it is not waits for its cadence and is set aside, by rollup and reason. Rows of other programs that nobody has
 * seen yet are looked for only where figures differ. A query that fails (it is an operator's own) is set aside too, and the others are
 * compared. The comparison itself is SQL (tallymill.rollup_differences), because only the
 * database knows the columns of an operator's own rollup.
 */
#include "verify_rollups.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "snapshot.h"
#include "terminal.h"

extern const char verify_rollups_sql[], verify_rollup_sql[], verify_rollup_foreign_sql[];

/* The periods that are set aside for one reason: one line for all of them, since after any event each rollup has one that waits. */
struct aside {
    char reason[ERROR_TEXT_BYTES + 32], first[96], last[96]; /* "funnel 2026-11-24" */
    int64_t count;
};

static void print_aside(struct aside *aside)
{
    if (aside->count > 0) {
        printf("  aside   ");
        if (aside->count > 1) {
            printf("%" PRId64 " days and weeks of rollups, from %s to %s: ", aside->count, aside->first, aside->last);
        } else {
            printf("rollup %s: ", aside->first);
        }
        terminal_text(stdout, aside->reason);
        fputc('\n', stdout);
    }
    *aside = (struct aside){.count = 0};
}

static void set_aside(struct aside *aside, const PGresult *periods, int row, const char *reason, json_t *json,
                      struct rollups_verdict *verdict)
{
    const char *rollup = answer_text(periods, row, "rollup"), *first_day = answer_text(periods, row, "first_day");
    verdict->aside++;
    if (json) {
        json_array_append_new(json_object_get(json, "rollups_set_aside"),
                              json_pack("{s:s, s:s, s:s}", "rollup", rollup, "first_day", first_day, "reason", reason));
        return;
    }
    if (strcmp(aside->reason, reason) != 0) {
        print_aside(aside);
        snprintf(aside->reason, sizeof aside->reason, "%s", reason);
        snprintf(aside->first, sizeof aside->first, "%s %s", rollup, first_day);
    }
    snprintf(aside->last, sizeof aside->last, "%s %s", rollup, first_day);
    aside->count++;
}

static void add_difference(const char *rollup, const char *day, const PGresult *found, int row, json_t *json)
{
    if (json) {
        json_t *difference = answer_object(found, row);
        json_object_set_new(difference, "rollup", json_string(rollup));
        json_object_set_new(difference, "day", json_string(day));
        json_array_append_new(json_object_get(json, "differences"), difference);
        return;
    }
    printf("  DAMAGE  rollup %s, %s, ", rollup, day);
    terminal_text(stdout, answer_text(found, row, "row_key"));
    printf(": %s is ", answer_text(found, row, "column_name"));
    terminal_text(stdout, answer_is_null(found, row, "have") ? "missing" : answer_text(found, row, "have"));
    fputs(", should be ", stdout);
    terminal_text(stdout, answer_is_null(found, row, "should") ? "missing" : answer_text(found, row, "should"));
    fputc('\n', stdout);
}

static bool waits_for_foreign(struct snapshot *snapshot, bool *waits, struct error *err)
{
    PGresult *foreign = snapshot_ask(snapshot, verify_rollup_foreign_sql, err);
    *waits = foreign && PQntuples(foreign) > 0;
    PQclear(foreign);
    return foreign != NULL;
}

/* One period that is said to be up to date. */
static bool compare(struct snapshot *snapshot, const PGresult *periods, int row, struct aside *aside, json_t *json,
                    struct rollups_verdict *verdict, struct error *err)
{
    const char *rollup = answer_text(periods, row, "rollup"), *day = answer_text(periods, row, "first_day");
    bool waits = false;
    if (!snapshot_set(snapshot, "rollup", rollup, err) || !snapshot_set(snapshot, "day", day, err) ||
        !snapshot_set(snapshot, "foreign_from", answer_text(periods, row, "foreign_from"), err) ||
        !snapshot_set(snapshot, "foreign_to", answer_text(periods, row, "last_day"), err)) {
        return false;
    }
    PGresult *found = snapshot_ask(snapshot, verify_rollup_sql, err);
    if (!found && snapshot_back(snapshot)) {
        char reason[sizeof aside->reason];
        snprintf(reason, sizeof reason, "its query failed: %s", err->text);
        error_clear(err);
        set_aside(aside, periods, row, reason, json, verdict);
        return true;
    }
    if (!found || (PQntuples(found) > 0 && !waits_for_foreign(snapshot, &waits, err))) {
        PQclear(found);
        return error_wrap(err, "comparing rollup %s of %s", rollup, day);
    }
    if (waits) {
        set_aside(aside, periods, row, "other programs have rows there that the statistics have not seen", json, verdict);
    } else {
        verdict->compared++;
        verdict->differences += PQntuples(found);
        for (int i = 0; i < PQntuples(found); i++) {
            add_difference(rollup, day, found, i, json);
        }
    }
    PQclear(found);
    return true;
}

bool verify_rollups(struct snapshot *snapshot, json_t *json, struct rollups_verdict *verdict, struct error *err)
{
    struct aside aside = {.count = 0};
    PGresult *periods = snapshot_ask(snapshot, verify_rollups_sql, err);
    bool is_read = periods != NULL && snapshot_mark(snapshot, err);
    for (int row = 0; is_read && row < PQntuples(periods); row++) {
        if (answer_is_null(periods, row, "set_aside")) {
            is_read = compare(snapshot, periods, row, &aside, json, verdict, err);
        } else {
            set_aside(&aside, periods, row, answer_text(periods, row, "set_aside"), json, verdict);
        }
    }
    print_aside(&aside);
    PQclear(periods);
    return is_read;
}
