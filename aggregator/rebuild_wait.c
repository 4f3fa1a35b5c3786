/* rebuild_wait.c - see rebuild_wait.h. */
#include "aggregator/rebuild_wait.h"

#include <string.h>

void rebuild_wait_begin(struct rebuild_wait *wait, enum rebuild_reason reason, int64_t wall_us)
{
    if (wait->reason != REBUILD_NOT && wait->reason != REBUILD_CLOSE)
        return;
    wait->reason = reason;
    wait->since_us = wall_us;
}

static const char *const reason_texts[] = {
    [REBUILD_NOT] = "none",          [REBUILD_TOUCHED] = "touched",
    [REBUILD_EVICTED] = "memory",    [REBUILD_FOREIGN] = "foreign rows",
    [REBUILD_ROWS] = "rows missing", [REBUILD_BACKLOG] = "backlog",
    [REBUILD_CLOSE] = "close",       [REBUILD_ASKED] = "asked",
};

const char *rebuild_reason_text(enum rebuild_reason reason)
{
    return reason_texts[reason];
}

enum rebuild_reason rebuild_reason_parse(const char *text)
{
    for (int reason = REBUILD_TOUCHED; reason < REBUILD_ASKED; reason++)
        if (strcmp(text, reason_texts[reason]) == 0)
            return reason;
    return REBUILD_ASKED;
}
