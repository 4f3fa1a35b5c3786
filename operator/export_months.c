/* export_months.c - see export_months.h. */
#include "operator/export_months.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "operator/answer.h"
#include "operator/snapshot.h"

extern const char export_months_sql[];

static int32_t later(int32_t one, int32_t other)
{
    return one > other ? one : other;
}

static int32_t earlier(int32_t one, int32_t other)
{
    return one < other ? one : other;
}

/* The months of the statistics are those in which they have rows. */
static PGresult *ask_statistics(struct snapshot *snapshot, const struct export_source *source, const struct export_choice *choice,
                                struct error *err)
{
    char *from = export_source_from(source, snapshot, choice, export_span_of(&choice->range), err), *sql = NULL;
    const bool is_written = from && (asprintf(&sql,
                                              "SELECT date_trunc('month', %s::timestamp)::date AS month, true AS is_attached, true "
                                              "AS has_rows, count(*) AS about_rows%s GROUP BY 1 ORDER BY 1",
                                              source->period, from) >= 0 ||
                                     error_set(err, ERROR_RETRY, "out of memory"));
    PGresult *result = is_written ? snapshot_ask(snapshot, sql, err) : NULL;
    free(from);
    if (is_written) {
        free(sql);
    }
    return result;
}

static PGresult *ask_events(struct snapshot *snapshot, const struct export_choice *choice, struct error *err)
{
    return snapshot_set(snapshot, "first_day", choice->range.first, err) &&
                   snapshot_set(snapshot, "last_day", choice->range.last, err)
               ? snapshot_ask(snapshot, export_months_sql, err)
               : NULL;
}

static void fill(struct export_month *month, const PGresult *result, int row, struct export_span asked)
{
    const char *first = answer_text(result, row, "month");
    int32_t first_day = 0;
    clock_parse_day(first, strlen(first), &first_day);
    snprintf(month->name, sizeof month->name, "%.7s", first);
    month->span = (struct export_span){later(first_day, asked.from_day), earlier(clock_month_add(first_day, 1), asked.to_day)};
    month->about_rows = answer_int(result, row, "about_rows");
    month->has_rows = answer_bool(result, row, "has_rows");
}

bool export_months_find(struct export_months *months, struct snapshot *snapshot, const struct export_source *source,
                        const struct export_choice *choice, struct error *err)
{
    *months = (struct export_months){.archived = json_array()};
    PGresult *result = source->is_events ? ask_events(snapshot, choice, err) : ask_statistics(snapshot, source, choice, err);
    months->items = result ? calloc((size_t)PQntuples(result) + 1, sizeof *months->items) : NULL;
    if (result && (!months->items || !months->archived)) {
        error_set(err, ERROR_RETRY, "out of memory");
    }
    const bool is_found = months->items && months->archived;
    for (int row = 0; is_found && row < PQntuples(result); row++) {
        if (answer_bool(result, row, "is_attached")) {
            fill(&months->items[months->count++], result, row, export_span_of(&choice->range));
        } else {
            json_array_append_new(months->archived, json_stringn(answer_text(result, row, "month"), EXPORT_MONTH_BYTES - 1));
        }
    }
    PQclear(result);
    return is_found;
}

void export_months_reset(struct export_months *months)
{
    free(months->items);
    json_decref(months->archived);
    *months = (struct export_months){0};
}

int64_t export_months_rows(const struct export_months *months)
{
    int64_t rows = 0;
    for (size_t i = 0; i < months->count; i++) {
        rows += months->items[i].about_rows;
    }
    return rows;
}

bool export_months_check(const struct export_months *months, bool is_allowed, struct error *err)
{
    enum { SHOWN = 12 };
    char list[256] = "";
    const size_t count = json_array_size(months->archived);
    for (size_t i = 0; i < count && i < SHOWN; i++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ",
                 json_string_value(json_array_get(months->archived, i)));
    }
    if (count > SHOWN) {
        strcat(list, ", ...");
    }
    if (count > 0 && is_allowed) {
        fprintf(stderr, "tallymill export: without %s: archived, or about to be\n", list);
    }
    return count == 0 || is_allowed ||
           error_set(err, ERROR_RETRY,
                     "%s: archived, or about to be, and in no export; tallymill restore MONTH brings one back, --without-archived "
                     "goes on without",
                     list);
}
