/* reason.c - names of the reasons, in the order of the enum. A name that leaves the list would orphan stored dead letters. */
#include "common/reason.h"

#include <assert.h>

const char *const reason_names[REASON_COUNT_OF + 1] = {
    [REASON_NONE] = "none",
    [REASON_EMPTY] = "empty",
    [REASON_TOMBSTONE] = "tombstone",
    [REASON_FORMAT] = "format",
    [REASON_COUNT] = "count",
    [REASON_TRUNCATED] = "truncated",
    [REASON_TRAILING] = "trailing",
    [REASON_DEPTH] = "depth",
    [REASON_SIZE] = "size",
    [REASON_ROOT] = "root",
    [REASON_DUP_KEY] = "dup_key",
    [REASON_KEY_TYPE] = "key_type",
    [REASON_KEY] = "key",
    [REASON_KEY_LEN] = "key_len",
    [REASON_NUL] = "nul",
    [REASON_MISSING] = "missing",
    [REASON_TYPE] = "type",
    [REASON_UNKNOWN_KEY] = "unknown_key",
    [REASON_VERSION] = "version",
    [REASON_UNKNOWN_EVENT] = "unknown_event",
    [REASON_CATEGORY] = "category",
    [REASON_SCHEMA] = "schema",
    [REASON_UTF8] = "utf8",
    [REASON_LEN] = "len",
    [REASON_RANGE] = "range",
    [REASON_NONFINITE] = "nonfinite",
    [REASON_TS_RANGE] = "ts_range",
    [REASON_ARCHIVED_MONTH] = "archived_month",
    [REASON_EXT] = "ext",
    [REASON_ID] = "id",
    [REASON_REFUSED] = "refused",
};

const char *reason_name(enum reason reason)
{
    assert(reason >= REASON_NONE && reason < REASON_COUNT_OF);
    return reason_names[reason];
}
