/* adopt_plan.c - see adopt.h: what there is to take over, what stops it, and what it will cost. Nothing is changed. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/number_text.h"
#include "common/postgres.h"
#include "operator/adopt.h"
#include "operator/answer.h"
#include "operator/terminal.h"

extern const char adopt_look_sql[], adopt_stops_sql[], adopt_columns_sql[], adopt_zones_sql[];

enum { COPIED_ROW_US = 12 };

#define SHORT_US (60 * CLOCK_SECOND_US)
#define SCAN_US  (3600 * CLOCK_SECOND_US)

/* What an earlier run left. */
static bool read_step(struct adopt *adopt, struct error *err)
{
    PGresult *state = postgres_query(adopt->conn, "SELECT step, release, time_zone FROM tallymill_adopt.state", SHORT_US, err);
    if (!state) {
        return error_wrap(err, "reading tallymill_adopt.state (use the login that began the adoption)");
    }
    bool is_fine = PQntuples(state) == 1 ||
                   error_set(err, ERROR_FATAL,
                             "tallymill_adopt.state has lost its row: an adoption was under way, and nobody knows how far it is");
    if (is_fine) {
        const char *zone = answer_text(state, 0, "time_zone"), *release = answer_text(state, 0, "release");
        snprintf(adopt->step, sizeof adopt->step, "%s", answer_text(state, 0, "step"));
        if (adopt->time_zone[0] != '\0' && strcmp(adopt->time_zone, zone) != 0) {
            is_fine = error_set(err, ERROR_USAGE, "this adoption was begun with --time-zone %s: --abandon it to begin with another",
                                zone);
        } else if ((strcmp(adopt->step, "laid") == 0 || strcmp(adopt->step, "copying") == 0) &&
                   strcmp(release, TALLYMILL_VERSION) != 0) {
            is_fine = error_set(
                err, ERROR_USAGE,
                "this adoption was begun by tallymill %s, which made its tables: go on with that release, or --abandon it",
                release);
        }
    }
    PQclear(state);
    return is_fine;
}

bool adopt_look(struct adopt *adopt, struct error *err)
{
    adopt->look = postgres_query(adopt->conn, adopt_look_sql, SHORT_US, err);
    if (!adopt->look) {
        return false;
    }
    const PGresult *look = adopt->look;
    if (answer_bool(look, 0, "has_state")) {
        return read_step(adopt, err);
    }
    if (!answer_bool(look, 0, "is_there")) {
        return error_set(err, ERROR_USAGE,
                         "database %s has no table public.analytics_events to take over: tallymill migrate makes a new one",
                         answer_text(look, 0, "database"));
    }
    if (answer_bool(look, 0, "has_schema")) {
        return error_set(
            err, ERROR_USAGE,
            "database %s has the schema of Tallymill already: its analytics_events is ours, there is nothing to take over",
            answer_text(look, 0, "database"));
    }
    return answer_bool(look, 0, "may_alter") || error_set(err, ERROR_USAGE,
                                                          "public.analytics_events belongs to %s, and login %s may not alter it: "
                                                          "run tallymill adopt as its owner, or as a superuser",
                                                          answer_text(look, 0, "owner"), answer_text(look, 0, "login"));
}

static void print_stop(FILE *out, const char *text, int *stops)
{
    fputs("  STOPS   ", out);
    terminal_text(out, text);
    fputc('\n', out);
    (*stops)++;
}

static void print_bad_rows(FILE *out, const PGresult *rows, const char *column, const char *what, int *stops)
{
    char text[256], number[NUMBER_TEXT_BYTES];
    if (answer_int(rows, 0, column) > 0) {
        snprintf(text, sizeof text, "%s rows %s", number_text(number, answer_int(rows, 0, column)), what);
        print_stop(out, text, stops);
    }
}

/* One pass over the table, once its columns are known to be there. */
static bool look_at_rows(struct adopt *adopt, FILE *out, int *stops, struct error *err)
{
    PGresult *rows = postgres_query(adopt->conn, answer_text(adopt->look, 0, "rows_query"), SCAN_US, err);
    if (!rows) {
        return error_wrap(err, "looking at the rows of analytics_events");
    }
    adopt->rows = answer_int(rows, 0, "rows");
    print_bad_rows(out, rows, "without_time", "have no created_at: UPDATE or DELETE them", stops);
    print_bad_rows(out, rows, "beyond_time", "have a created_at before 1970 or years ahead: UPDATE or DELETE them", stops);
    print_bad_rows(out, rows, "bad_names", "have no event_name, or one of more than 100 characters: UPDATE or DELETE them", stops);
    print_bad_rows(out, rows, "bad_categories", "have an event_category of more than 50 characters: UPDATE them", stops);
    print_bad_rows(out, rows, "bad_sessions", "have a session_id of more than 255 characters: UPDATE them", stops);
    print_bad_rows(out, rows, "bad_data", "have \\u0000 in event_data, which jsonb does not take: UPDATE or DELETE them", stops);
    PQclear(rows);
    return true;
}

static bool find_stops(struct adopt *adopt, const char *const *values, FILE *out, int *stops, struct error *err)
{
    PGresult *found = postgres_query_params(adopt->conn, adopt_stops_sql, 4, values, SHORT_US, err);
    *stops = 0;
    for (int row = 0; found && row < PQntuples(found); row++) {
        print_stop(out, PQgetvalue(found, row, 0), stops);
    }
    const bool is_asked = found != NULL;
    PQclear(found);
    return is_asked;
}

bool adopt_find_stops(struct adopt *adopt, FILE *out, int *stops, struct error *err)
{
    const char *const values[] = {adopt->time_zone, adopt->ids_become_uuid ? "true" : "false",
                                  adopt->months_are_published ? "true" : "false", adopt->rollup_tables};
    return find_stops(adopt, values, out, stops, err) && (*stops > 0 || look_at_rows(adopt, out, stops, err));
}

/* What was said at the beginning holds, and a copy that was published by now was. */
bool adopt_find_late_stops(struct adopt *adopt, int *stops, struct error *err)
{
    const char *const values[] = {"UTC", "true", "true", "{}"};
    return find_stops(adopt, values, stderr, stops, err);
}

static void print_texts(const char *what, const char *texts)
{
    if (texts[0] != '\0') {
        printf("  %s", what);
        terminal_text(stdout, texts);
        putchar('\n');
    }
}

bool adopt_print_columns(struct adopt *adopt, struct error *err)
{
    PGresult *columns = postgres_query(adopt->conn, adopt_columns_sql, SHORT_US, err);
    for (int row = 0; columns && row < PQntuples(columns); row++) {
        fputs("  ", stdout);
        terminal_text(stdout, answer_text(columns, row, "name"));
        printf(" (%s): ", answer_text(columns, row, "kind"));
        puts(answer_text(columns, row, "becomes"));
    }
    const bool is_asked = columns != NULL;
    PQclear(columns);
    return is_asked;
}

bool adopt_print_zones(struct adopt *adopt, struct error *err)
{
    const char *const values[] = {adopt->time_zone};
    if (strcmp(answer_text(adopt->look, 0, "created_at_type"), "timestamp without time zone") != 0) {
        return true;
    }
    PGresult *zones = postgres_query_params(adopt->conn, adopt_zones_sql, 1, values, SHORT_US, err);
    if (!zones) {
        return error_wrap(err, "looking which time zones are set");
    }
    printf("  from the swap on sessions of the application must have TimeZone = %s, in which times without a zone are read\n",
           adopt->time_zone);
    for (int row = 0; row < PQntuples(zones); row++) {
        print_texts("WARNING ", answer_text(zones, row, "line"));
    }
    PQclear(zones);
    return true;
}

void adopt_print_plan(const struct adopt *adopt)
{
    char number[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES];
    const PGresult *look = adopt->look;
    const double gb = (double)answer_int(look, 0, "bytes") / (double)(INT64_C(1) << 30);
    printf("public.analytics_events in database %s: %s rows, %.2f GB with indexes\n", answer_text(look, 0, "database"),
           number_text(number, adopt->rows), gb);
    printf("  copying takes about %s beside live writers, and up to %.2f GB of disk more until --finish\n",
           terminal_age(age, adopt->rows * COPIED_ROW_US), gb * 2);
    puts("  the table is locked twice, each time for a fraction of a second");
    puts("  from the swap on the key is (id, created_at): INSERT ... ON CONFLICT (id) fails, and becomes "
         "ON CONFLICT (id, created_at)");
    print_texts("views, made anew in the swap: ", answer_text(look, 0, "views"));
    print_texts("materialized views, made anew behind the swap: ", answer_text(look, 0, "materialized_views"));
    print_texts("functions whose bodies name the tables, made anew in the swap: ", answer_text(look, 0, "functions"));
    print_texts("publications, which publish the copy as it is made, and each month as a table of its own (with "
                "publish_via_partition_root as analytics_events, from the swap on): ",
                answer_text(look, 0, "publications"));
    print_texts("foreign keys, dropped in the swap (what they did on DELETE no longer happens): ",
                answer_text(look, 0, "foreign_key_texts"));
    print_texts("CHECK constraints, not taken over: ", answer_text(look, 0, "checks"));
    if (answer_bool(look, 0, "has_daily_stats")) {
        puts("  analytics_daily_stats becomes analytics_daily_stats_before, and a new one is kept in its place");
    }
}
