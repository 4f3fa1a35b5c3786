/* outside.c - see outside.h. Told, and not refused: the workers' settings decide, and theirs may be others. */
#include "producer/import/outside.h"

#include <string.h>

#include "common/number_text.h"
#include "common/settings.h"
#include "producer/library/event.h"

void outside_init(struct outside *outside, const struct settings *settings, int64_t wall_us)
{
    *outside = (struct outside){.oldest_us = settings_oldest_us(settings, "window.oldest", wall_us),
                                .newest_us = wall_us + settings_int(settings, "window.ahead")};
}

void outside_add(struct outside *outside, const struct tally_event *event)
{
    outside->all++;
    if (!event->has_created)
        return;
    outside->before += event->created_at_us < outside->oldest_us;
    outside->behind += event->created_at_us > outside->newest_us;
}

static void report(const struct outside *outside, uint64_t count, const char *where, const char *key, const char *value,
                   bool is_clamped, FILE *file)
{
    char numbers[2][32];
    if (count == 0)
        return;
    fprintf(file, "%s of %s lie %s %s = %s (by this file's settings): they will %s\n", number_text(numbers[0], count),
            number_text(numbers[1], outside->all), where, key, value,
            is_clamped ? "be stored at Kafka's time, with their own kept (window.policy = clamp)" : "become dead letters");
}

void outside_report(const struct outside *outside, const struct settings *settings, FILE *file)
{
    bool is_clamped = strcmp(settings_text(settings, "window.policy"), "clamp") == 0;
    report(outside, outside->before, "before", "window.oldest", settings_written(settings, "window.oldest"), is_clamped, file);
    report(outside, outside->behind, "beyond", "window.ahead", settings_written(settings, "window.ahead"), is_clamped, file);
}
