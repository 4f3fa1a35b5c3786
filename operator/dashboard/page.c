/* page.c - GET /api/v1/page/TAB: all panels of a tab in one snapshot, so that what stands on one page agrees with itself.
 *
 * A panel that fails says why in its own place: its table is not there yet, its query has an error, it took too long. What is late
 * says of when it is: statistics are a second behind the rows, rollups minutes, and one figure beside the other would else look
 * like a contradiction.
 *
 * A page has so much time in all, whatever is in the way of its questions: its thread answers others too, and whoever asked waits
 * no longer than the deadline of a request. What is not asked by then says so, panel by panel.
 *
 * Two ask, each over a connection of its own, whenever there is a second: a page is a dozen questions or two, of which a few take
 * most of its time. Rejected: processes of Postgres that help with one query, which take longer to start than a panel takes.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/http_request.h"
#include "common/postgres.h"
#include "operator/dashboard/reader.h"
#include "operator/dashboard/rows.h"
#include "operator/dashboard/site.h"

extern const char page_fresh_sql[], page_stale_sql[];

/* Below a request's deadline by more than one question and a connection take. */
#define PAGE_US (15 * CLOCK_SECOND_US)

struct page {
    const struct http_request *request;
    int64_t until_us;      /* what is not asked by then is not asked */
    struct reader *reader; /* of the one who asks: the helper has a copy of the page with another */
    const struct range *range;
    const char *tab;
    PGresult *stale; /* what is not up to date */
    PGresult *fresh; /* one row, or NULL: fresh_error */
    struct error fresh_error;
    struct error lost; /* the connection, or the memory: the page as a whole */
};

static json_t *days_json(int32_t first, int32_t last)
{
    char first_text[CLOCK_DAY_BYTES], last_text[CLOCK_DAY_BYTES];
    clock_format_day(first_text, first);
    clock_format_day(last_text, last);
    return json_pack("{s:s, s:s}", "first", first_text, "last", last_text);
}

static json_t *range_json(const struct range *range)
{
    json_t *json = days_json(range->first, range->last);
    char today[CLOCK_DAY_BYTES];
    clock_format_day(today, range->today);
    json_object_set_new(json, "today", json_string(today));
    json_object_set_new(json, "name", json_string(range->name));
    json_object_set_new(json, "grain", json_string(range->grain));
    json_object_set_new(json, "before", range->has_before ? days_json(range->before_first, range->before_last) : json_null());
    return json;
}

/* ---- how fresh a panel's tables are ---- */

struct search {
    const PGresult *stale;
    int row; /* -1: none of the tables */
};

/* A twin waits with its rollup. */
static void look_for(void *context, const char *name, size_t length)
{
    static const char twin[] = "analytics_internal_";
    struct search *search = context;
    char table[128];
    const bool is_twin = strncmp(name, twin, sizeof twin - 1) == 0;
    snprintf(table, sizeof table, "%s%.*s", is_twin ? "analytics_" : "", (int)(is_twin ? length - (sizeof twin - 1) : length),
             is_twin ? name + sizeof twin - 1 : name);
    for (int row = 0; row < PQntuples(search->stale) && search->row < 0; row++)
        if (strcmp(PQgetvalue(search->stale, row, 0), table) == 0)
            search->row = row;
}

static void note_stale(const struct page *page, const char *sql, json_t *panel)
{
    struct search search = {page->stale, -1};
    if (page->stale)
        panel_each_table(sql, look_for, &search);
    if (search.row >= 0)
        json_object_set_new(panel, "stale", rows_object(page->stale, search.row));
}

static void ask_stale(struct page *page)
{
    struct error err = {0};
    char first[CLOCK_DAY_BYTES], last[CLOCK_DAY_BYTES];
    const char *const values[] = {first, last};
    clock_format_day(first, page->range->first);
    clock_format_day(last, page->range->last);
    page->stale =
        reader_ask_params(page->reader, page_stale_sql, 2, values, &err); /* without it the page has its figures all the same */
}

/* ---- one panel ---- */

static json_t *describe(const struct panel *panel)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", panel->name, "title", panel->words[PANEL_TITLE], "sub",
                             panel->words[PANEL_SUB], "show", panel->words[PANEL_SHOW], "unit", panel->words[PANEL_UNIT], "good",
                             panel->words[PANEL_GOOD]);
    if (json && strstr(panel->query, ":'shift'"))
        json_object_set_new(json, "shifts", json_true());
    if (json && panel->words[PANEL_ZONES][0] != '\0')
        json_object_set_new(json, "zones", json_string(panel->words[PANEL_ZONES]));
    if (json && panel->words[PANEL_PICKS][0] != '\0')
        json_object_set_new(json, "picks", json_string(panel->words[PANEL_PICKS]));
    if (json && panel->words[PANEL_TARGET][0] != '\0')
        json_object_set_new(json, "target", json_real(strtod(panel->words[PANEL_TARGET], NULL)));
    return json;
}

/* No time is left for another question. A request that is late already has nobody who reads its answer. */
static bool is_over(const struct page *page)
{
    return clock_now_us() >= page->until_us || http_is_late(page->request);
}

/* Why there are no rows, in the words of who looks at the page. Those of the range stand, whatever is wrong with those before. */
static void note_trouble(struct page *page, json_t *panel, bool is_before, const struct error *err)
{
    const bool is_missing = postgres_is(err, POSTGRES_NO_SCHEMA) || postgres_is(err, POSTGRES_MIGRATING);
    const char *kind = is_missing                             ? "missing"
                       : postgres_is(err, POSTGRES_NO_RIGHT)  ? "right"
                       : postgres_is(err, POSTGRES_CANCELLED) ? "slow"
                                                              : "failed";
    json_object_set_new(panel, is_before ? "before_trouble" : "trouble", json_string(err->text));
    if (!is_before)
        json_object_set_new(panel, "trouble_kind", json_string(kind));
    if (err->kind == ERROR_RETRY && !postgres_is(err, POSTGRES_REFUSED))
        page->lost = *err;
}

/* ---- uniques of days whose keys are gone ---- */

static void note_uniques(void *context, const char *name, size_t length)
{
    static const char uniques[] = "analytics_daily_uniques";
    bool *is_found = context;
    *is_found |= length == sizeof uniques - 1 && strncmp(name, uniques, length) == 0;
}

static const char *fresh_value(const struct page *page, const char *name)
{
    return page->fresh ? PQgetvalue(page->fresh, 0, PQfnumber(page->fresh, name)) : "";
}

/* A range from this day counts somebody twice perhaps: it begins before the first day whose keys are kept, and so do the events. */
static bool is_at_most(const struct page *page, const struct panel *panel, int32_t first)
{
    bool has_uniques = false;
    int32_t kept, begun;
    const char *kept_from = fresh_value(page, "kept_from"), *first_day = fresh_value(page, "first_day");
    panel_each_table(panel->query, note_uniques, &has_uniques);
    return has_uniques && clock_parse_day(kept_from, strlen(kept_from), &kept) &&
           clock_parse_day(first_day, strlen(first_day), &begun) && first < kept && begun < kept;
}

/* ---- its rows ---- */

/* The rows of days first to last as the member `name`. */
static bool ask_panel(struct page *page, const struct panel *panel, int32_t first, int32_t last, const char *name, json_t *json)
{
    struct error err = {0};
    const bool is_before = strcmp(name, "before") == 0;
    PGresult *result = site_ask_panel(page->reader, panel, page->range, first, last, page->tab, &err);
    if (result && is_at_most(page, panel, first))
        json_object_set_new(json, is_before ? "before_at_most" : "at_most", json_true());
    if (result && !is_before) {
        json_object_set_new(json, "columns", rows_columns(result));
        char *sql = panel_sql(panel, page->range, first, last, page->tab, PANEL_SHOWN);
        json_object_set_new(json, "sql", json_string(sql ? sql : ""));
        free(sql);
        note_stale(page, panel->query, json);
    }
    if (result)
        json_object_set_new(json, name, rows_json(result));
    else
        note_trouble(page, json, is_before, &err);
    PQclear(result);
    return result != NULL;
}

static json_t *panel_json(struct page *page, const struct panel *panel)
{
    json_t *json = describe(panel);
    if (!panel_knows(panel, page->range->who)) {
        json_object_set_new(json, "trouble_kind", json_string("who"));
        return json;
    }
    if (is_over(page)) {
        json_object_set_new(json, "trouble_kind", json_string("unasked"));
        return json;
    }
    if (!ask_panel(page, panel, page->range->first, page->range->last, "rows", json) || !page->range->has_before ||
        panel->words[PANEL_COMPARE][0] != '\0')
        return json;
    if (is_over(page))
        json_object_set_new(json, "before_trouble", json_string("the time of the page was over"));
    else
        ask_panel(page, panel, page->range->before_first, page->range->before_last, "before", json);
    return json;
}

/* ---- all of them ---- */

struct round {
    const struct panel **panels;
    json_t **answers; /* in their places; NULL: not asked */
    size_t count;
    atomic_size_t next;
};

struct asker {
    struct page page;
    struct round *round;
};

static void ask_round(struct page *page, struct round *round)
{
    size_t at;
    while ((at = atomic_fetch_add(&round->next, 1)) < round->count) { /* ends: with the panels */
        round->answers[at] = panel_json(page, round->panels[at]);
        if (page->lost.kind != ERROR_NONE) {
            json_decref(round->answers[at]);
            round->answers[at] = NULL;
            return;
        }
    }
}

static void *help(void *context)
{
    struct asker *asker = context;
    ask_round(&asker->page, asker->round);
    return NULL;
}

/* By this thread, and by another over the helper's connection where there is one. A helper that loses it leaves its panel to us;
 * what we have lost, the page has. */
static void ask_all(struct page *page, struct reader *helper, struct round *round)
{
    struct asker asker = {*page, round};
    pthread_t thread;
    asker.page.reader = helper;
    const bool is_helped = helper && pthread_create(&thread, NULL, help, &asker) == 0;
    ask_round(page, round);
    if (is_helped)
        pthread_join(thread, NULL);
    for (size_t at = 0; at < round->count && page->lost.kind == ERROR_NONE; at++)
        if (!round->answers[at])
            round->answers[at] = panel_json(page, round->panels[at]);
}

static size_t choose(const struct panel **panels, const struct range *range)
{
    size_t count = 0;
    for (size_t i = 0; panels && panels[i]; i++)
        if (panel_is_for(panels[i], range))
            panels[count++] = panels[i];
    return count;
}

static json_t *panels_json(struct page *page, const struct site *site, struct reader *helper)
{
    struct round round = {.panels = panels_of_tab(&site->panels, page->tab)};
    json_t *list = json_array();
    round.count = choose(round.panels, page->range);
    round.answers = calloc(round.count + 1, sizeof(json_t *));
    if (round.answers)
        ask_all(page, helper, &round);
    else
        error_set(&page->lost, ERROR_RETRY, "out of memory");
    for (size_t i = 0; round.answers && i < round.count; i++)
        if (round.answers[i])
            json_array_append_new(list, round.answers[i]);
    free(round.answers);
    free(round.panels);
    return list;
}

/* ---- the page ---- */

static json_t *fresh_json(const struct page *page)
{
    return page->fresh ? rows_object(page->fresh, 0) : json_pack("{s:s}", "trouble", page->fresh_error.text);
}

/* All that the page shows, of one snapshot. */
static json_t *ask(struct page *page, struct site *site, struct reader *helper)
{
    ask_stale(page);
    page->fresh = reader_ask(page->reader, page_fresh_sql, &page->fresh_error);
    json_t *panels = panels_json(page, site, helper),
           *json = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:I}", "tab", page->tab, "who", page->range->who, "language",
                             page->range->language, "range", range_json(page->range), "fresh", fresh_json(page), "panels", panels,
                             "export", (json_int_t)site->export_rows);
    PQclear(page->stale);
    PQclear(page->fresh);
    return json;
}

void page_answer(struct site *site, struct http_request *request, struct http_answer *answer, const char *tab)
{
    struct error err = {0};
    struct range range;
    struct page page = {.request = request, .until_us = clock_now_us() + PAGE_US, .range = &range, .tab = site_tab(tab)};
    if (!page.tab) {
        site_json(answer, 404,
                  json_pack("{s:s, s:s}", "error", "no such tab: overview, workflow, business, usage, system", "kind", "request"));
        return;
    }
    if (!site_range(request, answer, &range))
        return;
    page.reader = readers_take(site->readers, &err);
    if (!page.reader) {
        site_failed(answer, &err);
        return;
    }
    struct reader *helper = readers_join(site->readers, page.reader);
    json_t *json = ask(&page, site, helper);
    if (helper)
        readers_give(site->readers, helper);
    readers_give(site->readers, page.reader);
    if (page.lost.kind == ERROR_NONE) {
        site_json(answer, 200, json);
        return;
    }
    json_decref(json);
    site_failed(answer, &page.lost);
}
