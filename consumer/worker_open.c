/* worker_open.c - a worker from its settings.
 *
 * A wrong setting, topic, schema or right is reported at once and ends the program; a server that is away is waited for in the
 * loop, as at any other time.
 */
#include "consumer/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/catalogue.h"
#include "common/clock.h"
#include "common/monitor.h"
#include "common/settings.h"
#include "common/utf8.h"
#include "consumer/memory_shares.h"
#include "consumer/worker_metrics.h"
#include "consumer/worker_state.h"

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
        !(worker->source = source_open(settings, err)) ||
        !(worker->transaction = transaction_new(source_topic(worker->source), err)))
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
