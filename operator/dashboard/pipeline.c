/* pipeline.c - GET /api/v1/pipeline: where everything stands, in one snapshot; /api/v1/pipeline/live: the rows of the ring since a
 * moment, waited for; and /api/v1/pipeline/NAME.json, .csv, .sql: one of its tables, as it is asked.
 *
 * The database may be away: the page then shows what the sampler still knows, and says since when.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/disk.h"
#include "common/error.h"
#include "common/http_answer.h"
#include "common/http_request.h"
#include "common/settings.h"
#include "operator/dashboard/reader.h"
#include "operator/dashboard/rows.h"
#include "operator/dashboard/sampler.h"
#include "operator/dashboard/site.h"

extern const char status_topic_partitions_sql[], status_statistics_sql[], status_troubles_sql[], pipeline_months_sql[],
    pipeline_rollups_sql[], pipeline_dead_letters_sql[], pipeline_days_sql[], pipeline_gaps_sql[], pipeline_disk_sql[],
    pipeline_rates_sql[], pipeline_views_sql[], sample_sql[];

enum { LIVE_ROWS = 720 };

/* So long are questions asked for one page, as those of page.c. */
#define ASKED_US (15 * CLOCK_SECOND_US)

static const struct question {
    const char *name, *sql;
    bool is_apart; /* only asked for by its name: it costs more, or is never shown as a table */
} questions[] = {
    {"topic_partitions", status_topic_partitions_sql, false},
    {"statistics", status_statistics_sql, false},
    {"troubles", status_troubles_sql, false},
    {"months", pipeline_months_sql, false},
    {"rollups", pipeline_rollups_sql, false},
    {"views", pipeline_views_sql, false},
    {"dead_letters", pipeline_dead_letters_sql, false},
    {"days", pipeline_days_sql, false},
    {"gaps", pipeline_gaps_sql, false},
    {"disk", pipeline_disk_sql, false},
    {"rates", pipeline_rates_sql, true},
    {"positions", sample_sql, true}, /* what the sampler asks each second */
};
enum { QUESTIONS = sizeof questions / sizeof *questions };

/* ---- all at once ---- */

/* Each question's rows, or its trouble in their place: one that nobody has the time for any more, too. */
static void ask_all(struct reader *reader, json_t *json)
{
    const int64_t until_us = clock_now_us() + ASKED_US;
    json_t *troubles = json_object();
    for (int i = 0; i < QUESTIONS; i++) {
        struct error err = {0};
        if (questions[i].is_apart)
            continue;
        PGresult *result = NULL;
        if (clock_now_us() < until_us)
            result = reader_ask(reader, questions[i].sql, &err);
        else
            error_set(&err, ERROR_RETRY, "not asked: the database is slow, and the time of the page was over");
        if (result)
            json_object_set_new(json, questions[i].name, rows_objects(result));
        else
            json_object_set_new(troubles, questions[i].name, json_string(err.text));
        PQclear(result);
    }
    json_object_set_new(json, "failed", troubles);
}

/* How long the disk lasts, as `tallymill doctor` judges it. */
static json_t *room_json(struct reader *reader, const struct settings *settings)
{
    static const char *const judgements[] = {[DISK_ROOMY] = "roomy", [DISK_SOON] = "soon", [DISK_SHORT] = "short"};
    struct error err = {0};
    struct disk disk;
    if (!reader_disk(reader, settings_int(settings, "postgres.disk_size"), &disk, &err) || disk.source == DISK_UNKNOWN)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:s}", "free_bytes", (json_int_t)disk.free_bytes, "size_bytes", (json_int_t)disk.size_bytes,
                     "days_left", (json_int_t)disk_days_left(&disk), "room", judgements[disk_judge(&disk)]);
}

void pipeline_answer(struct site *site, struct http_answer *answer)
{
    struct error err = {0};
    json_t *json = json_pack("{s:I, s:s, s:o, s:o, s:o}", "at", (json_int_t)(clock_wall_us() / 1000), "topic",
                             settings_text(site->settings, "topics.events"), "books", sampler_books(site->sampler), "kafka",
                             sampler_kafka(site->sampler), "workers", sampler_workers(site->sampler));
    struct reader *reader = readers_take(site->readers, &err);
    if (reader) {
        ask_all(reader, json);
        json_object_set_new(json, "room", room_json(reader, site->settings));
        readers_give(site->readers, reader);
    }
    json_object_set_new(json, "postgres", reader ? json_null() : json_string(err.text));
    site_json(answer, 200, json);
}

/* ---- one table ---- */

/* since: Unix time of the newest row that the asker has; seconds: how long ago, by our clock, for one who has none yet. */
static int64_t since_of(const struct http_request *request)
{
    const char *since = http_query(request, "since"), *seconds = http_query(request, "seconds");
    const int64_t back = seconds ? strtoll(seconds, NULL, 10) : 0, now_ms = clock_wall_us() / 1000;
    if (since || back <= 0)
        return since ? strtoll(since, NULL, 10) : 0;
    return back < now_ms / 1000 ? now_ms - back * 1000 : 0;
}

static void answer_live_csv(struct site *site, struct http_request *request, struct http_answer *answer)
{
    FILE *out = http_answer_body(answer);
    if (!out)
        return;
    site_csv_head(answer, "pipeline");
    sampler_csv(site->sampler, since_of(request), out);
}

static void answer_rows(struct site *site, struct http_request *request, struct http_answer *answer,
                        const struct question *question, bool is_csv)
{
    struct error err = {0};
    const char *raw = http_query(request, "raw");
    struct reader *reader = readers_take(site->readers, &err);
    PGresult *result = reader ? reader_ask(reader, question->sql, &err) : NULL;
    if (!result)
        site_failed(answer, &err);
    else if (is_csv)
        site_csv(answer, question->name, result, raw && strcmp(raw, "1") == 0);
    else
        site_json(answer, 200, json_pack("{s:o, s:o}", "columns", rows_columns(result), "rows", rows_json(result)));
    PQclear(result);
    if (reader)
        readers_give(site->readers, reader);
}

void pipeline_table_answer(struct site *site, struct http_request *request, struct http_answer *answer, const char *file_name)
{
    const char *ending = strrchr(file_name, '.');
    const size_t length = ending ? (size_t)(ending - file_name) : 0;
    const struct question *question = NULL;
    for (int i = 0; i < QUESTIONS && !question; i++)
        if (strlen(questions[i].name) == length && strncmp(file_name, questions[i].name, length) == 0)
            question = &questions[i];
    if (strcmp(file_name, "live.csv") == 0)
        answer_live_csv(site, request, answer);
    else if (question && strcmp(ending, ".sql") == 0)
        http_answer_text(answer, 200, question->sql);
    else if (question && (strcmp(ending, ".csv") == 0 || strcmp(ending, ".json") == 0))
        answer_rows(site, request, answer, question, strcmp(ending, ".csv") == 0);
    else
        http_answer_text(answer, 404, "no such table\n");
}

/* ---- live ---- */

void pipeline_live_answer(struct site *site, struct http_request *request, struct http_answer *answer)
{
    const int64_t since_ms = since_of(request);
    if (since_ms > 0 && sampler_newest_ms(site->sampler) <= since_ms && !http_is_late(request) && http_suspend(request))
        return; /* resumed with the next row */
    site_json(answer, 200,
              json_pack("{s:I, s:o}", "at", (json_int_t)(clock_wall_us() / 1000), "rows",
                        sampler_rows(site->sampler, since_ms, LIVE_ROWS)));
}
