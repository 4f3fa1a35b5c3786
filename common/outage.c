/* outage.c - see outage.h. */
#include "common/outage.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

#define AGAIN_US (600 * CLOCK_SECOND_US)

static void tell(const struct outage *outage, const struct error *why, int64_t now_us)
{
    const int64_t for_s = (now_us - outage->since_us) / CLOCK_SECOND_US;
    if (why)
        log_warn_because(why, outage->away, "for_s=%" PRId64, for_s);
    else
        log_warn(outage->away, "for_s=%" PRId64, for_s);
}

/* An SQLSTATE that was not told yet; it counts as told from now on. */
static bool is_another(struct outage *outage, const struct error *why)
{
    if (!why || !why->sqlstate[0] || outage->reason_count == OUTAGE_REASONS)
        return false;
    for (int i = 0; i < outage->reason_count; i++)
        if (strcmp(outage->reasons[i], why->sqlstate) == 0)
            return false;
    strcpy(outage->reasons[outage->reason_count++], why->sqlstate);
    return true;
}

void outage_note(struct outage *outage, const struct error *why, int64_t now_us)
{
    if (outage->since_us == 0)
        outage->since_us = now_us;
    const bool is_new = is_another(outage, why);
    const bool is_time =
        outage->told_us == 0 ? now_us - outage->since_us >= outage->patience_us : now_us - outage->told_us >= AGAIN_US;
    const bool is_due = is_time || (is_new && outage->told_us != 0);
    if (is_due) {
        outage->told_us = now_us;
        tell(outage, why, now_us);
    } else if (why) {
        char text[LOG_TEXT_BYTES];
        log_debug(outage->away, "error=\"%s\"", log_text(text, why->text));
    }
}

void outage_over(struct outage *outage, int64_t now_us)
{
    if (outage->told_us != 0)
        log_info(outage->back, "after_s=%" PRId64, (now_us - outage->since_us) / CLOCK_SECOND_US);
    outage->since_us = outage->told_us = 0;
    outage->reason_count = 0;
}
