/* pipeline.c - GET /api/v1/pipeline: where everything stands, in one snapshot; and /api/v1/pipeline/live: the rows of the ring
 * since a moment, waited for.
 *
 * The database may be away: the page then shows what the sampler still knows, and says since when.
 */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/http_request.h"
#include "common/settings.h"
#include "operator/dashboard/reader.h"
#include "operator/dashboard/rows.h"
#include "operator/dashboard/sampler.h"
#include "operator/dashboard/site.h"

extern const char status_topic_partitions_sql[], status_statistics_sql[], status_troubles_sql[], pipeline_months_sql[],
    pipeline_rollups_sql[], pipeline_dead_letters_sql[], pipeline_days_sql[], pipeline_gaps_sql[], pipeline_disk_sql[];

enum { LIVE_ROWS = 720 };

static const struct {
    const char *name, *sql;
} questions[] = {
    {"topic_partitions", status_topic_partitions_sql},
    {"statistics", status_statistics_sql},
    {"troubles", status_troubles_sql},
    {"months", pipeline_months_sql},
    {"rollups", pipeline_rollups_sql},
    {"dead_letters", pipeline_dead_letters_sql},
    {"days", pipeline_days_sql},
    {"gaps", pipeline_gaps_sql},
    {"disk", pipeline_disk_sql},
};

/* Each question's rows, or its trouble in their place. */
static void ask_all(struct reader *reader, json_t *json)
{
    json_t *troubles = json_object();
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        struct error err = {0};
        PGresult *result = reader_ask(reader, questions[i].sql, &err);
        if (result)
            json_object_set_new(json, questions[i].name, rows_objects(result));
        else
            json_object_set_new(troubles, questions[i].name, json_string(err.text));
        PQclear(result);
    }
    json_object_set_new(json, "failed", troubles);
}

void pipeline_answer(struct site *site, struct http_answer *answer)
{
    struct error err = {0};
    json_t *json = json_pack("{s:I, s:s, s:o, s:o}", "at", (json_int_t)(clock_wall_us() / 1000), "topic",
                             settings_text(site->settings, "topics.events"), "books", sampler_books(site->sampler), "kafka",
                             sampler_kafka(site->sampler));
    struct reader *reader = readers_take(site->readers, &err);
    if (reader) {
        ask_all(reader, json);
        readers_give(site->readers, reader);
    }
    json_object_set_new(json, "postgres", reader ? json_null() : json_string(err.text));
    site_json(answer, 200, json);
}

void pipeline_live_answer(struct site *site, struct http_request *request, struct http_answer *answer)
{
    const char *since = http_query(request, "since");
    const int64_t since_ms = since ? strtoll(since, NULL, 10) : 0;
    if (since_ms > 0 && sampler_newest_ms(site->sampler) <= since_ms && !http_is_late(request) && http_suspend(request))
        return; /* resumed with the next row */
    site_json(answer, 200,
              json_pack("{s:I, s:o}", "at", (json_int_t)(clock_wall_us() / 1000), "rows",
                        sampler_rows(site->sampler, since_ms, LIVE_ROWS)));
}
