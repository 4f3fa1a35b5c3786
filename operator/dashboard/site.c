/* site.c - see site.h. */
#include "operator/dashboard/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/http_answer.h"
#include "common/http_request.h"
#include "operator/dashboard/reader.h"
#include "operator/dashboard/rows.h"

static const char json_content[] = "application/json; charset=utf-8";

bool site_range(struct http_request *request, struct http_answer *answer, struct range *range)
{
    struct error err = {0};
    const struct range_query query = {.range = http_query(request, "range"),
                                      .first = http_query(request, "first"),
                                      .last = http_query(request, "last"),
                                      .who = http_query(request, "who"),
                                      .compare = http_query(request, "compare"),
                                      .grain = http_query(request, "grain"),
                                      .language = http_query(request, "language")};
    if (range_read(&query, clock_day_of(clock_wall_us()), range, &err))
        return true;
    site_json(answer, 400, json_pack("{s:s, s:s}", "error", err.text, "kind", "request"));
    return false;
}

void site_json(struct http_answer *answer, unsigned status, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    if (!text) {
        http_answer_text(answer, 500, "out of memory\n");
        return;
    }
    http_answer_status(answer, status, json_content);
    http_answer_take(answer, text, strlen(text));
}

void site_failed(struct http_answer *answer, const struct error *err)
{
    const bool may_pass = err->kind == ERROR_RETRY;
    site_json(answer, may_pass ? 503 : 500, json_pack("{s:s, s:s}", "error", err->text, "kind", may_pass ? "retry" : "usage"));
}

PGresult *site_ask_panel(struct reader *reader, const struct panel *panel, const struct range *range, int32_t first, int32_t last,
                         const char *tab, struct error *err)
{
    const char *const values[] = {range->language};
    char *sql = panel_sql(panel, range, first, last, tab, PANEL_ASKED);
    PGresult *result = NULL;
    if (!sql)
        error_set(err, ERROR_RETRY, "out of memory");
    else if (panel_is_filtered(panel))
        result = reader_ask_params(reader, sql, 1, values, err);
    else
        result = reader_ask(reader, sql, err);
    free(sql);
    return result;
}

void site_csv_head(struct http_answer *answer, const char *name)
{
    char disposition[PANEL_NAME_BYTES + 100];
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s.csv\"", name);
    http_answer_status(answer, 200, "text/csv; charset=utf-8");
    http_answer_header(answer, "Content-Disposition", disposition);
}

void site_csv(struct http_answer *answer, const char *name, const PGresult *result, bool is_raw)
{
    FILE *out = http_answer_body(answer);
    if (!out)
        return;
    site_csv_head(answer, name);
    if (!rows_csv_head(result, out) || !rows_csv(result, is_raw, out))
        http_answer_text(answer, 500, "out of memory\n");
}

const char *site_tab(const char *tab)
{
    static const char *const tabs[] = {"overview", "workflow", "business", "usage", "system"};
    for (size_t i = 0; i < sizeof tabs / sizeof *tabs; i++)
        if (strcmp(tabs[i], tab) == 0)
            return tabs[i];
    return NULL;
}
