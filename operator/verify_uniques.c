/* verify_uniques.c - see verify_uniques.h.
 *
 * A day says which version of its events its uniques are of, so the question is fair whenever that is the version of this snapshot;
 * others are set aside, by reason. A range is compared where all its days are up to date: whatever the days before it hold, a key's
 * day before is before the range or in it.
 */
#include "operator/verify_uniques.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "operator/answer.h"
#include "operator/snapshot.h"
#include "operator/terminal.h"

extern const char verify_uniques_sql[], verify_uniques_days_sql[], verify_uniques_subjects_sql[], verify_uniques_range_sql[],
    verify_rollup_foreign_sql[];

static const char *const kinds[] = {"session", "user"}, *const populations[] = {"external", "internal", "all"};

struct verifying {
    struct snapshot *snapshot;
    json_t *json;
    struct uniques_verdict *verdict;
    const PGresult *days, *subjects;
    int day_count; /* of days: those that are compared come first */
};

/* The days that are set aside for one reason, rows first to last: one line. */
static void set_aside(struct verifying *verifying, int first, int last)
{
    const char *reason = answer_text(verifying->days, first, "set_aside");
    verifying->verdict->aside += last - first + 1;
    for (int row = first; verifying->json && row <= last; row++)
        json_array_append_new(json_object_get(verifying->json, "uniques_set_aside"),
                              json_pack("{s:s, s:s}", "day", answer_text(verifying->days, row, "day"), "reason", reason));
    if (verifying->json)
        return;
    if (first == last)
        printf("  aside   uniques of %s: ", answer_text(verifying->days, first, "day"));
    else
        printf("  aside   uniques of %d days, from %s to %s: ", last - first + 1, answer_text(verifying->days, first, "day"),
               answer_text(verifying->days, last, "day"));
    terminal_text(stdout, reason);
    fputc('\n', stdout);
}

static void set_all_aside(struct verifying *verifying)
{
    int first = verifying->day_count;
    for (int row = first; row < PQntuples(verifying->days); row++)
        if (row + 1 == PQntuples(verifying->days) ||
            strcmp(answer_text(verifying->days, row + 1, "set_aside"), answer_text(verifying->days, first, "set_aside")) != 0) {
            set_aside(verifying, first, row);
            first = row + 1;
        }
}

struct found {
    const char *days, *subject, *kind, *population, *what;
    int64_t have, should;
};

static void add_difference(struct verifying *verifying, const struct found *found)
{
    verifying->verdict->differences++;
    if (verifying->json) {
        json_array_append_new(json_object_get(verifying->json, "differences"),
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "uniques", found->days, "subject", found->subject,
                                        "kind", found->kind, "population", found->population, "column_name", found->what, "have",
                                        (json_int_t)found->have, "should", (json_int_t)found->should));
        return;
    }
    printf("  DAMAGE  uniques of %s, ", found->days);
    terminal_text(stdout, found->subject);
    printf(", %s, %s: %s are %" PRId64 ", should be %s%" PRId64 "\n", found->kind, found->population, found->what, found->have,
           strcmp(found->what, "keys") == 0 ? "" : "at most ", found->should);
}

/* "{2026-11-23,2026-11-24}" of the days that are compared, to be freed. */
static char *list_days(const struct verifying *verifying)
{
    enum { DATE_BYTES = 16 };
    size_t size = 3 + (size_t)verifying->day_count * DATE_BYTES, used = 1;
    char *text = malloc(size);
    if (!text)
        return NULL;
    text[0] = '{';
    for (int row = 0; row < verifying->day_count; row++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", row > 0 ? "," : "", answer_text(verifying->days, row, "day"));
    snprintf(text + used, size - used, "}");
    return text;
}

static bool compare_days(struct verifying *verifying, struct error *err)
{
    char *list = list_days(verifying);
    if (!list)
        return error_set(err, ERROR_RETRY, "out of memory");
    PGresult *result = snapshot_set(verifying->snapshot, "days", list, err)
                           ? snapshot_ask(verifying->snapshot, verify_uniques_days_sql, err)
                           : NULL;
    free(list);
    for (int row = 0; row < (result ? PQntuples(result) : 0); row++)
        add_difference(verifying, &(struct found){.days = answer_text(result, row, "day"),
                                                  .subject = answer_text(result, row, "subject"),
                                                  .kind = answer_text(result, row, "kind"),
                                                  .population = answer_text(result, row, "population"),
                                                  .what = answer_text(result, row, "column_name"),
                                                  .have = answer_int(result, row, "have"),
                                                  .should = answer_int(result, row, "should")});
    verifying->verdict->days += result ? verifying->day_count : 0;
    PQclear(result);
    return result != NULL;
}

/* A number below `end`. */
static int below(int end)
{
    return (int)(random() % end);
}

/* Whether a difference may come from rows of other programs in those days that nobody has looked at yet. */
static bool waits_for_foreign(struct snapshot *snapshot, const char *first_day, const char *last_day, bool *waits,
                              struct error *err)
{
    PGresult *foreign = snapshot_set(snapshot, "first_day", first_day, err) && snapshot_set(snapshot, "last_day", last_day, err)
                            ? snapshot_ask(snapshot, verify_rollup_foreign_sql, err)
                            : NULL;
    *waits = foreign && PQntuples(foreign) > 0;
    PQclear(foreign);
    return foreign != NULL;
}

static bool compare_range(struct verifying *verifying, struct error *err)
{
    struct snapshot *snapshot = verifying->snapshot;
    int first = below(verifying->day_count), last = below(verifying->day_count);
    if (first > last) {
        const int other = first;
        first = last;
        last = other;
    }
    while (strcmp(answer_text(verifying->days, first, "island"), answer_text(verifying->days, last, "island")) !=
           0) { /* ends: at first */
        last--;
    }
    const char *subject = answer_text(verifying->subjects, below(PQntuples(verifying->subjects)), "subject"),
               *kind = kinds[below(2)], *population = populations[below(3)];
    const char *first_day = answer_text(verifying->days, first, "day"), *last_day = answer_text(verifying->days, last, "day");
    PGresult *result = snapshot_set(snapshot, "range_first", first_day, err) &&
                               snapshot_set(snapshot, "range_last", last_day, err) &&
                               snapshot_set(snapshot, "subject", subject, err) && snapshot_set(snapshot, "kind", kind, err) &&
                               snapshot_set(snapshot, "population", population, err)
                           ? snapshot_ask(snapshot, verify_uniques_range_sql, err)
                           : NULL;
    if (!result)
        return error_wrap(err, "comparing uniques of %s, %s to %s", subject, first_day, last_day);
    char days[64];
    snprintf(days, sizeof days, "%s..%s", first_day, last_day);
    const struct found found = {
        days, subject, kind, population, "keys", answer_int(result, 0, "have"), answer_int(result, 0, "should")};
    PQclear(result);
    bool waits = false;
    if (found.have != found.should && !waits_for_foreign(snapshot, first_day, last_day, &waits, err))
        return false;
    verifying->verdict->ranges += !waits;
    if (found.have != found.should && !waits)
        add_difference(verifying, &found);
    return true;
}

static bool compare_ranges(struct verifying *verifying, int64_t ranges, struct error *err)
{
    unsigned seed;
    if (getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed)
        srandom(seed);
    PGresult *subjects = snapshot_ask(verifying->snapshot, verify_uniques_subjects_sql, err);
    bool succeeded = subjects != NULL;
    verifying->subjects = subjects;
    for (int64_t i = 0; i < ranges && succeeded && PQntuples(subjects) > 0; i++)
        succeeded = compare_range(verifying, err);
    PQclear(subjects);
    return succeeded;
}

bool verify_uniques(struct snapshot *snapshot, int64_t ranges, json_t *json, struct uniques_verdict *verdict, struct error *err)
{
    struct verifying verifying = {.snapshot = snapshot, .json = json, .verdict = verdict};
    PGresult *days = snapshot_ask(snapshot, verify_uniques_sql, err);
    if (!days)
        return error_wrap(err, "looking at the days of uniques");
    verifying.days = days;
    while (verifying.day_count < PQntuples(days) && answer_is_null(days, verifying.day_count, "set_aside"))
        verifying.day_count++;
    bool succeeded =
        verifying.day_count == 0 || (compare_days(&verifying, err) && (ranges == 0 || compare_ranges(&verifying, ranges, err)));
    set_all_aside(&verifying);
    PQclear(days);
    return succeeded;
}
