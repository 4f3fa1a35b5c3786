/* table_counts.h - what only the database knows and a leader shows: waiting days, the ledger's rows, months ahead and on their way
 * out, sizes, the room on the disk, rollups that are out of date.
 *
 * Nothing here decides anything: a question that the server refuses (a lock that somebody holds) is told in the log, asked again a
 * minute later, and waits for a lock for no longer than a tenth of a second. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_TABLE_COUNTS_H
#define TALLYMILL_AGGREGATOR_TABLE_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct session;

enum table_count {
    COUNT_DAYS_OPEN,
    COUNT_DAYS_DIRTY,
    COUNT_LEDGER_ROWS,
    COUNT_MONTHS_AHEAD,
    COUNT_TABLE_BYTES,
    COUNT_EVENTS_PER_DAY,
    COUNT_MONTH_LEAVING, /* microseconds */
    COUNT_DISK_BYTES,
    COUNT_DISK_FREE,
    COUNT_DISK_LEFT, /* microseconds */
    COUNT_ROLLUPS_STALE,
    COUNT_ROLLUP_AGE, /* microseconds */
    TABLE_COUNTS,
};

enum { TABLE_QUESTIONS = 5, TABLE_COUNT_UNKNOWN = -1 };

/* All zero at first, but for disk_size_bytes; table_counts_forget() before the first look. */
struct table_counts {
    int64_t disk_size_bytes;            /* postgres.disk_size */
    int64_t values[TABLE_COUNTS];       /* TABLE_COUNT_UNKNOWN: not asked yet, or refused */
    int64_t ask_at_us[TABLE_QUESTIONS]; /* monotonic: when it is time again; 0: at once */
};

/* Nothing is known, and all is due. */
void table_counts_forget(struct table_counts *counts);

/* Asks what is due. False: the session failed. */
MUST_CHECK bool table_counts_look(struct table_counts *counts, struct session *session, struct error *err);

#endif
