/* intake.h - the rows of the chosen batches: read, counted against the ledger, then added to their days.
 *
 * What a row adds comes from its batch's delta, where the worker left one, or from the row. In two steps, because a batch goes into
 * the statistics only whole: first every row is read and counted (deltas_read, then intake_read), then, once
 * the work list has settled which batches are all there, the rows of those are added (intake_add). One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_INTAKE_H
#define TALLYMILL_AGGREGATOR_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/day.h"
#include "common/error.h"

struct session;
struct day_cache;
struct cached_day;
struct worklist;

struct intake_row {
    struct day_event event;
    struct cached_day *day;
    uint32_t batch;    /* in the work list */
    bool is_only_note; /* the day is not in memory: only to know that the batch touched it */
};

struct intake {
    struct intake_row *rows;
    size_t count, capacity;
};

void intake_init(struct intake *intake);
void intake_free(struct intake *intake);

/* Puts a row in, or only a note that its batch touched its day (unless the last row says so already). False: ERROR_RETRY, no
 * memory. */
MUST_CHECK bool intake_put(struct intake *intake, const struct intake_row *row, struct error *err);
MUST_CHECK bool intake_put_note(struct intake *intake, const struct intake_row *row, struct error *err);

/* Reads the rows of the other chosen batches that lie in the month which begins with this day; call for each month. from_page: from
 * that page of its table on; -1: wherever the batch index says. Counts them into the batches. Rows of days that are not in memory
 * leave only a note. */
MUST_CHECK bool intake_read(struct intake *intake, struct session *session, struct worklist *list, struct day_cache *cache,
                            int32_t month, bool is_by_parent, int64_t from_page, struct error *err);

/* Adds the rows of the taken batches to their days, and empties the intake. A day that is not in memory, or does not fit any more,
 * waits for a rebuild. Returns events added. */
size_t intake_add(struct intake *intake, struct worklist *list, struct day_cache *cache);

#endif
