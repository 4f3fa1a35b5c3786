/* worker_reload.c - what a SIGHUP changes in a running worker.
 *
 * Everything new is made before anything old is let go: a catalogue that cannot be read leaves the worker as it was. Events that
 * are decoded already keep the outcome that the rules before gave them.
 */
#include <string.h>

#include "common/catalogue.h"
#include "common/log.h"
#include "common/settings.h"
#include "consumer/worker_state.h"

struct transcode_rules worker_rules(const struct settings *settings, const struct catalogue *catalogue)
{
    return (struct transcode_rules){
        .clamp = strcmp(settings_text(settings, "window.policy"), "clamp") == 0,
        .reject_unknown_keys = strcmp(settings_text(settings, "wire.unknown_key"), "reject") == 0,
        .keep_trace = strcmp(settings_text(settings, "wire.trace"), "keep") == 0,
        .reject_unknown_events = strcmp(settings_text(settings, "catalogue.unknown"), "reject") == 0,
        .reject_attributes = strcmp(settings_text(settings, "catalogue.attributes"), "reject") == 0,
        .catalogue = catalogue,
    };
}

static void take_kafka(struct worker *worker, struct settings *fresh)
{
    settings_swap_kafka(worker->settings, fresh);
    settings_free(fresh);
}

static bool is_nothing_new(const struct worker *worker, const struct settings *fresh, const struct catalogue *catalogue)
{
    return settings_is_same(worker->settings, fresh, FOR_CONSUMER) && settings_is_same_dsn(worker->settings, fresh) &&
           settings_is_same_kafka(worker->settings, fresh) && catalogue_is_same(worker->catalogue, catalogue);
}

void worker_reload(struct worker *worker, int64_t now_us)
{
    struct error err = {0};
    struct transcoder *transcoder = NULL;
    struct settings *fresh = settings_load_again(worker->settings, &err);
    struct catalogue *catalogue = fresh ? catalogue_load(settings_text(fresh, "catalogue.file"), &err) : NULL;
    if (catalogue) {
        const struct transcode_rules rules = worker_rules(fresh, catalogue);
        transcoder = transcoder_new(&rules, &err);
    }
    if (!transcoder) {
        log_error_because(&err, "the settings were not read again: those before stay in force", NULL);
        catalogue_free(catalogue);
        settings_free(fresh);
        return;
    }
    const bool is_same = is_nothing_new(worker, fresh, catalogue);
    settings_adopt(worker->settings, fresh, FOR_CONSUMER);
    connection_try_dsn(&worker->connection, fresh);
    if (worker->source)
        worker_renew_begin(worker, fresh, now_us);
    else
        take_kafka(worker, fresh); /* it waits for Kafka, and asks with these next */
    transcoder_free(worker->transcoder);
    catalogue_free(worker->catalogue);
    worker->transcoder = transcoder;
    worker->catalogue = catalogue;
    worker->last_window_us = 0;
    worker_move_window(worker, now_us);
    worker->min_age_us = settings_int(worker->settings, "batch.min_age");
    batches_resize(&worker->batches, (int)settings_int(worker->settings, "batch.max_rows"));
    health_set_patience(&worker->health, settings_int(worker->settings, "metrics.stalled_after"));
    settings_tell_read(is_same);
}
