/* table_counts.c - see table_counts.h.
 *
 * Each question may take a hundredth of the time at most: what took long is asked less often. They are asked over the cycle's
 * session, so that figures come also while the rollups' own session stands still: that is when somebody wants to see how old they
 * are.
 */
#include "aggregator/table_counts.h"

#include <stdlib.h>

#include "common/session.h"
#include "common/clock.h"
#include "common/disk.h"
#include "common/error.h"
#include "common/log.h"
#include "common/postgres.h"

extern const char sql_count_rollups[], sql_count_tables[];

static const int64_t REFUSED_US = 60 * CLOCK_SECOND_US;
enum { TIMES = 100, MOST_DAYS_LEFT = 36500 };

struct question {
    const char *what;
    const char *sql; /* one row, its columns the values from `first` on; NULL is not known */
    enum table_count first;
    int count;
    int64_t every_us;
    void (*take)(struct table_counts *counts, const struct session *session,
                 const PGresult *row); /* where its columns are others */
};

static void take_disk(struct table_counts *counts, const struct session *session, const PGresult *row)
{
    struct disk disk;
    disk_take(row, session_is_near(session), counts->disk_size_bytes, &disk);
    const int64_t days = disk_days_left(&disk);
    counts->values[COUNT_DISK_BYTES] = disk.size_bytes;
    counts->values[COUNT_DISK_FREE] = disk.free_bytes;
    counts->values[COUNT_DISK_LEFT] =
        days < 0 ? TABLE_COUNT_UNKNOWN : (days < MOST_DAYS_LEFT ? days : MOST_DAYS_LEFT) * CLOCK_DAY_US;
}

static const struct question questions[TABLE_QUESTIONS] = {
    {"days",
     "SELECT count(*) FILTER (WHERE closed_at IS NULL), count(*) FILTER (WHERE dirty_since IS NOT NULL) "
     "FROM tallymill.days WHERE closed_at IS NULL OR dirty_since IS NOT NULL",
     COUNT_DAYS_OPEN, 2, 5 * CLOCK_SECOND_US, NULL},
    {"the ledger's rows", "SELECT count(*) FROM tallymill.batches", COUNT_LEDGER_ROWS, 1, 5 * CLOCK_SECOND_US, NULL},
    {"months and their sizes", sql_count_tables, COUNT_MONTHS_AHEAD, 4, 60 * CLOCK_SECOND_US, NULL},
    {"the room on the disk", disk_look_sql, COUNT_DISK_BYTES, 3, 300 * CLOCK_SECOND_US, take_disk},
    {"rollups that are out of date", sql_count_rollups, COUNT_ROLLUPS_STALE, 2, 15 * CLOCK_SECOND_US, NULL},
};

void table_counts_forget(struct table_counts *counts)
{
    for (int i = 0; i < TABLE_COUNTS; i++)
        counts->values[i] = TABLE_COUNT_UNKNOWN;
    for (int i = 0; i < TABLE_QUESTIONS; i++)
        counts->ask_at_us[i] = 0;
}

static bool ask(struct table_counts *counts, int number, struct session *session, struct error *err)
{
    const struct question *question = &questions[number];
    const int64_t start_us = clock_now_us();
    PGresult *result = session_ask(session, SESSION_TIMEOUT_S * CLOCK_SECOND_US, question->sql, 0, NULL, err);
    const int64_t now_us = clock_now_us(), rest_us = TIMES * (now_us - start_us);
    counts->ask_at_us[number] = now_us + (rest_us > question->every_us ? rest_us : question->every_us);
    for (int i = 0; i < question->count; i++)
        counts->values[question->first + i] = result && !question->take && !PQgetisnull(result, 0, i)
                                                  ? strtoll(PQgetvalue(result, 0, i), NULL, 10)
                                                  : TABLE_COUNT_UNKNOWN;
    if (result && question->take)
        question->take(counts, session, result);
    PQclear(result);
    if (result || !postgres_is(err, POSTGRES_REFUSED))
        return result != NULL;
    log_warn_because(err, "metrics were not counted, next try in a minute", "what=\"%s\"", question->what);
    error_clear(err);
    counts->ask_at_us[number] = now_us + REFUSED_US;
    return true;
}

bool table_counts_look(struct table_counts *counts, struct session *session, struct error *err)
{
    /* Who cannot know how large the disk is does not ask: the sizes of all databases are a look at each of their files. */
    const bool has_disk = counts->disk_size_bytes > 0 || session_is_near(session);
    for (int i = 0; i < TABLE_QUESTIONS; i++)
        if ((questions[i].take != take_disk || has_disk) && clock_now_us() >= counts->ask_at_us[i] && !ask(counts, i, session, err))
            return false;
    return true;
}
