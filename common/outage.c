/* outage.c - see outage.h. */
#include "common/outage.h"

#include <inttypes.h>
#include <stdbool.h>

#include "common/clock.h"
#include "common/error.h"
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

void outage_note(struct outage *outage, const struct error *why, int64_t now_us)
{
    if (outage->since_us == 0)
        outage->since_us = now_us;
    const bool is_due = outage->told_us == 0 ? now_us - outage->since_us >= outage->patience_us : now_us - outage->told_us >= AGAIN_US;
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
}
