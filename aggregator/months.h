/* months.h - the months of analytics_events as the aggregator needs them: made ahead, attached or not, their batch index up to
 * date.
 *
 * One thread.
 */
#ifndef TALLYMILL_MONTHS_H
#define TALLYMILL_MONTHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct session;

struct month {
    int32_t first_day; /* since 1970 */
    bool is_attached;  /* in this cycle's snapshot */
    int64_t pages;     /* as far as its batch index is summarised; -1: not by us yet */
    int64_t again_us;  /* not before (monotonic): a vacuum was at work */
};

struct months {
    struct month *months;
    size_t count, capacity;
    int64_t made_at_us; /* when the months ahead were last looked at; 0: never */
};

void months_free(struct months *months);

/* Another server may answer from now on: nothing is known of its indexes. */
void months_forget(struct months *months);

/* Once an hour: makes this month and `ahead` more. A month that cannot be made now (a lock) is logged and tried again in a minute.
 * False: the session failed. */
bool months_make_ahead(struct months *months, struct session *session, int ahead, int64_t now_us, struct error *err);

/* Reads which months are attached, in the cycle's snapshot. */
bool months_read(struct months *months, struct session *session, struct error *err);

/* Whether the month that holds this day is attached. */
bool months_is_attached(const struct months *months, int32_t day);

/* Brings the batch index of the month that holds `day` up to its last page. Outside of any transaction. */
bool months_summarize(struct months *months, struct session *session, int32_t day, int64_t now_us, struct error *err);

#endif
