/* monitor.c - see monitor.h. /health answers 200 or 503, so that a load balancer or an orchestrator needs to read no text. */
#include "common/monitor.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/health.h"
#include "common/http.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "common/settings.h"

struct monitor {
    const struct metrics *metrics;
    struct health *health;
    struct http_server *server;
};

static unsigned answer_metrics(void *context, FILE *out)
{
    const struct monitor *monitor = context;
    metrics_write(monitor->metrics, out, clock_now_us());
    return 200;
}

static unsigned answer_health(void *context, FILE *out)
{
    const struct monitor *monitor = context;
    return health_write(monitor->health, out, service_turned_us(), clock_now_us()) ? 200 : 503;
}

static const struct http_route routes[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", answer_metrics},
    {"/health", "application/json", answer_health},
    {NULL, NULL, NULL},
};

static bool explain(const struct settings *settings, struct error *err)
{
    return error_wrap(err, "%s: metrics.listen", settings_origin(settings, "metrics.listen"));
}

bool monitor_check(const struct settings *settings, struct error *err)
{
    const char *address = settings_text(settings, "metrics.listen");
    return !*address || http_check_address(address, err) || explain(settings, err);
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
    opened->server = http_open(address, routes, opened, err);
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
