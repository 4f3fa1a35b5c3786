/* verify_rollups.c - see verify_rollups.h.
 *
 * A rollup says which version of its events its rows are of, so the question is fair whenever that is the version of this snapshot;
 * a period of which it is not waits for its cadence and is set aside, by rollup and reason. Rows of other programs that nobody has
 * seen yet are looked for only where figures differ. A query that fails (it is an operator's own) is set aside too, and the others
 * are compared. Periods of a year that one query gives are compared by one, up to half a million events; of many such spans the
 * busiest period by the query for itself too, so that a query that counts otherwise over many days than over one is found. The
 * comparison itself is SQL (tallymill.rollup_differences), because only the database knows the columns of an operator's own rollup.
 */
#include "operator/verify_rollups.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array_text.h"
#include "operator/answer.h"
#include "operator/snapshot.h"
#include "operator/terminal.h"

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
        json_object_del(difference, "first_day");
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

/* Periods that one query gives: rows first to last of the list. */
struct span {
    const PGresult *periods;
    int first, last;
};

/* A query that counts otherwise over many days does so in many spans: the first dozen and every eighth behind them would show it.
 */
enum { ONES_AT_FIRST = 12, ONES_EVERY = 8 };

struct comparing {
    struct snapshot *snapshot;
    struct aside *aside;
    json_t *json;
    struct rollups_verdict *verdict;
    unsigned spans; /* of this rollup, so far */
};

/* The differences of one period, rows from `row` on of what was found; returns the row behind them, or -1: err says why. */
static int take_period(struct comparing *comparing, const struct span *span, const PGresult *found, int row, struct error *err)
{
    const char *rollup = answer_text(span->periods, span->first, "rollup"), *day = answer_text(found, row, "first_day");
    int period = span->first;
    bool waits = false;
    while (period < span->last && strcmp(answer_text(span->periods, period, "first_day"), day) != 0) {
        period++;
    }
    if (!snapshot_set(comparing->snapshot, "first_day", answer_text(span->periods, period, "foreign_from"), err) ||
        !snapshot_set(comparing->snapshot, "last_day", answer_text(span->periods, period, "last_day"), err) ||
        !waits_for_foreign(comparing->snapshot, &waits, err)) {
        return -1;
    }
    if (waits) {
        comparing->verdict->compared--;
        set_aside(comparing->aside, span->periods, period, "other programs have rows there that the statistics have not seen",
                  comparing->json, comparing->verdict);
    }
    for (; row < PQntuples(found) && strcmp(answer_text(found, row, "first_day"), day) == 0; row++) {
        if (!waits) {
            comparing->verdict->differences++;
            add_difference(rollup, day, found, row, comparing->json);
        }
    }
    return row;
}

/* The periods of a span as an array; NULL: no memory. */
static const char *list_periods(const struct span *span, struct array_text *periods)
{
    array_text_begin(periods);
    for (int row = span->first; row <= span->last; row++) {
        const char *period = answer_text(span->periods, row, "first_day");
        array_text_add(periods, period, strlen(period));
    }
    return array_text_end(periods);
}

static PGresult *find_differences(struct comparing *comparing, const struct span *span, struct error *err)
{
    struct array_text periods = {0};
    const char *list = list_periods(span, &periods);
    PGresult *found = NULL;
    if (!list) {
        error_set(err, ERROR_RETRY, "out of memory");
    } else if (snapshot_set(comparing->snapshot, "rollup", answer_text(span->periods, span->first, "rollup"), err) &&
               snapshot_set(comparing->snapshot, "periods", list, err)) {
        found = snapshot_ask(comparing->snapshot, verify_rollup_sql, err);
    }
    array_text_free(&periods);
    return found;
}

/* The busiest of them. */
static struct span busiest(const struct span *span)
{
    int row = span->last;
    for (int other = span->first; other < span->last; other++) {
        if (answer_int(span->periods, other, "events") > answer_int(span->periods, row, "events")) {
            row = other;
        }
    }
    return (struct span){span->periods, row, row};
}

/* Periods that are said to be up to date. Of several whose query fails each is asked for itself. */
static bool compare_span(struct comparing *comparing, const struct span *span, struct error *err)
{
    PGresult *found = find_differences(comparing, span, err);
    int row = 0;
    if (!found && snapshot_back(comparing->snapshot)) {
        char reason[sizeof comparing->aside->reason];
        bool goes_on = true;
        snprintf(reason, sizeof reason, "its query failed: %s", err->text);
        error_clear(err);
        if (span->first == span->last) {
            set_aside(comparing->aside, span->periods, span->first, reason, comparing->json, comparing->verdict);
        }
        for (int one = span->first; goes_on && span->first < span->last && one <= span->last; one++) {
            goes_on = compare_span(comparing, &(struct span){span->periods, one, one}, err);
        }
        return goes_on;
    }
    const bool is_sample = comparing->spans < ONES_AT_FIRST || comparing->spans % ONES_EVERY == 0;
    if (found && PQntuples(found) == 0 && span->first < span->last && is_sample) {
        const struct span one = busiest(span);
        PQclear(found);
        comparing->verdict->compared += span->last - span->first;
        return compare_span(comparing, &one, err);
    }
    if (found) {
        comparing->verdict->compared += span->last - span->first + 1;
    }
    while (found && row >= 0 && row < PQntuples(found)) {
        row = take_period(comparing, span, found, row, err);
    }
    PQclear(found);
    return (found && row >= 0) || error_wrap(err, "comparing rollup %s of %s", answer_text(span->periods, span->first, "rollup"),
                                             answer_text(span->periods, span->first, "first_day"));
}

static int end_of_span(const PGresult *periods, int first)
{
    int64_t events = answer_int(periods, first, "events");
    int last = first;
    while (answer_bool(periods, first, "is_range") && last + 1 < PQntuples(periods) &&
           answer_is_null(periods, last + 1, "set_aside") &&
           strcmp(answer_text(periods, last + 1, "rollup"), answer_text(periods, first, "rollup")) == 0 &&
           strcmp(answer_text(periods, last + 1, "span"), answer_text(periods, first, "span")) == 0 &&
           (events += answer_int(periods, last + 1, "events")) <= SNAPSHOT_SPAN_EVENTS) {
        last++;
    }
    return last;
}

bool verify_rollups(struct snapshot *snapshot, json_t *json, struct rollups_verdict *verdict, struct error *err)
{
    struct aside aside = {.count = 0};
    struct comparing comparing = {.snapshot = snapshot, .aside = &aside, .json = json, .verdict = verdict};
    PGresult *periods = snapshot_ask(snapshot, verify_rollups_sql, err);
    bool is_read = periods != NULL && snapshot_mark(snapshot, err);
    for (int row = 0; is_read && row < PQntuples(periods); row++) {
        if (answer_is_null(periods, row, "set_aside")) {
            struct span span = {periods, row, end_of_span(periods, row)};
            bool is_same = row > 0 && strcmp(answer_text(periods, row - 1, "rollup"), answer_text(periods, row, "rollup")) == 0;
            comparing.spans = is_same ? comparing.spans + 1 : 0;
            is_read = compare_span(&comparing, &span, err);
            row = span.last;
        } else {
            set_aside(&aside, periods, row, answer_text(periods, row, "set_aside"), json, verdict);
        }
    }
    print_aside(&aside);
    PQclear(periods);
    return is_read;
}
