/* panel_csv.c - GET /api/v1/panel/NAME.csv: the rows of one panel as a table, the very rows that the page draws. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/http_answer.h"
#include "common/http_request.h"
#include "operator/dashboard/reader.h"
#include "operator/dashboard/site.h"

static const struct panel *find_panel(const struct site *site, const char *file_name)
{
    char name[PANEL_NAME_BYTES];
    const size_t length = strlen(file_name);
    if (length < 5 || length - 4 >= sizeof name || strcmp(file_name + length - 4, ".csv") != 0)
        return NULL;
    memcpy(name, file_name, length - 4);
    name[length - 4] = '\0';
    return panels_find(&site->panels, name);
}

static void write_answer(struct http_answer *answer, const struct panel *panel, const struct range *range, const PGresult *result,
                         bool is_raw)
{
    char name[PANEL_NAME_BYTES + 2 * CLOCK_DAY_BYTES + 2], first[CLOCK_DAY_BYTES], last[CLOCK_DAY_BYTES];
    clock_format_day(first, range->first);
    clock_format_day(last, range->last);
    snprintf(name, sizeof name, "%s-%s-%s", panel->name, first, last);
    site_csv(answer, name, result, is_raw);
}

void panel_csv_answer(struct site *site, struct http_request *request, struct http_answer *answer, const char *file_name)
{
    struct error err = {0};
    struct range range;
    const struct panel *panel = find_panel(site, file_name);
    const char *said = http_query(request, "tab"), *raw = http_query(request, "raw");
    const char *tab = site_tab(said && *said ? said : "overview"); /* only words of ours reach the query */
    if (!panel || !tab) {
        http_answer_text(answer, 404, "no such panel\n");
        return;
    }
    if (!site_range(request, answer, &range))
        return;
    if (!panel_knows(panel, range.who)) {
        http_answer_text(answer, 404, "this panel is not counted for these users\n");
        return;
    }
    struct reader *reader = readers_take(site->readers, &err);
    PGresult *result = reader ? site_ask_panel(reader, panel, &range, range.first, range.last, tab, &err) : NULL;
    if (result)
        write_answer(answer, panel, &range, result, raw && strcmp(raw, "1") == 0);
    else
        site_failed(answer, &err);
    PQclear(result);
    if (reader)
        readers_give(site->readers, reader);
}
