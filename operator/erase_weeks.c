/* erase_weeks.c - see erase.h: weeks that lie in two months, and weeks in which somebody was who was first seen in an event that
 * went.
 *
 * A rollup by weeks is computed from the rows of both months. Where one of them is away, the week stays as it was, and counts who
 * was erased. So does the week of a month that is away, of which nothing went, by the cohort of its users. So the months of such a
 * week that are away come back together; that they leave again shows that the week was computed, for archive_settle lets none leave
 * before. Which weeks are owed is told by the receipts (counts.weeks, written with the rows, and with the moments) and by what the
 * week's rollups were computed of: nothing else is remembered, so a run that is killed is gone on with.
 */
#include "operator/erase.h"

#include <stdio.h>
#include <string.h>

#include "common/postgres.h"
#include "operator/answer.h"
#include "operator/archive_return.h"

extern const char erase_weeks_sql[];

enum { MONTHS_OF_A_WEEK = 2 };

struct week {
    const char *first_day;
    struct month_name months[MONTHS_OF_A_WEEK]; /* those that are away */
    int count;
    bool is_kept;
};

/* The week that begins in this row, and how many rows it has. */
static bool read_week(const PGresult *owed, int row, struct week *week, struct error *err)
{
    *week = (struct week){.first_day = answer_text(owed, row, "week"), .is_kept = true};
    while (week->count < MONTHS_OF_A_WEEK && row + week->count < PQntuples(owed) &&
           strcmp(answer_text(owed, row + week->count, "week"), week->first_day) == 0) {
        if (!month_name_parse(answer_text(owed, row + week->count, "month"), &week->months[week->count], err))
            return false;
        week->is_kept = week->is_kept && answer_bool(owed, row + week->count, "is_kept");
        week->count++;
    }
    return true;
}

static void still_counts(struct erase_run *run, const struct week *week, bool is_incomplete, const char *reason)
{
    erase_remark(run, is_incomplete, "rollups by weeks still count them in the week of %s, a part of which is in %s%s%s: %s",
                 week->first_day, week->months[0].text, week->count > 1 ? " and " : "", week->count > 1 ? week->months[1].text : "",
                 reason);
}

static bool leave_again(struct erase_run *run, const struct week *week, struct archive_return *backs, const bool *is_back,
                        struct error *err)
{
    bool is_good = true, is_away = true;
    for (int i = 0; is_good && i < week->count; i++) {
        if (is_back[i] && is_away)
            is_good = erase_renew_leave(run, &week->months[i], backs[i].store, &is_away, err);
        else if (is_back[i])
            erase_renew_stays(run, &week->months[i], "the month before comes first");
    }
    return is_good;
}

static bool compute(struct erase_run *run, const struct week *week, struct error *err)
{
    struct archive_return backs[MONTHS_OF_A_WEEK] = {0};
    bool is_back[MONTHS_OF_A_WEEK] = {false}, is_good = true, are_all = true;
    for (int i = 0; is_good && i < week->count; i++) {
        is_good = erase_renew_return(run, &week->months[i], &backs[i], &is_back[i], err);
        are_all = are_all && is_back[i];
    }
    is_good = is_good && leave_again(run, week, backs, is_back, err);
    if (is_good && !are_all)
        still_counts(run, week, true, "it could not come back");
    for (int i = 0; i < week->count; i++)
        archive_return_close(&backs[i]);
    return is_good;
}

static bool take_first(struct erase_run *run, const PGresult *owed, bool has_leader, struct error *err)
{
    struct week week;
    if (!read_week(owed, 0, &week, err))
        return false;
    if (!week.is_kept)
        still_counts(run, &week, false, "nothing of it was kept, so it cannot be computed anew");
    else if (!has_leader)
        still_counts(run, &week, true, "no aggregator leads, so it could not be computed anew (start tallymill-aggregator)");
    return !week.is_kept || !has_leader || compute(run, &week, err);
}

/* Asked again after each: the months that came back for one had their other weeks computed as well. */
bool erase_weeks(struct erase_run *run, struct error *err)
{
    char behind[16] = "-infinity";
    const char *const values[] = {behind};
    bool has_leader = false, is_good = erase_is_led(run, &has_leader, err);
    for (bool has_more = true; is_good && has_more;) { /* ends: each turn takes a later week */
        PGresult *owed = postgres_query_params(run->conn, erase_weeks_sql, 1, values, ERASE_QUERY_US, err);
        has_more = owed && PQntuples(owed) > 0;
        is_good = owed && (!has_more || take_first(run, owed, has_leader, err));
        if (has_more)
            snprintf(behind, sizeof behind, "%s", answer_text(owed, 0, "week"));
        PQclear(owed);
    }
    return is_good;
}
