/* worker_flood.c - what a worker does when too many events are bad: goes on and says so, goes on slowly, or stops.
 *
 * A flood of dead letters is mostly one broken release of one producer. Going on is the default, because the good events of all
 * others are in the same topic, and dead letters can be replayed. The batch that shows the flood is committed in any case: its
 * books are right.
 */
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/settings.h"
#include "consumer/worker_metrics.h"
#include "consumer/worker_state.h"

/* "slow": about 100 dead letters a second, and never so long that the topic partitions look dead. */
#define SLOW_US_EACH (CLOCK_SECOND_US / 100)
#define SLOW_MOST_US (30 * CLOCK_SECOND_US)

static bool has_policy(const struct worker *worker, const char *policy)
{
    return strcmp(settings_text(worker->settings, "dead_letters.policy"), policy) == 0;
}

static int64_t window_us(const struct worker *worker)
{
    return settings_int(worker->settings, "dead_letters.window");
}

static void judge(struct worker *worker, bool is_on, int64_t now_us)
{
    struct flood *flood = &worker->flood;
    metrics_set(worker->metrics, WORKER_FLOOD, 0, is_on);
    if (is_on && (!flood->is_on || now_us - flood->told_at_us >= window_us(worker))) {
        flood->told_at_us = now_us;
        log_error("dead letters are flooding in: see tallymill dlq, and who sends them", "topic=%s percent=%d policy=%s",
                  source_topic(worker->source), flood_percent(flood), settings_text(worker->settings, "dead_letters.policy"));
    } else if (!is_on && flood->is_on) {
        log_info("the flood of dead letters is over", "topic=%s", source_topic(worker->source));
    }
    flood->is_on = is_on;
}

void worker_flood_commit(struct worker *worker, int64_t now_us)
{
    const struct batch *batch = worker->sending;
    int64_t events = 0;
    for (int i = 0; i < batch->range_count; i++)
        events += batch->ranges[i].stored + batch->ranges[i].duplicates + batch->ranges[i].dead_letters;
    judge(worker,
          flood_add(&worker->flood, events, batch->dead_count, window_us(worker),
                    settings_int(worker->settings, "dead_letters.max_share"), now_us),
          now_us);
    if (!worker->flood.is_on || batch->dead_count == 0 || !has_policy(worker, "slow"))
        return;
    const int64_t pause_us = batch->dead_count * SLOW_US_EACH;
    worker->slow_until_us = now_us + (pause_us < SLOW_MOST_US ? pause_us : SLOW_MOST_US);
}

void worker_flood_look(struct worker *worker, int64_t now_us)
{
    judge(worker, flood_look(&worker->flood, window_us(worker), settings_int(worker->settings, "dead_letters.max_share"), now_us),
          now_us);
}

bool worker_flood_allows(const struct worker *worker, struct error *err)
{
    if (!worker->flood.is_on || !has_policy(worker, "stop"))
        return true;
    return error_set(err, ERROR_FATAL,
                     "%d %% of the last events of topic %s were dead letters, more than dead_letters.max_share: stopped, as "
                     "dead_letters.policy says; see tallymill dlq, and start again when it is settled",
                     flood_percent(&worker->flood), source_topic(worker->source));
}
