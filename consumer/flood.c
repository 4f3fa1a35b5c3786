/* flood.c - see flood.h.
 *
 * A flood of dead letters is mostly one broken release of one producer. Going on is the default, because the good events of all
 * others are in the same topic, and dead letters can be replayed. The batch that shows the flood is committed in any case: its
 * books are right.
 */
#include "consumer/flood.h"

#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/settings.h"

/* "slow": about 100 dead letters a second, and never so long that the topic partitions look dead. */
#define SLOW_US_EACH (CLOCK_SECOND_US / 100)
#define SLOW_MOST_US (30 * CLOCK_SECOND_US)

static const char *const policies[] = {[FLOOD_CONTINUE] = "continue", [FLOOD_SLOW] = "slow", [FLOOD_STOP] = "stop"};

struct flood_rules flood_rules(const struct settings *settings)
{
    const char *policy = settings_text(settings, "dead_letters.policy");
    return (struct flood_rules){.policy = strcmp(policy, policies[FLOOD_SLOW]) == 0   ? FLOOD_SLOW
                                          : strcmp(policy, policies[FLOOD_STOP]) == 0 ? FLOOD_STOP
                                                                                      : FLOOD_CONTINUE,
                                .window_us = settings_int(settings, "dead_letters.window"),
                                .max_percent = settings_int(settings, "dead_letters.max_share")};
}

static void age(struct flood *flood, int64_t window_us, int64_t now_us)
{
    const int64_t half_us = window_us / 2 > 0 ? window_us / 2 : 1, past_us = now_us - flood->half_since_us;
    if (past_us < half_us)
        return;
    const bool is_next = past_us < 2 * half_us;
    flood->events[1] = is_next ? flood->events[0] : 0;
    flood->dead[1] = is_next ? flood->dead[0] : 0;
    flood->events[0] = flood->dead[0] = 0;
    flood->half_since_us = now_us;
}

int flood_percent(const struct flood *flood)
{
    const int64_t events = flood->events[0] + flood->events[1], dead = flood->dead[0] + flood->dead[1];
    return events > 0 ? (int)(100 * dead / events) : 0;
}

void flood_look(struct flood *flood, const struct flood_rules *rules, const char *topic, int64_t now_us)
{
    age(flood, rules->window_us, now_us);
    const int64_t events = flood->events[0] + flood->events[1], dead = flood->dead[0] + flood->dead[1];
    const bool was_on = flood->is_on;
    flood->is_on = dead >= FLOOD_DEAD_LETTERS && 100 * dead > rules->max_percent * events;
    if (flood->is_on && (!was_on || now_us - flood->told_at_us >= rules->window_us)) {
        flood->told_at_us = now_us;
        log_error("dead letters are flooding in: see tallymill dlq, and who sends them", "topic=%s percent=%d policy=%s", topic,
                  flood_percent(flood), policies[rules->policy]);
    } else if (!flood->is_on && was_on) {
        log_info("the flood of dead letters is over", "topic=%s", topic);
    }
}

void flood_add(struct flood *flood, const struct flood_rules *rules, const char *topic, int64_t events, int64_t dead,
               int64_t now_us)
{
    age(flood, rules->window_us, now_us);
    flood->events[0] += events;
    flood->dead[0] += dead;
    flood_look(flood, rules, topic, now_us);
    if (!flood->is_on || dead == 0 || rules->policy != FLOOD_SLOW)
        return;
    const int64_t pause_us = dead * SLOW_US_EACH;
    flood->slow_until_us = now_us + (pause_us < SLOW_MOST_US ? pause_us : SLOW_MOST_US);
}

bool flood_allows(const struct flood *flood, const struct flood_rules *rules, const char *topic, struct error *err)
{
    if (!flood->is_on || rules->policy != FLOOD_STOP)
        return true;
    return error_set(err, ERROR_FATAL,
                     "%d %% of the last events of topic %s were dead letters, more than dead_letters.max_share: stopped, as "
                     "dead_letters.policy says; see tallymill dlq, and start again when it is settled",
                     flood_percent(flood), topic);
}
