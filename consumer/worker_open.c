/* worker_open.c - a worker from its settings.
 *
 * A wrong setting, topic, schema or right is reported at once and ends the program. A Postgres that is away is waited for in the
 * loop, as at any other time. A Kafka that is away is waited for here: until it has answered nobody knows whether the topic is
 * there and may be read, and a worker that begins without knowing would say so only hours later, in the middle of its work. The
 * service counts as started meanwhile, for systemd kills what has not by TimeoutStartSec=. Rejected: ending with exit code 1 and
 * leaving the rest to the unit (`systemctl start` fails, /metrics comes and goes).
 */
#include "consumer/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/catalogue.h"
#include "common/clock.h"
#include "common/monitor.h"
#include "common/service.h"
#include "common/settings.h"
#include "common/utf8.h"
#include "consumer/memory_shares.h"
#include "consumer/worker_metrics.h"
#include "consumer/worker_state.h"

static const int64_t FIRST_PAUSE_US = 100000;
static const int64_t LONGEST_PAUSE_US = 5 * CLOCK_SECOND_US;

static void name_owner(struct worker *worker)
{
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    const char *instance = settings_text(worker->settings, "consumer.instance");
    snprintf(worker->owner, sizeof worker->owner, "%s/%ld%s%.*s", host, (long)getpid(), *instance ? "/" : "",
             UTF8_CUT(instance, 80));
}

/* Only what is wrong for good is an error here. */
static bool check_ground(struct worker *worker, struct error *err)
{
    const struct settings *settings = worker->settings;
    if (!monitor_open(&worker->monitor, settings, worker->metrics, &worker->health, err))
        return false;
    worker->catalogue = catalogue_load(settings_text(settings, "catalogue.file"), err);
    if (!worker->catalogue || (!connection_check(worker->connection.dsn, err) && err->kind != ERROR_RETRY))
        return false;
    error_clear(err);
    return true;
}

static void tell_kafka_is_away(struct worker *worker, const struct error *why, int64_t asked_us)
{
    const int64_t now_us = clock_now_us();
    outage_note(&worker->kafka_outage, why, asked_us);
    outage_note(&worker->kafka_outage, why, now_us);
    service_trouble(why);
    service_status("waiting for Kafka");
    service_ready();
    health_set_reason(&worker->health, "Kafka is away", now_us);
    metrics_set(worker->metrics, WORKER_BROKERS_UP, 0, 0);
    metrics_set(worker->metrics, WORKER_ASSIGNED, 0, 0);
}

/* Sleeps, but not through a signal. */
static void pause_us(struct worker *worker, int64_t duration_us)
{
    const int64_t deadline_us = clock_now_us() + duration_us / 2 + random() % (duration_us / 2);
    for (;;) { /* ends: at the deadline or with a stop */
        const int64_t now_us = clock_now_us();
        service_watchdog(now_us);
        if (service_take_reload())
            worker_reload(worker, now_us);
        if (service_is_stopping() || now_us >= deadline_us)
            return;
        struct pollfd signal = {.fd = service_fd(), .events = POLLIN};
        poll(&signal, 1, (int)((deadline_us - now_us + 999) / 1000));
    }
}

/* Asks Kafka until it answers, if the worker may wait. False: what is wrong for good, or with ERROR_NONE that a stop is wanted. */
static bool open_source(struct worker *worker, bool may_wait, struct error *err)
{
    int64_t next_pause_us = FIRST_PAUSE_US;
    for (;;) { /* ends: with an answer, or with a stop */
        const int64_t asked_us = clock_now_us();
        service_watchdog(asked_us);
        worker->source = source_open(worker->settings, err);
        if (worker->source) {
            outage_over(&worker->kafka_outage, clock_now_us());
            health_set_reason(&worker->health, NULL, clock_now_us());
            return true;
        }
        if (err->kind != ERROR_RETRY || !may_wait)
            return false;
        if (!service_is_stopping()) {
            tell_kafka_is_away(worker, err, asked_us);
            pause_us(worker, next_pause_us);
        }
        error_clear(err);
        if (service_is_stopping())
            return false;
        next_pause_us = next_pause_us * 2 < LONGEST_PAUSE_US ? next_pause_us * 2 : LONGEST_PAUSE_US;
    }
}

struct worker *worker_open(struct settings *settings, int64_t until_end_us, struct error *err)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker) {
        error_set(err, ERROR_RETRY, "no memory for the worker");
        return NULL;
    }
    worker->settings = settings;
    worker->kafka_outage =
        (struct outage){.away = "Kafka is away, trying again", .back = "Kafka is back", .patience_us = 2 * CLOCK_SECOND_US};
    worker_refusal_init(worker);
    connection_init(&worker->connection, settings);
    worker->min_age_us = settings_int(settings, "batch.min_age");
    const int64_t deadline_us = until_end_us > 0 ? clock_now_us() + until_end_us : 0;
    worker->answers_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    name_owner(worker);
    srandom((unsigned)getpid() ^ (unsigned)clock_wall_us()); /* jitter of the backoff: each worker its own */
    const struct memory_shares shares = memory_shares(settings_int(settings, "memory.max"));
    if (!worker_metrics_init(worker, err) || !check_ground(worker, err))
        goto out;
    const struct transcode_rules rules = worker_rules(settings, worker->catalogue);
    if (!(worker->transcoder = transcoder_new(&rules, err)) ||
        !batches_init(&worker->batches, (int)settings_int(settings, "batch.max_rows"), shares.batch_bytes, err) ||
        !open_source(worker, until_end_us == 0, err) || !(worker->transaction = transaction_new(source_topic(worker->source), err)))
        goto out;
    assignment_init(&worker->assignment, settings, worker->owner, worker->source, &worker->identity, worker->answers_fd);
    until_end_init(&worker->until_end, deadline_us, worker->source, &worker->identity, worker->answers_fd);
    if (worker->answers_fd < 0) {
        error_set(err, ERROR_RETRY, "eventfd: %s", strerror(errno));
        goto out;
    }
    worker_move_window(worker, clock_now_us());
    return worker;
out:
    worker_close(worker, false);
    return NULL;
}
