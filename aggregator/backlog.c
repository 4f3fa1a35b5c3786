/* backlog.c - see backlog.h. The rate is that since the backlog began: a rate of the last moments would jump between a day of ten
 * events and one of a million. */
#include "aggregator/backlog.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

static const int64_t LOG_US = 30 * CLOCK_SECOND_US;
static const int64_t DRAW_US = CLOCK_SECOND_US / 4;

void backlog_init(struct backlog *backlog, const char *what, bool may_draw)
{
    *backlog = (struct backlog){.what = what, .is_drawn = may_draw && isatty(STDERR_FILENO) == 1};
}

static int64_t rate_per_minute(const struct backlog *backlog, int64_t now_us)
{
    int64_t took_us = now_us - backlog->begun_us;
    return took_us > 0 ? (int64_t)((double)backlog->done * 60e6 / (double)took_us) : 0;
}

int64_t backlog_left_s(const struct backlog *backlog, int64_t now_us)
{
    int64_t rate = rate_per_minute(backlog, now_us);
    return !backlog->is_under_way || rate == 0 ? -1 : backlog->left * 60 / rate;
}

static void show(struct backlog *backlog, int64_t now_us)
{
    int64_t left_s = backlog_left_s(backlog, now_us);
    backlog->shown_us = now_us;
    if (backlog->is_drawn && left_s >= 0)
        fprintf(stderr, "\r%s: %" PRId64 " left, %" PRId64 " a minute, %" PRId64 " s to go\033[K", backlog->what, backlog->left,
                rate_per_minute(backlog, now_us), left_s);
    else if (!backlog->is_drawn)
        log_info("under way", "what=\"%s\" left=%" PRId64 " done=%" PRId64 " per_minute=%" PRId64 " left_s=%" PRId64, backlog->what,
                 backlog->left, backlog->done, rate_per_minute(backlog, now_us), left_s);
}

void backlog_note(struct backlog *backlog, int64_t done, int64_t left, int64_t now_us)
{
    if (left == 0) {
        if (backlog->is_under_way && backlog->is_drawn)
            fputs("\r\033[K", stderr);
        *backlog = (struct backlog){.what = backlog->what, .is_drawn = backlog->is_drawn};
        return;
    }
    if (!backlog->is_under_way) {
        backlog->is_under_way = true;
        backlog->begun_us = backlog->shown_us = now_us;
    }
    backlog->done += done;
    backlog->left = left;
    if (now_us - backlog->shown_us >= (backlog->is_drawn ? DRAW_US : LOG_US))
        show(backlog, now_us);
}
