/* site.c - see site.h. */
#include "operator/dashboard/site.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/http_answer.h"
#include "common/http_request.h"

static const char json_content[] = "application/json; charset=utf-8";

bool site_range(struct http_request *request, struct http_answer *answer, struct range *range)
{
    struct error err = {0};
    const struct range_query query = {.range = http_query(request, "range"),
                                      .first = http_query(request, "first"),
                                      .last = http_query(request, "last"),
                                      .who = http_query(request, "who"),
                                      .compare = http_query(request, "compare"),
                                      .grain = http_query(request, "grain")};
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

const char *site_tab(const char *tab)
{
    static const char *const tabs[] = {"overview", "workflow", "business", "usage", "system"};
    for (size_t i = 0; i < sizeof tabs / sizeof *tabs; i++)
        if (strcmp(tabs[i], tab) == 0)
            return tabs[i];
    return NULL;
}
