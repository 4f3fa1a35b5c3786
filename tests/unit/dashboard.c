/* The dashboard's parts that ask nobody: ranges, panel files, lag, and the ring of the live charts. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "operator/dashboard/commit_times.h"
#include "operator/dashboard/lag.h"
#include "operator/dashboard/panel.h"
#include "operator/dashboard/range.h"
#include "operator/dashboard/ring.h"

static struct range range_of(const struct range_query *query)
{
    struct error err = {0};
    struct range range;
    cr_assert(range_read(query, clock_days_from_date(2026, 11, 29), &range, &err), "%s", err.text);
    return range;
}

static void assert_days(int32_t first, int32_t last, const char *expected)
{
    char text[64], day[CLOCK_DAY_BYTES];
    clock_format_day(day, first);
    int used = snprintf(text, sizeof text, "%s ", day);
    clock_format_day(day, last);
    snprintf(text + used, sizeof text - (size_t)used, "%s", day);
    cr_assert_str_eq(text, expected);
}

Test(range, ends_yesterday_and_stands_over_the_same_weekdays)
{
    const struct range month = range_of(&(struct range_query){0}),
                       year = range_of(&(struct range_query){.range = "12mo", .compare = "previous"});
    assert_days(month.first, month.last, "2026-11-01 2026-11-28");
    assert_days(month.before_first, month.before_last, "2026-10-04 2026-10-31");
    assert_days(year.first, year.last, "2025-11-30 2026-11-28");
    const struct range today = range_of(&(struct range_query){.range = "today"});
    assert_days(today.first, today.last, "2026-11-29 2026-11-29");
    assert_days(today.before_first, today.before_last, "2026-11-22 2026-11-22");
    const struct range own = range_of(&(struct range_query){.range = "custom", .first = "2026-11-10", .last = "2026-11-19"});
    assert_days(own.before_first, own.before_last, "2026-10-27 2026-11-05");
    const struct range old = range_of(&(struct range_query){.range = "7d", .compare = "year"});
    assert_days(old.before_first, old.before_last, "2025-11-23 2025-11-29");
    cr_assert(!range_of(&(struct range_query){.compare = "off"}).has_before);
}

Test(range, chooses_its_grain_by_its_length)
{
    cr_assert_str_eq(range_of(&(struct range_query){.range = "28d"}).grain, "day");
    cr_assert_str_eq(range_of(&(struct range_query){.range = "91d"}).grain, "week");
    cr_assert_str_eq(range_of(&(struct range_query){.range = "12mo"}).grain, "month");
    cr_assert_str_eq(range_of(&(struct range_query){.range = "12mo", .grain = "day"}).grain, "day");
}

Test(range, takes_any_text_for_a_language_and_nothing_else)
{
    struct error err = {0};
    struct range range = range_of(&(struct range_query){.language = "c\xc3\xa4'"});
    static char longest[RANGE_LANGUAGE_BYTES + 1];
    cr_assert_str_eq(range.language, "c\xc3\xa4'");
    cr_assert_str_eq(range_of(&(struct range_query){0}).language, "");
    memset(longest, 'x', RANGE_LANGUAGE_BYTES);
    cr_assert(!range_read(&(struct range_query){.language = longest}, 20000, &range, &err) && err.kind == ERROR_USAGE);
    longest[RANGE_LANGUAGE_BYTES - 1] = '\0';
    cr_assert(range_read(&(struct range_query){.language = longest}, 20000, &range, &err));
    cr_assert(!range_read(&(struct range_query){.language = "a\xff"}, 20000, &range, &err) && err.kind == ERROR_USAGE);
}

Test(range, refuses_words_and_days_that_are_none)
{
    static const struct range_query wrong[] = {{.range = "30d"},
                                               {.who = "everybody"},
                                               {.compare = "1"},
                                               {.grain = "hour"},
                                               {.range = "custom"},
                                               {.range = "custom", .first = "2026-11-10", .last = "2026-11-09"},
                                               {.range = "custom", .first = "2026-02-30", .last = "2026-11-09"},
                                               {.range = "custom", .first = "2000-01-01", .last = "2026-11-09"},
                                               {.range = "custom", .first = "9999-12-01", .last = "9999-12-31"},
                                               {.range = "custom", .first = "0000-01-01", .last = "0000-01-31"},
                                               {.range = "custom", .first = "0001-01-01", .last = "0001-01-31"},
                                               {.range = "custom", .first = "'; --", .last = "2026-11-09"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error err = {0};
        struct range range;
        cr_expect(!range_read(&wrong[i], 20000, &range, &err) && err.kind == ERROR_USAGE && err.text[0] != '\0', "%zu", i);
    }
}

/* ---- panels ---- */

#define HEAD "-- title: T\n-- sub: S\n-- tab: overview 3, usage 11\n-- show: list\n-- unit: count\n-- good: up\n"

static bool parse(const char *name, const char *text, struct panel *panel, struct error *err)
{
    static char buffer[4096];
    snprintf(buffer, sizeof buffer, "%s", text);
    return panel_parse(name, buffer, panel, err);
}

Test(panel, is_read_with_what_its_comments_declare)
{
    struct error err = {0};
    struct panel panel;
    cr_assert(parse("doc_types.sql", HEAD "-- prose: of no declaration\nSELECT 1;\n", &panel, &err), "%s", err.text);
    cr_assert_str_eq(panel.name, "doc_types");
    cr_assert_str_eq(panel.words[PANEL_SHOW], "list");
    cr_assert(panel_place(&panel, "overview") == 3 && panel_place(&panel, "usage") == 11 && panel_place(&panel, "over") == 0 &&
              panel_place(&panel, "system") == 0);
    cr_assert(parse("x.sql",
                    "-- title: T\n-- sub: S\n-- tab: all 9\n-- show: table\n-- unit: ms\n-- good: none\n-- who: external\nSELECT 1",
                    &panel, &err));
    cr_assert(panel_place(&panel, "system") == 9 && panel_knows(&panel, "external") && !panel_knows(&panel, "all"));
}

Test(panel, names_what_is_wrong_with_its_file)
{
    static const char *const wrong[][3] = {
        {"x.sql", "SELECT 1", "title"},
        {"x.sql", HEAD "-- unit: ms\nSELECT 1", "twice"},
        {"x.sql", "-- title: T\n-- sub: S\n-- tab: all 1\n-- show: pie\n-- unit: ms\n-- good: up\n", "show is one of"},
        {"x.sql", "-- title: T\n-- sub: S\n-- tab: all 1\n-- show: classes\n-- unit: ms\n-- good: up\n", "zones"},
        {"x.sql", HEAD "-- zones: 500 1000\nSELECT 1", "zones"},
        {"x.sql", HEAD "-- zones: 500 1000 many\nSELECT 1", "zones"},
        {"x.sql", HEAD "-- zones: 500 1000 2000 4000\nSELECT 1", "zones"},
        {"x.sql", HEAD "-- target: high\nSELECT 1", "target"},
        {"X.sql", HEAD "SELECT 1", "NAME"},
        {"x y.sql", HEAD "SELECT 1", "NAME"},
        {".sql", HEAD "SELECT 1", "NAME"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error err = {0};
        struct panel panel;
        cr_expect(!parse(wrong[i][0], wrong[i][1], &panel, &err) && strstr(err.text, wrong[i][2]), "%zu: %s", i, err.text);
    }
}

static const char asking[] = HEAD
    "-- public.analytics_daily_llm and :'first' in prose\n"
    "SELECT 1 FROM public.analytics_daily_llm AS l, public.analytics_daily_uniques AS u, public.analytics_weekly_cohorts AS c\n"
    "WHERE l.date BETWEEN :'first' AND :'last' AND :'grain' = :'who' AND :'firsts' AND my_analytics_daily_x = 1;";

static char *sql_for(const char *who)
{
    struct error err = {0};
    struct panel panel;
    const struct range range = {.name = "7d", .who = who, .grain = "week"};
    cr_assert(parse("x.sql", asking, &panel, &err), "%s", err.text);
    return panel_sql(&panel, &range, clock_days_from_date(2026, 11, 1), clock_days_from_date(2026, 11, 7), "overview", PANEL_ASKED);
}

Test(panel, asks_for_the_days_and_users_that_are_wanted)
{
    char *sql = sql_for("external");
    cr_assert_str_eq(
        sql,
        "SELECT 1 FROM public.analytics_daily_llm AS l, public.analytics_daily_uniques AS u, public.analytics_weekly_cohorts AS c\n"
        "WHERE l.date BETWEEN '2026-11-01' AND '2026-11-07' AND 'week' = 'external' AND :'firsts' AND my_analytics_daily_x = 1");
    free(sql);
    sql = sql_for("internal");
    cr_assert(strstr(sql, "FROM public.analytics_internal_daily_llm AS l, public.analytics_daily_uniques AS u, "
                          "public.analytics_internal_weekly_cohorts AS c"),
              "%s", sql);
    free(sql);
    sql = sql_for("all");
    cr_assert(strstr(sql, "FROM (SELECT * FROM public.analytics_daily_llm UNION ALL SELECT * FROM "
                          "public.analytics_internal_daily_llm) AS l, public.analytics_daily_uniques AS u"),
              "%s", sql);
    free(sql);
}

Test(panel, names_the_buckets_of_an_earlier_range_as_those_that_it_is_compared_with)
{
    struct error err = {0};
    struct panel panel;
    const struct range range = {.name = "91d",
                                .who = "external",
                                .grain = "month",
                                .first = 1000,
                                .last = 1090,
                                .has_before = true,
                                .before_first = 909,
                                .before_last = 999};
    cr_assert(parse("x.sql", HEAD "SELECT interval :'shift'", &panel, &err), "%s", err.text);
    char *now = panel_sql(&panel, &range, range.first, range.last, "usage", PANEL_ASKED),
         *before = panel_sql(&panel, &range, range.before_first, range.before_last, "usage", PANEL_ASKED);
    cr_assert_str_eq(now, "SELECT interval '0 days'");
    cr_assert_str_eq(before, "SELECT interval '91 days'");
    free(now);
    free(before);
}

Test(panel, has_a_chosen_language_as_a_parameter_and_quotes_it_only_to_be_read)
{
    struct error err = {0};
    struct panel panel;
    struct range range = {.name = "7d", .who = "external", .grain = "day"};
    cr_assert(parse("x.sql", HEAD "-- filter: language\nSELECT :'language', :'languages', ':who'", &panel, &err), "%s", err.text);
    cr_assert(!panel_is_for(&panel, &range), "none is chosen");
    snprintf(range.language, sizeof range.language, "c'; :'who' \\");
    cr_assert(panel_is_for(&panel, &range));
    char *asked = panel_sql(&panel, &range, 1, 2, "usage", PANEL_ASKED),
         *shown = panel_sql(&panel, &range, 1, 2, "usage", PANEL_SHOWN);
    cr_assert_str_eq(asked, "SELECT $1, :'languages', ':who'");
    cr_assert_str_eq(shown, "SELECT 'c''; :''who'' \\', :'languages', ':who'");
    free(asked);
    free(shown);
    cr_assert(parse("x.sql", HEAD "-- filter: none\nSELECT :'language'", &panel, &err) && !panel_is_for(&panel, &range));
    asked = panel_sql(&panel, &range, 1, 2, "usage", PANEL_ASKED);
    cr_assert_str_eq(asked, "SELECT :'language'", "a panel that does not say so gets no parameter");
    free(asked);
    cr_assert(!parse("x.sql", HEAD "-- picks: tier\nSELECT 1", &panel, &err) && strstr(err.text, "picks"), "%s", err.text);
}

/* ---- lag ---- */

Test(lag, is_the_age_of_the_oldest_end_that_the_position_has_not_passed)
{
    static struct lag lag;
    memset(&lag, 0, sizeof lag);
    lag_see(&lag, 100, 1000);
    cr_assert_eq(lag_age_us(&lag, 100, 1500), 0);
    lag_see(&lag, 110, 2000);
    lag_see(&lag, 110, 2500);
    lag_see(&lag, 130, 3000);
    cr_assert_eq(lag_age_us(&lag, 100, 4000), 2000);
    cr_assert_eq(lag_age_us(&lag, 109, 4000), 2000);
    cr_assert_eq(lag_age_us(&lag, 110, 4000), 1000);
    cr_assert_eq(lag_age_us(&lag, 130, 9000), 0);
}

Test(lag, is_never_told_too_small_when_the_marks_are_full)
{
    static struct lag lag;
    memset(&lag, 0, sizeof lag);
    for (int i = 1; i <= 10 * LAG_MARKS; i++)
        lag_see(&lag, i, i);
    cr_assert(lag.count <= LAG_MARKS);
    for (int position = 0; position < 10 * LAG_MARKS;
         position += 7) { /* the event at offset `position` came with mark position + 1 */
        const int64_t age = lag_age_us(&lag, position, 100000);
        cr_assert(age >= 100000 - (position + 1), "position %d: %ld", position, (long)age);
    }
    cr_assert_eq(lag_age_us(&lag, 10 * LAG_MARKS, 100000), 0);
}

/* ---- the ring ---- */

Test(ring, gives_what_is_newer_and_keeps_peaks_and_holes_when_it_thins)
{
    struct ring *ring = ring_new();
    for (int i = 0; i < RING_ROWS + 10; i++)
        ring_add(ring, &(struct ring_row){.at_ms = i + 1,
                                          .figures = {[RING_STORED] = i % 100 == 50 ? 1000 : 1,
                                                      [RING_PUBLISHED] = NAN,
                                                      [RING_LAG_S] = i < RING_ROWS / 2 ? NAN : 1,
                                                      [RING_BEHIND_S] = 0.12345,
                                                      [RING_COMMIT_P50_MS] = NAN,
                                                      [RING_COMMIT_P99_MS] = 12}});
    json_t *rows = ring_rows(ring, 0, RING_ROWS);
    cr_assert_eq(json_array_size(rows), (size_t)RING_ROWS, "a day is kept, and no more");
    cr_assert_eq(json_integer_value(json_array_get(json_array_get(rows, 0), 0)), 11);
    json_decref(rows);
    rows = ring_rows(ring, RING_ROWS + 8, 100);
    cr_assert_eq(json_array_size(rows), 2u);
    json_decref(rows);
    rows = ring_rows(ring, 0, 172);
    cr_assert(json_array_size(rows) <= 172);
    const size_t thinned = json_array_size(rows) - RING_WHOLE;
    for (size_t i = 0; i + 1 < thinned; i++) { /* the last group is shorter, and may have none */
        const json_t *row = json_array_get(rows, i);
        cr_assert_float_eq(json_real_value(json_array_get(row, 1)), 1000, 1e-9, "no peak is lost");
        cr_assert(json_is_null(json_array_get(row, 2)), "nothing known is no 0");
        cr_assert_float_eq(json_real_value(json_array_get(row, 5)), 0.123, 1e-9);
    }
    for (size_t i = 0; i < RING_WHOLE; i++) { /* as they were added, for means */
        const json_t *row = json_array_get(rows, thinned + i);
        const int number = RING_ROWS + 10 - RING_WHOLE + (int)i;
        cr_assert_eq(json_integer_value(json_array_get(row, 0)), number + 1);
        cr_assert_float_eq(json_real_value(json_array_get(row, 1)), number % 100 == 50 ? 1000 : 1, 1e-9, "row %d", number);
    }
    cr_assert(json_is_null(json_array_get(json_array_get(rows, 0), 3)));
    cr_assert(json_is_null(json_array_get(json_array_get(rows, 0), 6)));
    cr_assert_float_eq(json_real_value(json_array_get(json_array_get(rows, 0), 7)), 12, 1e-9);
    json_decref(rows);
    cr_assert_eq(ring_newest_ms(ring), RING_ROWS + 10);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ring_csv(ring, RING_ROWS + 9, out);
    fclose(out);
    cr_assert_str_eq(text, "at,stored_per_s,published_per_s,lag_s,lag_events,behind_s,commit_p50_ms,commit_p99_ms\r\n"
                           "1970-01-01T00:00:17.29Z,1,,1,0,0.123,,12\r\n");
    free(text);
    ring_free(ring);
}

/* ---- times of commits ---- */

#define BUCKET(le, count) "tallymill_consumer_commit_seconds_bucket{le=\"" le "\"} " count "\n"

static struct commit_times times_of(const char *text)
{
    struct error err = {0};
    struct commit_times times;
    cr_assert(commit_times_read(text, &times, &err), "%s", err.text);
    return times;
}

Test(commit_times, are_those_between_two_looks)
{
    const struct commit_times none = {0},
                              earlier = times_of("# HELP x y\n" BUCKET("0.001", "10") BUCKET("0.01", "10") BUCKET("0.1", "10")
                                                     BUCKET("+Inf", "10") "tallymill_consumer_commit_seconds_sum 3\n"),
                              later =
                                  times_of(BUCKET("0.001", "10") BUCKET("0.01", "60") BUCKET("0.1", "109") BUCKET("+Inf", "110"));
    struct commit_times sum = {0};
    cr_assert(isnan(commit_times_percentile(&sum, 0.5)) && isnan(commit_times_percentile(&none, 0.5)));
    commit_times_add(&sum, &earlier, &earlier);
    cr_assert(isnan(commit_times_percentile(&sum, 0.5)), "no commit between them");
    commit_times_add(&sum, &earlier, &later);
    cr_assert_float_eq(commit_times_percentile(&sum, 0.5), 0.01, 1e-9);
    cr_assert_float_eq(commit_times_percentile(&sum, 0.25), 0.001 + 0.009 / 2, 1e-9);
    cr_assert_float_eq(commit_times_percentile(&sum, 0.99), 0.1, 1e-9);
    cr_assert_float_eq(commit_times_percentile(&sum, 1), 0.1, 1e-9, "beyond all bounds: the last one");
    /* Of two workers, one of which was started anew: all that it has came since. */
    commit_times_add(&sum, &later, &earlier);
    cr_assert_float_eq(sum.counts[sum.count - 1], 110, 1e-9);
    cr_assert_float_eq(sum.counts[0], 10, 1e-9);
}

Test(commit_times, of_another_version_are_left_out)
{
    const struct commit_times one = times_of(BUCKET("0.001", "1") BUCKET("+Inf", "2")),
                              other = times_of(BUCKET("0.002", "5") BUCKET("+Inf", "9"));
    struct commit_times sum = {0};
    commit_times_add(&sum, &one, &one);
    commit_times_add(&sum, &one, &other);
    cr_assert_float_eq(sum.counts[sum.count - 1], 0, 1e-9);
}

Test(commit_times, are_refused_where_they_are_none)
{
    static char many[8192];
    static const char *const wrong[] = {"",
                                        "<html>",
                                        BUCKET("+Inf", "1"),
                                        BUCKET("0.1", "1") BUCKET("0.2", "2"),
                                        BUCKET("0.1", "1") BUCKET("0.1", "2") BUCKET("+Inf", "2"),
                                        BUCKET("0.1", "3") BUCKET("0.2", "2") BUCKET("+Inf", "3"),
                                        BUCKET("0.1", "") BUCKET("+Inf", "2"),
                                        BUCKET("0.1", "nan") BUCKET("+Inf", "2"),
                                        BUCKET("nan", "1") BUCKET("+Inf", "2"),
                                        BUCKET("0.1", "-1") BUCKET("+Inf", "2"),
                                        "tallymill_consumer_commit_seconds_bucket{le=\"",
                                        many};
    for (int i = 1, used = 0; i < 100; i++)
        used += snprintf(many + used, sizeof many - (size_t)used, "tallymill_consumer_commit_seconds_bucket{le=\"%d\"} 1\n", i);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error err = {0};
        struct commit_times times;
        cr_expect(!commit_times_read(wrong[i], &times, &err) && err.kind == ERROR_USAGE, "%zu", i);
    }
}
