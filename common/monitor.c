/* monitor.c - see monitor.h. /health answers 200 or 503, so that a load balancer or an orchestrator needs to read no text. */
#include "common/monitor.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/health.h"
#include "common/http.h"
#include "common/http_answer.h"
#include "common/http_request.h"
#include "common/http_socket.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "common/settings.h"

struct monitor {
    const struct metrics *metrics;
    struct health *health;
    struct http_server *server;
};

enum { CONNECTIONS = 256, CONNECTION_BYTES = 4096, IDLE_SECONDS = 5, REQUEST_MS = 30000 };

static void answer_metrics(const struct monitor *monitor, struct http_answer *answer)
{
    FILE *out = http_answer_body(answer);
    if (!out)
        return;
    http_answer_status(answer, 200, "text/plain; version=0.0.4; charset=utf-8");
    metrics_write(monitor->metrics, out, clock_now_us());
}

static void answer_health(const struct monitor *monitor, struct http_answer *answer)
{
    FILE *out = http_answer_body(answer);
    if (out)
        http_answer_status(answer, health_write(monitor->health, out, service_turned_us(), clock_now_us()) ? 200 : 503,
                           "application/json");
}

static void answer_path(void *context, struct http_request *request, struct http_answer *answer)
{
    const char *path = http_path(request);
    if (strcmp(path, "/metrics") == 0)
        answer_metrics(context, answer);
    else if (strcmp(path, "/health") == 0)
        answer_health(context, answer);
    else
        http_answer_text(answer, 404, "nothing here: /metrics and /health\n");
}

static const struct http_header headers[] = {{"Cache-Control", "no-store"}, {NULL, NULL}};

static bool explain(const struct settings *settings, struct error *err)
{
    return error_wrap(err, "%s: metrics.listen", settings_origin(settings, "metrics.listen"));
}

bool monitor_check(const struct settings *settings, struct error *err)
{
    const char *address = settings_text(settings, "metrics.listen");
    return !*address || http_socket_check(address, err) || explain(settings, err);
}

bool monitor_open(struct monitor **monitor, const struct settings *settings, const struct metrics *metrics, struct health *health,
                  struct error *err)
{
    const char *address = settings_text(settings, "metrics.listen");
    *monitor = NULL;
    if (!*address)
        return true;
    struct monitor *opened = calloc(1, sizeof *opened);
    if (!opened)
        return error_set(err, ERROR_RETRY, "no memory for the monitor");
    *opened = (struct monitor){.metrics = metrics, .health = health};
    opened->server = http_open(&(struct http_options){.address = address,
                                                      .answer = answer_path,
                                                      .context = opened,
                                                      .headers = headers,
                                                      .methods = "GET, HEAD",
                                                      .threads = 1,
                                                      .connections = CONNECTIONS,
                                                      .connection_bytes = CONNECTION_BYTES,
                                                      .idle_seconds = IDLE_SECONDS,
                                                      .request_ms = REQUEST_MS},
                               err);
    if (!opened->server) {
        free(opened);
        return explain(settings, err);
    }
    log_info("metrics and health are served", "address=%s", http_address(opened->server));
    *monitor = opened;
    return true;
}

void monitor_close(struct monitor *monitor)
{
    if (!monitor)
        return;
    http_close(monitor->server);
    free(monitor);
}
