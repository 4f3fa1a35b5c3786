/* dashboard.c - `tallymill dashboard`: a service that shows the statistics and the pipeline as a page.
 *
 * Nothing is changed by whatever it is asked: its login is tallymill_read, its transactions are read-only. It starts and stays up
 * while Postgres or Kafka are away, and says so on the page; only its own settings, and a port that is taken, end it.
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/http.h"
#include "common/http_answer.h"
#include "common/http_request.h"
#include "common/http_socket.h"
#include "common/log.h"
#include "common/service.h"
#include "common/settings.h"
#include "common/utf8.h"
#include "operator/command.h"
#include "operator/dashboard/access.h"
#include "operator/dashboard/asset.h"
#include "operator/dashboard/reader.h"
#include "operator/dashboard/sampler.h"
#include "operator/dashboard/site.h"
#include "operator/ground.h"

enum {
    THREADS = 4,
    READERS = THREADS + 2 + SITE_EXPORTS,
    HELPERS = 2, /* the more, the more cores one page takes from the pipeline */
    CONNECTIONS = 64,
    CONNECTION_BYTES = 16 * 1024,
    BODY_BYTES = 4096,
    IDLE_SECONDS = 35,
    REQUEST_MS = 30000,
    TURN_MS = 1000
};

struct dashboard {
    struct site site;
    struct access *access;
    pthread_mutex_t lock; /* of server, which the sampler tells of new rows */
    struct http_server *server;
};

/* Tried in Chromium with the whole page: no violation. Whatever an event's name holds, it can neither run nor load anything. */
static const struct http_header headers[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
     "form-action 'self'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {NULL, NULL},
};

static const char *behind(const char *path, const char *prefix)
{
    const size_t length = strlen(prefix);
    return strncmp(path, prefix, length) == 0 ? path + length : NULL;
}

static void note_bytes(void *context, const char *name, const char *value)
{
    bool *is_text = context;
    *is_text = *is_text && utf8_is_text(name) && utf8_is_text(value);
}

/* Whatever a query says may end in an answer or be asked of Postgres, which both take UTF-8 alone. Else the answer says so. */
static bool is_utf8(struct http_request *request, struct http_answer *answer)
{
    bool is_text = true;
    http_each_query(request, note_bytes, &is_text);
    if (!is_text)
        site_json(answer, 400, json_pack("{s:s, s:s}", "error", "what the address asks for is not UTF-8", "kind", "request"));
    return is_text;
}

static void answer_data(struct dashboard *dashboard, struct http_request *request, struct http_answer *answer)
{
    struct site *site = &dashboard->site;
    const char *path = http_path(request), *rest;
    http_answer_header(answer, "Cache-Control", "no-store");
    if (!is_utf8(request, answer))
        return;
    if ((rest = behind(path, "/api/v1/page/")) != NULL)
        page_answer(site, request, answer, rest);
    else if ((rest = behind(path, "/api/v1/panel/")) != NULL)
        panel_csv_answer(site, request, answer, rest);
    else if (strcmp(path, "/api/v1/events.csv") == 0)
        events_csv_answer(site, request, answer);
    else if (strcmp(path, "/api/v1/pipeline") == 0)
        pipeline_answer(site, answer);
    else if (strcmp(path, "/api/v1/pipeline/live") == 0)
        pipeline_live_answer(site, request, answer);
    else if ((rest = behind(path, "/api/v1/pipeline/")) != NULL)
        pipeline_table_answer(site, request, answer, rest);
    else
        http_answer_text(answer, 404, "nothing here\n");
}

/* The page, its looks and scripts are no secret, and the form needs its own before anybody is let in: what the page shows, it asks
 * for with its cookie. Were the page kept back, a link in a chat, to which a browser adds no cookie (SameSite=Strict), would lead
 * those to the form who are let in already. */
static void answer_request(void *context, struct http_request *request, struct http_answer *answer)
{
    struct dashboard *dashboard = context;
    const char *path = http_path(request);
    const bool is_post = strcmp(http_method(request), "POST") == 0;
    if (!access_is_host(dashboard->access, request)) {
        http_answer_text(answer, 421, "this host name is not known here: add it to dashboard.hosts\n");
    } else if (strcmp(path, "/login") == 0) {
        http_answer_header(answer, "Cache-Control", "no-store");
        access_login(dashboard->access, request, answer, clock_now_us());
    } else if (is_post) {
        http_answer_text(answer, 405, "only GET\n");
    } else if (asset_answer(request, answer)) {
        return;
    } else if (access_is_let_in(dashboard->access, request, clock_now_us())) {
        answer_data(dashboard, request, answer);
    } else {
        http_answer_header(answer, "WWW-Authenticate", "Bearer");
        http_answer_text(answer, 401, "a token is needed\n");
    }
}

/* A new row: those who wait for it get it. */
static void tell_row(void *context)
{
    struct dashboard *dashboard = context;
    pthread_mutex_lock(&dashboard->lock);
    if (dashboard->server)
        http_resume_all(dashboard->server);
    pthread_mutex_unlock(&dashboard->lock);
}

static bool listen_for(struct dashboard *dashboard, const struct settings *settings, struct error *err)
{
    struct http_server *server = http_open(&(struct http_options){.address = settings_text(settings, "dashboard.listen"),
                                                                  .answer = answer_request,
                                                                  .context = dashboard,
                                                                  .headers = headers,
                                                                  .methods = "GET, HEAD, POST",
                                                                  .threads = THREADS,
                                                                  .connections = CONNECTIONS,
                                                                  .connection_bytes = CONNECTION_BYTES,
                                                                  .body_bytes = BODY_BYTES,
                                                                  .idle_seconds = IDLE_SECONDS,
                                                                  .request_ms = REQUEST_MS},
                                           err);
    pthread_mutex_lock(&dashboard->lock);
    dashboard->server = server;
    pthread_mutex_unlock(&dashboard->lock);
    return server || error_wrap(err, "%s: dashboard.listen", settings_origin(settings, "dashboard.listen"));
}

/* Whoever answers needs the sampler, and the sampler tells the server: so it hears of its end first, and stops last. */
static void stop_listening(struct dashboard *dashboard)
{
    pthread_mutex_lock(&dashboard->lock);
    struct http_server *server = dashboard->server;
    dashboard->server = NULL;
    pthread_mutex_unlock(&dashboard->lock);
    http_close(server);
}

static void turn(const struct dashboard *dashboard)
{
    log_info("the dashboard is served", "address=http://%s/ panels=%zu", http_address(dashboard->server),
             dashboard->site.panels.count);
    service_ready();
    service_status("serving http://%s/", http_address(dashboard->server));
    while (!service_is_stopping()) { /* ends: with SIGTERM */
        struct pollfd wake = {service_fd(), POLLIN, 0};
        poll(&wake, 1, TURN_MS);
        if (service_take_reload())
            log_info("settings of the dashboard are taken at its start: restart it", NULL);
        service_watchdog(clock_now_us());
    }
    service_stopping();
}

static void serve(struct settings *settings, struct error *err)
{
    struct dashboard *dashboard = calloc(1, sizeof *dashboard);
    if (!dashboard) {
        error_set(err, ERROR_RETRY, "out of memory");
        return;
    }
    pthread_mutex_init(&dashboard->lock, NULL);
    dashboard->site.settings = settings;
    dashboard->site.export_rows = settings_int(settings, "dashboard.export_rows");
    dashboard->access = access_new(settings, err);
    if (dashboard->access && panels_read(&dashboard->site.panels, settings, err)) {
        dashboard->site.readers = readers_new(settings, READERS, HELPERS);
        if (!dashboard->site.readers)
            error_set(err, ERROR_RETRY, "out of memory");
        else
            dashboard->site.sampler = sampler_start(settings, dashboard->site.readers, tell_row, dashboard, err);
    }
    if (dashboard->site.sampler && listen_for(dashboard, settings, err))
        turn(dashboard);
    stop_listening(dashboard);
    sampler_stop(dashboard->site.sampler);
    pthread_mutex_destroy(&dashboard->lock);
    readers_free(dashboard->site.readers);
    panels_free(&dashboard->site.panels);
    access_free(dashboard->access);
    free(dashboard);
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    (void)context;
    if (command->argument_count > 0) {
        error_set(err, ERROR_USAGE, "%s: dashboard takes no arguments", command->arguments[0]);
    } else if (command->check) {
        if (access_check(command->settings, err) && http_socket_check(settings_text(command->settings, "dashboard.listen"), err) &&
            sampler_check(command->settings, err))
            return ground_check(command->settings, &(struct ground){"tallymill dashboard", "tallymill_read",
                                                                    settings_text(command->settings, "topics.events"),
                                                                    RD_KAFKA_ACL_OPERATION_DESCRIBE});
    } else if (service_open(err)) {
        serve(command->settings, err);
        service_close();
    }
    return 0;
}

int dashboard_run(int argc, char **argv)
{
    const struct cli_option options[] = {{.name = NULL}};
    const struct cli cli = {
        .program = "tallymill dashboard",
        .usage = "[OPTION ...]",
        .summary =
            "Serves a page with the statistics (Analytics) and with the state of the pipeline (Pipeline), live, until SIGTERM.\n"
            "Needs a login with tallymill_read, and changes nothing. Listens on the loopback unless dashboard.listen says "
            "otherwise,\n"
            "which asks for dashboard.token. It stays up while Postgres or Kafka are away, and shows what is wrong.\n",
        .examples = "  tallymill dashboard --config settings.ini\n"
                    "  tallymill dashboard --config settings.ini --set dashboard.listen=0.0.0.0:9460 --set "
                    "dashboard.token=@/etc/tallymill/token\n",
        .options = options,
        .programs = FOR_OPERATOR,
    };
    return command_work(&cli, argc, argv, work, NULL);
}
