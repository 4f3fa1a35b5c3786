/* site.h - what the dashboard's answers have in common: settings, panels, connections, sampler. Made once, and constant while
 * requests are answered. */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_SITE_H
#define TALLYMILL_OPERATOR_DASHBOARD_SITE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <libpq-fe.h>

#include "common/error.h"
#include "operator/dashboard/panels.h"
#include "operator/dashboard/range.h"

struct http_answer;
struct http_request;
struct reader;
struct readers;
struct sampler;

/* Exports at once: each holds a reader for as long as its client takes. */
enum { SITE_EXPORTS = 2 };

struct site {
    const struct settings *settings;
    struct panels panels;
    struct readers *readers;
    struct sampler *sampler;
    int64_t export_rows;
    atomic_int exports; /* under way */
};

/* The range that a request asks for. False: err, and the answer says so (400). */
bool site_range(struct http_request *request, struct http_answer *answer, struct range *range);

/* The tab of that name as a constant (the plan's categories), or NULL. */
const char *site_tab(const char *tab);

/* An answer as JSON; `json` is taken over. NULL: 500. */
void site_json(struct http_answer *answer, unsigned status, json_t *json);

/* {"error": TEXT, "kind": "retry" or "usage"}: 503 where trying again may help, else 500. */
void site_failed(struct http_answer *answer, const struct error *err);

/* A panel's rows for days first to last. As reader_ask. */
MUST_CHECK PGresult *site_ask_panel(struct reader *reader, const struct panel *panel, const struct range *range, int32_t first,
                                    int32_t last, const char *tab, struct error *err);

/* An answer that a browser keeps as NAME.csv: its head, the body being the caller's; and whole, from a query's rows. */
void site_csv_head(struct http_answer *answer, const char *name);
void site_csv(struct http_answer *answer, const char *name, const PGresult *result, bool is_raw);

/* GET /api/v1/page/TAB: all panels of a tab, of one snapshot. */
void page_answer(struct site *site, struct http_request *request, struct http_answer *answer, const char *tab);

/* GET /api/v1/panel/NAME.csv: the rows of one panel. */
void panel_csv_answer(struct site *site, struct http_request *request, struct http_answer *answer, const char *file_name);

/* GET /api/v1/events.csv: raw events, streamed. */
void events_csv_answer(struct site *site, struct http_request *request, struct http_answer *answer);

/* GET /api/v1/pipeline, /api/v1/pipeline/NAME.json (.csv, .sql), /api/v1/pipeline/live. */
void pipeline_answer(struct site *site, struct http_answer *answer);
void pipeline_table_answer(struct site *site, struct http_request *request, struct http_answer *answer, const char *file_name);
void pipeline_live_answer(struct site *site, struct http_request *request, struct http_answer *answer);

#endif
