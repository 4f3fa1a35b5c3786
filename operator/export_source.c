/* export_source.c - see export_source.h.
 *
 * COPY takes no parameters, so what a person asked for stands in its text, quoted by libpq. Days stand there as instants in UTC, so
 * that the planner sees which months are meant. Invariant: the same choice gives the same text, whoever asks. */
#include "operator/export_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/nearest.h"
#include "operator/answer.h"
#include "operator/snapshot.h"

extern const char export_sources_sql[];

enum { SOURCES_MAX = 1000 };

static bool no_memory(struct error *err)
{
    return error_set(err, ERROR_RETRY, "out of memory");
}

/* What can be exported by this name; -1: nothing, told. */
static int find_row(const PGresult *known, const char *what, struct error *err)
{
    const char *names[SOURCES_MAX];
    size_t count = 0;
    for (int row = 0; row < PQntuples(known); row++) {
        if (strcmp(answer_text(known, row, "name"), what) == 0 || strcmp(answer_text(known, row, "target"), what) == 0) {
            return row;
        }
        if (count < SOURCES_MAX) {
            names[count++] = answer_text(known, row, "name");
        }
    }
    const char *nearest = nearest_word(what, names, count);
    error_set(err, ERROR_USAGE,
              "%.60s: there is no such rollup%s%s; export takes events, daily or a rollup (tallymill status lists them)", what,
              nearest ? ", did you mean " : "", nearest ? nearest : "");
    return -1;
}

static bool fill(struct export_source *source, const PGresult *known, int row, struct error *err)
{
    source->what = strdup(answer_text(known, row, "name"));
    source->table = strdup(answer_text(known, row, "source"));
    source->period = strdup(answer_text(known, row, "period"));
    source->order = answer_is_null(known, row, "in_order") ? NULL : strdup(answer_text(known, row, "in_order"));
    source->is_events = strcmp(answer_text(known, row, "name"), "events") == 0;
    return (source->what && source->table && source->period) || no_memory(err);
}

/* Only events have all columns; the others are counts of them. */
static bool check_choice(const struct export_source *source, const struct export_choice *choice, struct error *err)
{
    const bool has_names = source->is_events || strcmp(source->what, "daily") == 0;
    const char *option = choice->name_count > 0 && !has_names ? "--event"
                         : source->is_events                  ? NULL
                         : choice->category                   ? "--category"
                         : choice->user                       ? "--user"
                         : choice->session                    ? "--session"
                         : choice->is_external                ? "--external"
                                                              : NULL;
    if (option) {
        return error_set(err, ERROR_USAGE, "%s: %s has no such column, its rows are counts of external events", option,
                         source->what);
    }
    errno = 0;
    const bool is_user = !choice->user || (*choice->user && choice->user[strspn(choice->user, "0123456789")] == '\0' &&
                                           strtoll(choice->user, NULL, 10) >= 0 && errno == 0);
    return is_user ||
           error_set(err, ERROR_USAGE, "--user %.40s: a user_id is a whole number from 0 to 9223372036854775807", choice->user);
}

bool export_source_find(struct export_source *source, struct snapshot *snapshot, const struct export_choice *choice,
                        struct error *err)
{
    *source = (struct export_source){0};
    PGresult *known = snapshot_ask(snapshot, export_sources_sql, err);
    const int row = known ? find_row(known, choice->what, err) : -1;
    const bool is_found = row >= 0 && fill(source, known, row, err) && check_choice(source, choice, err);
    PQclear(known);
    return is_found;
}

void export_source_reset(struct export_source *source)
{
    free(source->what);
    free(source->table);
    free(source->period);
    free(source->order);
    *source = (struct export_source){0};
}

struct export_span export_span_of(const struct day_range *range)
{
    struct export_span span = EXPORT_ALWAYS;
    int32_t last;
    if (*range->first) {
        clock_parse_day(range->first, strlen(range->first), &span.from_day);
    }
    if (*range->last && clock_parse_day(range->last, strlen(range->last), &last)) {
        span.to_day = last + 1;
    }
    return span;
}

/* "AND column = 'text'" */
static bool put_equals(FILE *out, struct snapshot *snapshot, const char *column, const char *text, struct error *err)
{
    char *quoted = text ? snapshot_quote_text(snapshot, text, err) : NULL;
    if (quoted) {
        fprintf(out, " AND %s = %s", column, quoted);
    }
    PQfreemem(quoted);
    return !text || quoted;
}

static bool put_names(FILE *out, struct snapshot *snapshot, const struct export_choice *choice, struct error *err)
{
    for (size_t i = 0; i < choice->name_count; i++) {
        char *quoted = snapshot_quote_text(snapshot, choice->names[i], err);
        if (!quoted) {
            return false;
        }
        fprintf(out, "%s%s", i == 0 ? " AND event_name IN (" : ", ", quoted);
        PQfreemem(quoted);
    }
    fputs(choice->name_count > 0 ? ")" : "", out);
    return true;
}

static void put_day(FILE *out, const struct export_source *source, const char *comparison, int32_t day)
{
    char text[CLOCK_DAY_BYTES];
    clock_format_day(text, day);
    fprintf(out, " AND %s %s '%s%s'", source->period, comparison, text, source->is_events ? " 00:00:00+00" : "");
}

static bool put_from(FILE *out, const struct export_source *source, struct snapshot *snapshot, const struct export_choice *choice,
                     struct export_span span, struct error *err)
{
    fprintf(out, " FROM %s WHERE true", source->table);
    if (span.from_day != INT32_MIN) {
        put_day(out, source, ">=", span.from_day);
    }
    if (span.to_day != INT32_MAX) {
        put_day(out, source, "<", span.to_day);
    }
    if (choice->user) {
        fprintf(out, " AND user_id = %s", choice->user);
    }
    fputs(choice->is_external ? " AND is_internal = FALSE" : "", out);
    return put_names(out, snapshot, choice, err) && put_equals(out, snapshot, "event_category", choice->category, err) &&
           put_equals(out, snapshot, "session_id", choice->session, err);
}

/* A query that is put together in memory. */
struct query {
    FILE *out;
    char *text;
    size_t length;
};

static bool begin(struct query *query, struct error *err)
{
    *query = (struct query){0};
    query->out = open_memstream(&query->text, &query->length);
    return query->out || no_memory(err);
}

/* Its text; NULL unless all of it is there. */
static char *end(struct query *query, bool is_good, struct error *err)
{
    const bool is_whole = fclose(query->out) == 0;
    if (is_good && is_whole)
        return query->text;
    if (is_good)
        no_memory(err);
    free(query->text);
    return NULL;
}

char *export_source_from(const struct export_source *source, struct snapshot *snapshot, const struct export_choice *choice,
                         struct export_span span, struct error *err)
{
    struct query query;
    return begin(&query, err) ? end(&query, put_from(query.out, source, snapshot, choice, span, err), err) : NULL;
}

char *export_source_copy(const struct export_source *source, struct snapshot *snapshot, const char *columns,
                         const struct export_choice *choice, struct export_span span, struct error *err)
{
    struct query query;
    if (!begin(&query, err))
        return NULL;
    fprintf(query.out, "COPY (SELECT %s", columns);
    const bool is_good = put_from(query.out, source, snapshot, choice, span, err);
    if (source->order) {
        fprintf(query.out, " ORDER BY %s", source->order);
    }
    fputs(") TO STDOUT", query.out);
    return end(&query, is_good, err);
}
